"""What protocol.md can't do, shown: whoever mends it will see it here first, and may change docs/limitations.md."""

import json

from qfagent.testing.disk import MemoryDisk
from tests.hub.parties import House, deposit_of
from tests.proof.messages import Pen


def turn_back(house, files):
    house.disk.close()
    house.disk = MemoryDisk(9)
    for path, data in files.items():
        folder = path.rpartition("/")[0]
        house.disk.make_dir(folder, 0o700)
        file = house.disk.create(path, len(data))
        file.write_at(0, data)
        file.sync()
        house.disk.sync_dir(folder)
    house.boot()


def shown(answer):
    return {share["secret_id"]: share["offset"] for share in json.loads(answer.body)["shares"]}


def test_a_restored_hub_believes_messages_that_were_on_their_way_together_and_are_replayed_in_another_order():
    """ADR 52: two shares of one hub come to lie under the same bytes, until a client speaks that has seen more."""
    with House(seed=3) as house:
        voices = [house.voice(name) for name in ("alice", "bob")]
        files = {path: data for path, data in house.disk.files().items() if not path.endswith("/lock")}
        alice, bob = (Pen(house, voice.block) for voice in voices)
        for pen, voice in zip((alice, bob), voices, strict=True):
            pen.next, pen.seen = voice.next, voice.seen
        one, other = alice.deposit(deposit_of("bob")), alice.deposit(deposit_of("bob"))
        fetch = bob.fetch({"generator": "alice"})
        house.answer(one)
        house.answer(other)
        (first, _), (second, _) = before = list(shown(house.answer(fetch)).items())
        turn_back(house, files)
        house.answer(other)
        after = shown(house.answer(fetch))

        assert {second: dict(before)[first]} == after
        bob.seen = 200
        assert "retired" == house.answer(bob.fetch({"generator": "alice"})).slug
