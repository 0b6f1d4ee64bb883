"""What large pads leave behind in memory, with a real process."""

from qfagent.testing.processes import Fleet, wait_until

LARGE = 16 << 20  # bytes, each way
POOL = f"[hub.provisioner]\npool_size = 2\nuser_bytes = {LARGE}\nserver_bytes = {LARGE}"


def test_large_pads_do_not_stay_in_memory(tmp_path):
    with Fleet(tmp_path) as fleet:
        fleet.start(hubs=2, clients=("alice",), hub_settings=POOL)
        fleet.enrol_all()

        for name, process in {**fleet.hubs, **fleet.clients}.items():
            wait_until(lambda process=process: process.resident_mib() < 60, f"the pads to leave {name}")
