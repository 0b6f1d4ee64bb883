"""The lock names all that the agent depends on; a network would be needed to ask for more."""

import re
import tomllib

from contrib.debian.wheels import LOCK, MACHINES, PYPROJECT

ENTRY = re.compile(r"([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
LOCKED = {name: hashes.count("sha256") for name, _, hashes in ENTRY.findall(LOCK.read_text())}


def test_everything_that_the_agent_depends_on_is_locked():
    wanted = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    names = {re.match(r"[\w-]+", requirement)[0].replace("_", "-").lower() for requirement in wanted}

    assert set() == names - set(LOCKED), "make lock"


def test_the_lock_holds_nothing_but_versions_and_hashes():
    assert "# written by `make lock`\n" == ENTRY.sub("", LOCK.read_text())


def test_what_is_compiled_is_locked_for_every_architecture():
    assert {len(MACHINES)} == {LOCKED[name] for name in ("apsw", "cryptography", "httptools", "msgspec")}
