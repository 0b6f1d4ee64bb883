"""Notes, in every Python process that is started with this folder on its path, what is secret in it and what it says.

* Secret is what chance gave to the product, the kernel's or a seeded one's, 32 bytes and more of it: ids and names are
  shorter. Secret is, too, what the product calls a `Secret`: whatever it read from a file or a wire, or worked out.
* Said is the log at debug level, whatever level was asked for, the text of every error, and how a process was started.
* What tests throw away is kept, but for what was erased before.
* It is copied into the folder of a run, which needs nothing but its place on the path. What it notes is written
  at once: nothing is lost when a process is killed. BROKEN is code that breaks the product on purpose.
"""

import ctypes
import json
import logging
import os
import random
import resource
import shutil
import sys
from contextlib import suppress
from functools import wraps
from itertools import count
from pathlib import Path

PR_GET_DUMPABLE = 3
LEAST = 32  # bytes
TOKENS = "qfagent.management.tokens"  # given to operators to be written down; neither pads nor keys


class Recorder:
    """What one process has to tell."""

    def __init__(self, folder):
        self._secrets = os.open(f"{folder}/secrets", os.O_WRONLY | os.O_APPEND)
        self._said = os.open(f"{folder}/left/said", os.O_WRONLY | os.O_APPEND)
        self._kept, self._numbers, self._known = f"{folder}/left/kept", count(), set()
        self._is_agent = "run" in sys.orig_argv and any("qfagent" in word for word in sys.orig_argv)
        self._prctl = ctypes.CDLL(None).prctl

    def tap_chance(self):
        """Whoever draws."""
        os.urandom = self._drawn(os.urandom, first=0)
        random.Random.randbytes = self._drawn(random.Random.randbytes, first=1)

    def tap_product(self):
        """Secrets, the log, and errors."""
        from qfagent import errors, logs  # noqa: PLC0415  # not before chance is tapped
        from qfagent.dske.secret import Secret  # noqa: PLC0415

        Secret.__init__ = self._taken(Secret.__init__)
        errors.AgentError.__init__ = self._raised(errors.AgentError.__init__)
        handler = logging.FileHandler(f"/proc/self/fd/{self._said}", mode="a")
        handler.setFormatter(logs.JsonLines())
        logging.getLogger("qfagent").addHandler(handler)
        start_logging = logs.start_logging
        logs.start_logging = lambda level: start_logging("debug")

    def tap_waste(self):
        """Whoever removes a folder."""
        shutil.rmtree = self._removed(shutil.rmtree)

    def say_how_it_was_started(self):
        environ = {name: value for name, value in os.environ.items() if not name.endswith("_key")}  # a transcript's own
        self._say("started", agent=self._is_agent, argv=sys.orig_argv, environ=environ)

    def _drawn(self, draw, *, first):
        @wraps(draw)
        def drawn(*args):
            data, size = draw(*args), args[first]
            caller = sys._getframe(1)
            name = caller.f_globals.get("__name__", "")
            if size >= LEAST and name.startswith("qfagent.") and name != TOKENS:
                self._note(data, caller)
            return data

        return drawn

    def _taken(self, init):
        def taken(secret, data):
            init(secret, data)
            self._note(secret.reveal(), sys._getframe(1))

        return taken

    def _raised(self, init):
        def raised(error, *args, **named):
            init(error, *args, **named)
            self._say("error", text=[repr(error), str(error), error.remedy])

        return raised

    def _removed(self, remove):
        @wraps(remove)
        def removed(path, *args, **named):
            with suppress(OSError, shutil.Error):  # sockets, and what is gone already
                shutil.copytree(path, f"{self._kept}/{os.getpid()}-{next(self._numbers)}", True, copy_function=_link)
            return remove(path, *args, **named)

        return removed

    def _note(self, data, caller):
        if hash(data) in self._known:
            return
        self._known.add(hash(data))
        where = f"{caller.f_globals.get('__name__')}.{caller.f_code.co_name}"
        os.write(self._secrets, b"%d %s %d\n%s\n" % (len(data), where.encode(), self._is_exposed(), data))

    def _is_exposed(self):
        """Whether an agent that holds secrets may leave a core dump of them."""
        forbidden = self._prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
        return self._is_agent and not (forbidden and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))

    def _say(self, event, **fields):
        os.write(self._said, json.dumps({"event": event, **fields}).encode() + b"\n")


def _link(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


recorder = Recorder(Path(__file__).parents[1])
recorder.tap_chance()
recorder.tap_waste()
recorder.say_how_it_was_started()
with suppress(ImportError):  # a Python that has not our environment
    recorder.tap_product()
exec(os.environ.get("BROKEN", ""))
