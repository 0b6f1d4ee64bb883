"""The proof harness: a module a promise, each played from a seed, each with the mutants that it must catch.

* `play(seed)` of a promise's module plays it once, returns how often it covered what, and raises Broken.
* `python -m tests.proof PROMISE --seed S --plays N` plays it again; `make prove` and `make prove-quick` play them all.
"""
