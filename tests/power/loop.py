"""A loop is one run of trio for a whole play, a job at a time: most of what a short run costs is its beginning and end.

* Nothing may wait for anything but what runs beside it in the same job.
"""

from collections import deque

import outcome
import trio


class Loop:
    """Runs jobs by `clock` until it is closed; meanwhile nothing else of this thread may run trio."""

    def __init__(self, clock):
        self._due, self._job, self._result = deque(), None, None
        trio.lowlevel.start_guest_run(
            self._serve, run_sync_soon_threadsafe=self._due.append, done_callback=self._end, clock=clock
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run(None)

    def run(self, work, *args):
        """What the coroutine returns or raises."""
        self._job, self._result = (work, args), None
        while self._result is None:
            self._due.popleft()()
        return self._result.unwrap()

    async def _serve(self):
        while True:
            work, args = self._job
            if work is None:
                return
            self._result = await outcome.acapture(work, *args)
            await trio.lowlevel.checkpoint()

    def _end(self, result):
        self._result = result
