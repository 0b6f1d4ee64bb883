"""Folders and files: who may do what in them, and whether the agent's own user owns what is the agent's.

* What is not there yet is made by the agent; only what is there can be wrong.
* Paths are quoted, so that a remedy can be pasted.
"""

import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote
from typing import Final

import msgspec

from qfagent.config import Config
from qfagent.doctor.finding import Finding, fault, ok, skipped, warning

CHECK: Final = "permissions"
_AS_ROOT: Final = "ask as root"


class Rule(msgspec.Struct, frozen=True):
    """What the permission bits of a path may not be, and what that would mean; `needed` are those it must have."""

    path: str
    forbidden: int
    harm: str
    needed: int = 0


def check_folders(config: Config, *, config_path: str) -> Iterator[Finding]:
    """Everything that is there."""
    rules = [*_rules(config, config_path)]
    try:
        found = [finding for rule in rules for finding in _judge(rule)]
        found += [*_check_owners(config), *_check_reader(config, config_path)]
    except PermissionError as error:
        yield skipped(CHECK, f"{error.filename} can't be looked at by this user", _AS_ROOT)
        return
    yield from found or [ok(CHECK, f"of {config.state_dir} and of the configuration are as they should be")]


def _rules(config: Config, config_path: str) -> Iterator[Rule]:
    yield Rule(config_path, 0o022, "others may change the configuration")
    yield Rule(config.state_dir, 0o022, "others may replace what is the agent's")
    yield Rule(config.private, 0o077, "others may enter the agent's own folder")
    yield Rule(f"{config.private}/pads", 0o077, "others may read pads")
    yield Rule(config.inbox, 0o007, "everybody may look or drop files there", needed=0o3730)
    yield Rule(config.pool, 0o027, "others may read PSRD files, or change them")
    for path in sorted(_files(config.pool)):
        yield Rule(path, 0o137, "others may read a PSRD file")


def _judge(rule: Rule) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(Path(rule.path).lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    wanted = (mode & ~rule.forbidden) | rule.needed
    if mode & rule.forbidden:
        yield fault(CHECK, f"{rule.path} has mode {mode:04o}: {rule.harm}", _chmod(rule.path, wanted))
    elif wanted != mode:
        detail = f"{rule.path} has mode {mode:04o}: who should drop files there may not"
        yield warning(CHECK, detail, _chmod(rule.path, wanted))


def _check_owners(config: Config) -> Iterator[Finding]:
    """What the agent has made belongs to its user; after a command as root it may not."""
    private = Path(config.private)
    if not private.is_dir():
        return
    owner = private.stat().st_uid
    strangers = [path for path in _tree(config.private) if path.lstat().st_uid != owner]
    if strangers:
        detail = f"{strangers[0]} does not belong to the user {_name(owner)}, as {private} does"
        yield fault(CHECK, detail, f"`chown -R {_name(owner)} {quote(config.private)}`")


def _check_reader(config: Config, config_path: str) -> Iterator[Finding]:
    """The agent's user may read the configuration."""
    private, path = Path(config.private), Path(config_path)
    user = _user(private.stat().st_uid) if private.is_dir() else None
    if user is None or user.pw_uid == 0:
        return
    found, groups = path.stat(), os.getgrouplist(user.pw_name, user.pw_gid)
    bits = 0o400 if found.st_uid == user.pw_uid else 0o040 if found.st_gid in groups else 0o004
    if not found.st_mode & bits:
        remedy = f"`chown :{user.pw_gid} {quote(config_path)} && chmod g+r {quote(config_path)}`"
        yield fault(CHECK, f"the user {user.pw_name} may not read {path}", remedy)


def _tree(folder: str) -> Iterable[Path]:
    return (Path(where, name) for where, folders, files in os.walk(folder) for name in sorted((*folders, *files)))


def _files(folder: str) -> Iterable[str]:
    return (str(path) for path in Path(folder).glob("*.json"))


def _chmod(path: str, mode: int) -> str:
    return f"`chmod {mode:04o} {quote(path)}`"


def _name(uid: int) -> str:
    user = _user(uid)
    return str(uid) if user is None else user.pw_name


def _user(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None
