"""The manual pages are made from what is there already: the table of commands, and the configuration's reference.

* One page of section 1 for each program, one of section 5 for the configuration; nothing is written twice.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from qfagent import __version__
from qfagent.cli.help import EXIT_CODES, names, use
from qfagent.cli.table import PROGRAMS, Program, Row

REFERENCE: Final = Path(__file__).parent.parent / "config" / "reference.toml"
CONFIG: Final = "qfagent.toml"
_SETTING: Final = re.compile(r"(\w+) = (.*)")
_FILES: Final = {
    "/etc/qufabric/qfagent.toml": "the configuration",
    "/run/qufabric/qfagent.sock": "the control socket",
    "/var/lib/qufabric/dske/psrd-in/": "client: where PSRD files are dropped",
    "/var/lib/qufabric/dske/psrd-out/": "hub: the pool of PSRD files to carry away",
    "/var/lib/qufabric/dske/private/": "everything else that the agent remembers; nobody else's business",
}
_ENVIRONMENT: Final = {"QFAGENT_SOCKET": "stands for --socket", "QFAGENT_CONFIG": "stands for --config"}


def pages() -> dict[str, str]:
    """Every page, by the name of its file."""
    found = {f"{name}.1": "\n".join(_program(program)) + "\n" for name, program in PROGRAMS.items()}
    return found | {f"{CONFIG}.5": "\n".join(_configuration(REFERENCE.read_text())) + "\n"}


def _program(program: Program) -> Iterator[str]:
    others = [f"{name}(1)" for name in PROGRAMS if name != program.name]
    yield from _head(program.name, 1, program.does)
    yield from (".SH SYNOPSIS", f"{_bold(program.name)} {_roff('[--socket PATH]')} COMMAND ...", ".br")
    yield f"{_bold(program.name)} {_roff('[COMMAND] --help')} | {_roff('--version')}"
    yield ".SH COMMANDS"
    for row in program.rows:
        yield from _command(program, row)
    yield from (".SH EXIT STATUS", _roff(EXIT_CODES.removeprefix("exit codes: ")) + ".")
    yield from (".SH ENVIRONMENT", *_list(_ENVIRONMENT), ".SH FILES", *_list(_FILES))
    yield from _see([*others, f"{CONFIG}(5)"])


def _command(program: Program, row: Row) -> Iterator[str]:
    uses = " ".join(use(argument) for argument in row.arguments)
    yield f".SS {_roff(f'{program.name} {row.words} {uses}'.rstrip())}"
    yield _sentence(row.does) + (f" For a {row.role}." if row.role else "")
    yield from _list({names(argument): argument.options["help"] for argument in row.arguments})


def _configuration(reference: str) -> Iterator[str]:
    """Comments of the reference stand ahead of what they explain; the first paragraph is about all of it."""
    about, _, settings = reference.partition("\n\n")
    yield from _head(CONFIG, 5, "configuration of qfagent")
    yield from (".SH DESCRIPTION", "The file is TOML.", _roff(_joined(about.splitlines())), ".SH SETTINGS")
    comments: list[str] = []
    for line in settings.splitlines():
        if line.startswith("#"):
            comments.append(line)
            continue
        yield from _setting(line, _joined(comments))
        comments = []
    yield from (".SH FILES", *_list({"/etc/qufabric/qfagent.toml": "the configuration"}))
    yield from _see([f"{name}(1)" for name in PROGRAMS])


def _setting(line: str, explained: str) -> Iterator[str]:
    if line.startswith("["):
        yield from (f".SS {_roff(line)}", _roff(explained))
    elif setting := _SETTING.fullmatch(line):
        yield from (".TP", f"{_bold(setting[1])} = {_roff(setting[2])}", _roff(explained))


def _head(name: str, section: int, does: str) -> Iterator[str]:
    yield f'.TH {_roff(name.upper())} {section} "" "qfagent {__version__}"'
    yield from (".SH NAME", f"{_roff(name)} \\- {_roff(does)}")


def _see(others: Iterable[str]) -> Iterator[str]:
    yield from (".SH SEE ALSO", ", ".join(map(_roff, others)))


def _list(pairs: dict[str, str]) -> Iterator[str]:
    for name, does in pairs.items():
        yield from (".TP", _bold(name), _roff(does))


def _joined(comments: list[str]) -> str:
    return " ".join(line.removeprefix("# ") for line in comments)


def _sentence(text: str) -> str:
    return _roff(f"{text[:1].upper()}{text[1:]}.")


def _bold(text: str) -> str:
    return f"\\fB{_roff(text)}\\fR"


def _roff(text: str) -> str:
    """A line that roff takes as it is: no request, no hyphen a dash; what is quoted is bold."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    guarded = f"\\&{plain}" if plain[:1] in {".", "'"} else plain
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", guarded)
