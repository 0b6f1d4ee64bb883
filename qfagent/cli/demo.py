"""`demo`: three hubs and two clients on this machine, real PSRD files, one key on both ends; leaves nothing behind."""

import argparse
import shutil
import tempfile
from pathlib import Path

from qfagent.cli import demo_managed
from qfagent.cli.demo_keys import compare, fingerprint
from qfagent.errors import PsrdPreviouslyInserted
from qfagent.local.client import Key
from qfagent.testing.processes import AgentProcess, Fleet, wait_until


def run(arguments: argparse.Namespace) -> None:
    """Tells the story, and runs it."""
    if arguments.managed:
        demo_managed.run()
        return
    with tempfile.TemporaryDirectory(prefix="qfagent-demo-") as folder, Fleet(Path(folder)) as fleet:
        _start(fleet)
        copy = _carry(fleet, Path(folder))
        _make_a_key(fleet)
        _lose_a_hub(fleet)
        _use_a_file_twice(fleet.clients["alice"], copy)
    print("\nEverything was real: five processes, their files, their sockets. All of it is gone again.")


def _start(fleet: Fleet) -> None:
    print("Three security hubs and two clients start, each with a configuration and a state folder of its own.")
    fleet.start(hubs=3, clients=("alice", "bob"))
    for name, hub in fleet.hubs.items():
        report = hub.agent.status()["hub"]
        files = len(report["pool"]["files"])
        print(f"  {name}   id {report['id'][:8]}, listens on {report['listen']}, has {files} files to give out")


def _carry(fleet: Fleet, folder: Path) -> Path:
    """Carries the files, and keeps a copy of one, as nobody should."""
    print("\nAn operator carries one PSRD file from every hub to every client: random bytes, 128 KiB each way.")
    copy = folder / "kept-by-mistake.json"
    shutil.copy(fleet.pool(fleet.hubs["hub1"])[0], copy)  # the one that goes to alice
    fleet.enrol_all()
    for name, client in fleet.clients.items():
        report = client.agent.status()["client"]
        print(f"  {name:6} is registered with {report['hubs_usable']} hubs; its inbox is empty again")
    return copy


def _make_a_key(fleet: Fleet) -> None:
    print("\nAlice makes a key for Bob. Each hub gets one share under a one-time pad; two of three rebuild it.")
    made = _establish(fleet)
    print(f"  alice  made      {made.key_id}   fingerprint {fingerprint(made)}")
    found = fleet.clients["bob"].agent.recover(made.key_id)
    print(f"  bob    recovered {found.key_id}   fingerprint {fingerprint(found)}")
    compare(made, found)


def _lose_a_hub(fleet: Fleet) -> None:
    print("\nA hub goes down. Two are left, and two are enough.")
    fleet.hubs["hub2"].stop()
    made = _establish(fleet)
    compare(made, fleet.clients["bob"].agent.recover(made.key_id))


def _use_a_file_twice(client: AgentProcess, copy: Path) -> None:
    print("\nSomebody finds a copy of a used PSRD file, and gives it to alice again. One-time means once:")
    with copy.open("rb") as stream:
        try:
            client.agent.ingest(stream)
        except PsrdPreviouslyInserted as refusal:
            print(f"  {refusal}")
    dropped = client.state / "psrd-in" / "again.json"
    copy.rename(dropped)
    wait_until(lambda: not dropped.exists(), "the inbox to clear itself")
    print("  Dropped into her inbox, it is overwritten and removed.")


def _establish(fleet: Fleet) -> Key:
    return fleet.clients["alice"].agent.establish("bob")[0]
