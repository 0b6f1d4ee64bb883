"""Plays promises: all of them in brief (`--quick`) or at full length, or one from a seed on."""

# ruff: noqa: T201  # a command speaks

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.proof.promises import PROMISES
from tests.proof.seeded import broken


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("promises", nargs="*", metavar="PROMISE", help=f"of {', '.join(PROMISES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="as many plays as fit into a few minutes")
    parser.add_argument("--plays", type=int, help="so many of each")
    parser.add_argument("--seed", type=int, default=0, help="of the first play; the others follow")
    options = parser.parse_args()
    unknown = set(options.promises) - set(PROMISES)
    if unknown:
        parser.error(f"no promise is named {', '.join(unknown)}")
    names = options.promises or [name for name in PROMISES if plays_of(name, options)]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        proven = [prove(name, options, processes) for name in names]
    return not all(proven)


def plays_of(name, options):
    promise = PROMISES[name]
    return options.plays or (promise.quick if options.quick else promise.full)


def prove(name, options, processes):
    """Plays one promise and says what came of it; whether it held."""
    promise, began = PROMISES[name], time.monotonic()
    plays = plays_of(name, options)
    covered, findings = Counter(), 0
    seeds = range(options.seed, options.seed + plays)
    played = processes.map(_play, [name] * plays, seeds, chunksize=min(50, 1 + plays // 100))
    for seed, (covers, finding) in zip(seeds, played, strict=True):
        covered.update({what: number for what, number in covers.items() if isinstance(number, int)})
        if finding:
            findings += 1
            print(f"{name}, seed {seed}: {finding}", flush=True)
    told = ", ".join(f"{what} {number:,}" for what, number in sorted(covered.items()))
    seconds = time.monotonic() - began
    print(f"{name}: {promise.claim}\n  {plays:,} plays in {seconds:.0f} s, {findings} broken; {told}", flush=True)
    return not findings


def _play(name, seed):
    """What a play has covered, and what it has found."""
    try:
        return PROMISES[name].play(seed), None
    except Exception as error:  # noqa: BLE001  # what nobody foresaw is a finding, too
        return {}, str(broken(error))


if __name__ == "__main__":
    sys.exit(main())
