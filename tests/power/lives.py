"""A life is one machine's: from its start until its power is cut or its agent is killed, and then it is looked at.

* It counts if the agent has changed its disk behind its start; a start that does not come to its end is a life of its
  own, and counts if it has changed the disk itself. A sync changes nothing here, and a clean stop ends no life.
* It counts once the machine is up again and its audit has called in all that was acknowledged before.
"""

from collections import Counter
from contextlib import contextmanager


class Lives:
    """The lives of the machine with this disk: `checked` says how many there were, and how they ended."""

    def __init__(self, disk):
        self._disk = disk
        self._changes = None  # of the disk, that are not this life's; None between two lives
        self._is_up = False
        self._ended, self.checked = Counter(), Counter()

    def begin(self):
        self._changes, self._is_up = self._disk.changes, False

    def get_up(self):
        """The start has come to its end."""
        self._changes, self._is_up = self._disk.changes, True

    @contextmanager
    def apart(self):
        """What somebody else does on the disk is no part of a life."""
        before = self._disk.changes
        try:
            yield
        finally:
            if self._changes is not None:
                self._changes += self._disk.changes - before

    def end(self, how):
        if self._changes is not None and self._disk.changes > self._changes:
            self._ended.update(("lives", how, *(() if self._is_up else ("starts cut short",))))
        self._changes = None

    def stop(self):
        """A clean stop."""
        self._changes = None

    def check(self):
        """An audit has called in what all lives before have acknowledged."""
        self.checked += self._ended
        self._ended.clear()
