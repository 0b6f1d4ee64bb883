"""A plugin of pytest: what simulated machines tell goes into the log, as real ones' events do."""

import logging

from qfagent.testing.network import Machine


def _told(note):
    def told(machine, name, /, **fields):
        logging.getLogger("qfagent").debug("event", extra={"event": name, "fields": fields})
        note(machine, name, **fields)

    return told


Machine._note = _told(Machine._note)
