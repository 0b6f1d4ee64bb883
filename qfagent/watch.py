"""A watch on a folder wakes whoever scans it; it is a hint only, and the scan is the truth.

* Many events are one wake-up; nothing is queued without bound.
* Only what others do is watched: a scan's own reading raises no event.
* Where there is no watch to be had (the kernel's limits, a folder that is missing), the agent works without.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trio
from watchdog.events import (
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_logger = logging.getLogger("qfagent")
_KINDS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    DirMovedEvent,
]


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake, self._token = wake, trio.lowlevel.current_trio_token()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called on the watch's own thread."""
        del event
        with suppress(trio.RunFinishedError):  # the agent has stopped a moment ago
            self._token.run_sync_soon(self._wake, idempotent=True)


@contextmanager
def watching(folders: dict[str, Callable[[], None]]) -> Iterator[None]:
    """Calls a folder's waker on trio's thread, soon after something happened there, while the block lasts."""
    observer = _start(folders)
    try:
        yield
    finally:
        if observer is not None:
            observer.stop()
            observer.join()


def _start(folders: dict[str, Callable[[], None]]) -> BaseObserver | None:
    observer = None
    logging.getLogger("watchdog.observers.inotify").addFilter(_is_news)
    try:
        observer = Observer()
        for folder, wake in folders.items():
            observer.schedule(_Waker(wake), folder, event_filter=_KINDS)
        observer.start()
    except OSError as error:
        _logger.warning("no watch, only scans", extra={"event": "watch.failed", "fields": {"reason": error.strerror}})
        if observer is not None:
            observer.stop()
        return None
    return observer


def _is_news(record: logging.LogRecord) -> bool:
    """A watch that is stopped between two looks calls that an error; whoever has stopped it need not know."""
    return "when the thread is inactive" not in record.getMessage()
