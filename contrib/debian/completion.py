"""Shell completion is made from the table of commands: what may follow the words that stand there already.

* Words are offered where words may follow, options behind a hyphen, and files otherwise.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from qfagent.cli.table import PROGRAMS, SOCKET, Argument, Program


class Level(NamedTuple):
    """What may follow some words: further words and options, each with what it does."""

    path: str
    words: dict[str, str]
    options: dict[str, str]


def files() -> dict[str, str]:
    """Every completion, by where it belongs below `/usr/share`."""
    found = {}
    for program in PROGRAMS.values():
        found[f"bash-completion/completions/{program.name}"] = bash(program)
        found[f"zsh/vendor-completions/_{program.name}"] = zsh(program)
        found[f"fish/vendor_completions.d/{program.name}.fish"] = fish(program)
    return found


def levels(program: Program) -> list[Level]:
    """Every run of words that is a command, or begins one."""
    runs = {(): ()} | {words[:depth]: () for words in _split(program) for depth in range(1, len(words) + 1)}
    return [Level(" ".join(run), _following(program, run), _options(program, run)) for run in runs]


def bash(program: Program) -> str:
    """For `complete -F`; where nothing fits, bash offers files."""
    cases = "".join(
        f"        {_quoted(level.path)}) words={_quoted(' '.join(level.words))}"
        f" options={_quoted(' '.join(level.options))} ;;\n"
        for level in levels(program)
    )
    return _BASH % {"name": program.name, "paths": _paths(program), "cases": cases}


def zsh(program: Program) -> str:
    """For `compdef`; says what each word and option does."""
    cases = "".join(
        f"        {_quoted(level.path)}) follows=({_described(level.words)}) options=({_described(level.options)}) ;;\n"
        for level in levels(program)
    )
    return _ZSH % {"name": program.name, "paths": _paths(program), "cases": cases}


def fish(program: Program) -> str:
    """One line a word or option."""
    mangled = program.name.replace("-", "_")
    return _FISH % {"name": mangled, "paths": _paths(program).replace(" | ", " ")} + "".join(
        f"complete -c {program.name} -n {_quoted(f'__{mangled}_at {_quoted(level.path)}')} {line}\n"
        for level in levels(program)
        for line in _fish_lines(level)
    )


def _split(program: Program) -> list[tuple[str, ...]]:
    return [tuple(row.words.split()) for row in program.rows]


def _following(program: Program, run: tuple[str, ...]) -> dict[str, str]:
    depth, does = len(run), {row.words: row.does for row in program.rows} | program.groups
    words = [words[depth] for words in _split(program) if len(words) > depth and words[:depth] == run]
    return {word: does[" ".join([*run, word])] for word in words}


def _options(program: Program, run: tuple[str, ...]) -> dict[str, str]:
    row = next((row for row in program.rows if row.words == " ".join(run)), None)
    arguments = row.arguments if row else () if run else (SOCKET, Argument("--version", help="the version"))
    found = {name: argument.options["help"] for argument in arguments for name in argument.names if name[0] == "-"}
    return found | {"--help": "says more"}


def _paths(program: Program) -> str:
    return " | ".join(_quoted(level.path) for level in levels(program) if level.path)


def _fish_lines(level: Level) -> Iterator[str]:
    for word, does in level.words.items():
        yield f"-f -a {word} -d {_quoted(does)}"
    for option, does in level.options.items():
        kind = "-l" if option.startswith("--") else "-s"
        yield f"{kind} {option.lstrip('-')} -d {_quoted(does)}"


def _described(pairs: dict[str, str]) -> str:
    return " ".join(_quoted(f"{name}:{does}") for name, does in pairs.items())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_BASH: Final = """\
_%(name)s() {
    local cur=${COMP_WORDS[COMP_CWORD]} path= word words= options=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "${path:+$path }$word" in
        %(paths)s) path=${path:+$path }$word ;;
        esac
    done
    case "$path" in
%(cases)s    esac
    [[ $cur == -* ]] && words=$options
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _%(name)s %(name)s
"""

_ZSH: Final = """\
#compdef %(name)s
_%(name)s() {
    local there= word
    local -a follows options
    for word in ${words[2,CURRENT-1]}; do
        case "${there:+$there }$word" in
        %(paths)s) there=${there:+$there }$word ;;
        esac
    done
    case "$there" in
%(cases)s    esac
    if [[ ${words[CURRENT]} == -* ]]; then
        _describe option options
    elif (( $#follows )); then
        _describe command follows
    else
        _files
    fi
}
_%(name)s "$@"
"""

_FISH: Final = """\
function __%(name)s_at
    set -l there
    for word in (commandline -opc)[2..-1]
        switch (string join ' ' $there $word)
            case %(paths)s
                set -a there $word
        end
    end
    test "$there" = "$argv"
end
"""
