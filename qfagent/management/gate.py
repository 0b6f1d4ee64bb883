"""The gate knows who is asking: an operator, a peer, or nobody, by the token that comes with the request.

* Operators' tokens are in a file that root reads; when it is gone, those that were last read there go on being good.
* Only hashes are kept here. What a token may do is said by the verbs of the routes.
* A peer's token speaks for that peer only; it names no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from qfagent.errors import BadConfig, NotKnown, NotPermitted
from qfagent.http.message import Request
from qfagent.http.routes import Route, Verb
from qfagent.management.archive import Archive
from qfagent.management.atlas import Atlas
from qfagent.management.network import Peer
from qfagent.management.tokens import Random, hashed, new_operator_token
from qfagent.store.disk import Disk, write_atomic

LEAST_TOKEN: Final = 20  # characters, if somebody makes one himself
_SCHEMES: Final = ("token", "bearer")


class Who(msgspec.Struct, frozen=True):
    """Who is asking; `peer` if it is one."""

    name: str
    verbs: frozenset[Verb]
    peer: Peer | None = None


NOBODY: Final = Who("nobody", frozenset({"anybody"}))
_OPERATES: Final[frozenset[Verb]] = frozenset({"anybody", "observe", "operate"})
_PEER: Final[frozenset[Verb]] = frozenset({"anybody", "peer"})


def identify(request: Request, atlas: Atlas, operators: Mapping[str, str]) -> Who:
    """Who is asking; NotKnown if the token is nobody's."""
    said = request.values(b"authorization")
    if not said:
        return NOBODY
    scheme, _, token = said[0].decode("latin-1").partition(" ")
    digest = hashed(token.strip())
    if len(said) == 1 and scheme.lower() in _SCHEMES:
        if digest in operators:
            return Who(operators[digest], _OPERATES)
        peer = atlas.bearer(digest)
        if peer is not None:
            return Who(peer.name, _PEER, peer)
    raise NotKnown("this token is not known here, or not any more")


def check(who: Who, route: Route) -> None:
    """NotKnown, NotPermitted."""
    if route.verb in who.verbs:
        return
    if who is NOBODY:
        raise NotKnown("authorization: missing, expected a token")
    raise NotPermitted("this token is not for that")


def find_operators(path: str, archive: Archive, disk: Disk, random: Random) -> dict[str, str]:
    """The hashes of the operators' tokens, and whose they are; the first token is made here. BadConfig."""
    known, found = archive.operators(), read_operators(path)
    if found is None and not known:
        write_atomic(disk, path, f"{new_operator_token(random)}\n".encode())
        found = read_operators(path)
    operators = found or known
    archive.save_operators(operators)
    return operators


def read_operators(path: str) -> dict[str, str] | None:
    """What is in the file: one token a line, and behind it whose it is; None if there is no file. BadConfig."""
    try:
        return _parse(Path(path).read_text())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"management.token_file: {path} can't be read") from error


def _parse(text: str) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        token, _, name = line.strip().partition(" ")
        if token and not line.startswith("#"):
            if len(token) < LEAST_TOKEN:
                raise BadConfig(f"management.token_file: line {number}: expected at least {LEAST_TOKEN} characters")
            found[hashed(token)] = name.strip() or "operator"
    if not found:
        raise BadConfig("management.token_file: expected a token in it")
    return found
