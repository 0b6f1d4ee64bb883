"""`run`: the daemon, in the foreground; the one command that has an event loop.

* Keys stay in memory: no core dumps, no debugger of another process, and no file of ours for everybody.
* Pads leave memory when they are done with: buffers of their size go straight back to the kernel.
* What was there before the first request is no garbage: nobody waits 20 ms while a full collection looks at it.
* What keeps it from starting is one line and an exit code, as with every other command.
"""

import argparse
import ctypes
import gc
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from qfagent import agent, config
from qfagent.cli.configured import path_of
from qfagent.errors import AgentError
from qfagent.logs import start_logging

UMASK: Final = 0o027
MOST_FILES: Final = 65_536
LARGE: Final = 1 << 17  # bytes; pads and the files that they come in are larger
_PR_SET_DUMPABLE: Final = 4
_M_MMAP_THRESHOLD: Final = -3


def run(arguments: argparse.Namespace) -> None:
    """Runs the agent until it is told to stop. AgentError, OSError."""
    path = path_of(arguments)
    found = config.load(path)
    harden()
    start_logging(found.log.level)
    gc.freeze()
    try:
        trio.run(partial(agent.run, found, path=path))
    except BaseExceptionGroup as group:
        raise _first(group) from None


def harden() -> None:
    """Keeps what is in memory there, and lets there be as many connections as the system permits."""
    os.umask(UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    with suppress(AttributeError):  # not every C library has it
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Why the agent has ended, if nurseries have wrapped one plain reason; else all that they hold."""
    leaves = list(_leaves(group))
    stopped = [leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt)]
    expected = all(isinstance(leaf, AgentError | OSError | KeyboardInterrupt) for leaf in leaves)
    return (stopped or leaves)[0] if expected else group


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
