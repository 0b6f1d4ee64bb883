"""Plays many plays: `python -m tests.power --plays N --seed S`. One that breaks a promise is told with its seed."""

# ruff: noqa: T201  # a command speaks

import argparse
import sys
import time
import traceback
from collections import Counter

from qfagent.testing.witness import Broken
from tests.power.plays import STEPS, play


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.power", description=__doc__)
    parser.add_argument("--plays", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first play; the others follow")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("-v", action="store_true", help="tell every step, and where it broke")
    options = parser.parse_args()
    broken, covered, began = Counter(), Counter(), time.perf_counter()
    for seed in range(options.seed, options.seed + options.plays):
        try:
            covered += play(seed, steps=options.steps, tell=print if options.v else lambda _: None)
        except Broken as error:
            broken[error.promise] += 1
            print(f"seed {seed}: {error}", flush=True)
            if options.v:
                traceback.print_exc()
    seconds = time.perf_counter() - began
    print(f"{options.plays} plays in {seconds:.1f} s, {dict(covered)}, broken: {dict(broken) or 'none'}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
