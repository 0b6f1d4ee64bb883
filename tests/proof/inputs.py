"""No input breaks a parser: good input is bent again and again, and what is neither read nor refused is a finding.

* An error that is not among a parser's own breaks the promise, and so does memory that grows from one run to the next.
* Where atheris is installed, `fuzz` looks for more with an eye on what has been covered.
"""

import gc
import sys
from collections import Counter
from random import Random

from qfagent.testing.witness import Broken
from tests.proof.parsers import PARSERS

RUNS = 600  # of each parser in a life
TOKENS = [
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\\", b"\\ud800", b" ", b"\t", b"\n", b"\r\n", b"\r\n\r\n"),
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"-1", b"1e999", b"9" * 30),
    *(b"=", b"%", b";", b"//[", b"'", b'"""', b"#", b"."),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
]
GROWTH = 150  # blocks of memory that caches may take


def play(seed):
    """Some runs of every parser."""
    chance, runs = Random(seed), Counter()
    gc.freeze()  # what was there before need not be looked at again and again
    try:
        for name, parser in PARSERS.items():
            _play(name, parser, chance)
            runs[name] += RUNS
    finally:
        gc.unfreeze()
    return runs


def _play(name, parser, chance):
    _run(name, parser, chance, RUNS // 2)
    before = _blocks()
    _run(name, parser, chance, RUNS // 2)
    if _blocks() > before + GROWTH:
        raise Broken("memory-grows", f"{name}: from {before} to {_blocks()} blocks")


def _run(name, parser, chance, times):
    for _ in range(times):
        data = bent(chance.choice(parser.corpus), parser.corpus, chance)
        feed(name, parser, data)


def feed(name, parser, data):
    """One run; raises Broken if the parser meets it in a way that it must not."""
    try:
        parser.parse(data)
    except parser.errors:
        pass
    except Exception as error:
        raise Broken("unhandled", f"{name}: {type(error).__name__}: {error} at {data[:300]!r}") from error


def bent(data, corpus, chance):
    """Good input after one to five mishaps."""
    for _ in range(chance.randint(1, 5)):
        at = chance.randint(0, len(data))
        data = chance.choice(MISHAPS)(data, at, min(len(data), at + chance.randint(1, 20)), corpus, chance)
    return data


def _cut(data, at, *_):
    return data[:at]


def _drop(data, at, end, *_):
    return data[:at] + data[end:]


def _double(data, at, end, *_):
    return data[:end] + data[at:end] * 3 + data[end:]


def _flip(data, at, _end, _corpus, chance):
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :] if at < len(data) else data


def _put(data, at, _end, _corpus, chance):
    return data[:at] + chance.choice(TOKENS) + data[at:]


def _replace(data, at, end, _corpus, chance):
    return data[:at] + chance.choice(TOKENS) + data[end:]


def _nest(data, at, _end, _corpus, chance):
    return data[:at] + chance.choice((b"[", b'{"a":', b"(")) * chance.choice((10, 3000)) + data[at:]


def _splice(data, at, _end, corpus, chance):
    other = chance.choice(corpus)
    return data[:at] + other[chance.randrange(len(other)) :]


MISHAPS = (_cut, _drop, _double, _flip, _put, _put, _replace, _nest, _splice)


def _blocks():
    gc.collect()
    return sys.getallocatedblocks()
