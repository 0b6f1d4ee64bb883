"""What a command costs as a whole, from its start to its end, against a real agent.

    python bench/commands.py [--times N]

Allowed are 80 ms for `status` and `--help`.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from qfagent.testing.processes import Fleet

MOST = 0.080  # seconds
COMMANDS = {"--help": True, "status": True, "psrd": False, "top --once": False, "doctor": False}  # limited or not


def seconds_of(words: str, socket: Path) -> float:
    """One call; how it ends is not looked at."""
    program = Path(sys.executable).with_name("qfagent")
    where = [] if words == "--help" else ["--socket", str(socket)]
    began = time.perf_counter()
    subprocess.run([program, *words.split(), *where], capture_output=True, check=False)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    slow = []
    with tempfile.TemporaryDirectory(prefix="qf-") as folder, Fleet(Path(folder)) as fleet:
        fleet.start(hubs=2, clients=("alice",))
        fleet.enrol_all()
        for words, is_limited in COMMANDS.items():
            median = statistics.median(seconds_of(words, fleet.clients["alice"].socket) for _ in range(times))
            print(f"{words:11} {median * 1000:6.1f} ms")
            slow += [words] if is_limited and median > MOST else []
    sys.exit(f"slower than {MOST * 1000:.0f} ms: {', '.join(slow)}" if slow else None)


if __name__ == "__main__":
    main()
