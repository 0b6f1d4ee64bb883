"""`dske ingest-psrd`: one file, ingested once, and then erased since it holds the pad.

* What could not be erased afterwards is not ingested, unless it is to be kept.
* A duplicate is erased as well; a file that was refused stays as it is.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO

from qfagent.cli.files import overwrite, sync_folder
from qfagent.cli.progress import counted, progress
from qfagent.cli.sockets import agent_of
from qfagent.cli.text import facts, show, size
from qfagent.errors import AgentError, BadRequest, NotPermitted, PsrdPreviouslyInserted
from qfagent.local.client import Agent


def run(arguments: argparse.Namespace) -> None:
    """Ingests the file, erases it, prints the receipt."""
    agent = agent_of(arguments)
    with _opened(arguments.file, keep=arguments.keep) as source:
        try:
            receipt = _ingest(agent, source.file)
        except PsrdPreviouslyInserted:
            source.erase()
            raise
        try:
            source.erase()
        finally:
            show(arguments, receipt, _lines)


def _ingest(agent: Agent, file: BinaryIO) -> dict[str, Any]:
    with progress("ingesting", _length(file)) as advance:
        return agent.ingest(counted(file, advance))


def _length(file: BinaryIO) -> int:
    """In bytes; of a stream nobody knows."""
    return os.fstat(file.fileno()).st_size


class _Source:
    """What is ingested; `path` is None if nothing of it is to be erased."""

    def __init__(self, file: BinaryIO, path: Path | None) -> None:
        self.file, self._path = file, path

    def erase(self) -> None:
        """Overwrites the file with zeros and removes it, durably; AgentError if that fails."""
        if self._path is None:
            return
        with _erasing(f"{self._path} can't be overwritten", remedy="do it yourself, for it holds the pad"):
            _overwrite(self.file)
        with _erasing(f"{self._path}, which is overwritten, can't be removed", remedy="do it yourself"):
            if os.path.samestat(self._path.stat(), os.fstat(self.file.fileno())):
                self._path.unlink()
                sync_folder(self._path.parent)


@contextmanager
def _erasing(what: str, *, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AgentError(f"the block is ingested, but {what}: {reason}", remedy=remedy) from error


@contextmanager
def _opened(name: str, *, keep: bool) -> Iterator[_Source]:
    if name == "-":
        yield _Source(_standard_input(), None)
        return
    mode = Path(name).stat().st_mode
    if S_ISDIR(mode):
        raise BadRequest(f"{name}: expected a file, found a folder")
    if keep or not S_ISREG(mode):  # a pipe leaves nothing behind
        with Path(name).open("rb") as file:
            yield _Source(file, None)
        return
    path = Path(name).resolve() if Path(name).is_symlink() else Path(name)
    _check_erasable(path)
    with path.open("r+b") as file:
        yield _Source(file, path)


def _check_erasable(path: Path) -> None:
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        raise NotPermitted(f"{path} could not be erased afterwards", remedy="make it writable, or say --keep")


def _overwrite(file: BinaryIO) -> None:
    with progress("erasing", _length(file)) as advance:
        overwrite(file, advance=advance)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise BadRequest("standard input is closed")
    return sys.stdin.buffer


def _lines(receipt: dict[str, Any]) -> list[str]:
    sizes = ("user pad", size(receipt["user_bytes"])), ("server pad", size(receipt["server_bytes"]))
    return facts([("block", receipt["block"]), ("hub", receipt["hub_id"]), *sizes])
