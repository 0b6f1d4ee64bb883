"""Fuzzing with an eye on what is covered: `python -m tests.proof.fuzz PARSER [options of libFuzzer]`, with atheris.

* The corpus of every parser is kept under `.fuzz/`, so that the next run begins where the last one has ended.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from qfagent.testing.witness import Broken

RUNS = 200_000  # of each parser in a life
ROOT = Path(__file__).parents[2]


def lacks():
    """What this machine lacks for it, if anything."""
    return None if find_spec("atheris") else "atheris is not installed (pip install '.[fuzz]')"


def play(seed):
    """Some runs of one parser; which is the seed's choice."""
    if lacks():
        return {f"skipped: {lacks()}": 1}
    from tests.proof.parsers import PARSERS  # noqa: PLC0415  # below, they are imported under instruments

    name = sorted(PARSERS)[seed % len(PARSERS)]
    command = [sys.executable, "-m", "tests.proof.fuzz", name, f"-runs={RUNS}", f"-seed={seed + 1}", "-verbosity=0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken("unhandled", f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return {name: RUNS}


def main():
    import atheris  # noqa: PLC0415  # an extra

    with atheris.instrument_imports(include=["qfagent"]):
        from tests.proof.inputs import feed  # noqa: PLC0415
        from tests.proof.parsers import PARSERS  # noqa: PLC0415
    name, *options = sys.argv[1:]
    parser, kept = PARSERS[name], ROOT / ".fuzz" / name.replace(" ", "-")
    kept.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(parser.corpus):
        (kept / f"good-{number}").write_bytes(data)
    os.chdir(kept.parent)  # where libFuzzer leaves what has broken it
    atheris.Setup([sys.argv[0], *options, str(kept)], lambda data: feed(name, parser, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
