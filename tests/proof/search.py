"""Searching for secrets in any amount of bytes: as they are, in Python's escapes, in hex, in base64, at any alignment.

* Of secrets of up to 4 KiB any 27 bytes in a row are found, of longer ones any 67, in whatever form.
* Whatever in the haystack looks encoded is decoded, from each of its first digits on; the secrets stay as they are, so
  there may be gigabytes of them. Eight of their bytes at a time are known, as one number.
* What is not random is not looked for: zeros stand everywhere.
"""

import binascii
import re
import warnings
from itertools import islice, pairwise

WORD = 8  # bytes
PIECE = 20  # bytes that are compared before anything is called found: more than an id, which a seed may make as pads
WHOLE = 4096  # bytes; of what is longer, only every sixth word is known
CHUNK, OVERLAP = 1 << 24, 1 << 10
HEX = re.compile(rb"[0-9a-fA-F]{32,}")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_GAP = bytes(PIECE)


class Needles:
    """What must not be found, by name."""

    def __init__(self):
        self._words, self._secrets = {}, []  # a word -> the number of the last secret that has it

    def __len__(self):
        return len(self._words)

    def add(self, name, data):
        """A secret, unless it is not random; one that is a part of another is added before it."""
        if not _is_random(data):
            return
        words = _words(data)[:: 1 if len(data) <= WHOLE else 6]
        self._words.update(dict.fromkeys(words, len(self._secrets)))
        self._secrets.append((name, data))

    def found_in(self, data):
        """The names of what stands in the data, and how it stands there."""
        starts = range(0, max(1, len(data)), CHUNK)
        return {found for start in starts for found in self._found_in(data[start : start + CHUNK + OVERLAP])}

    def _found_in(self, data):
        for form, text in _forms(data):
            for shift in range(WORD):
                words = _words(text, shift)
                if not self._words.keys().isdisjoint(words):
                    places = ((shift + WORD * number, word) for number, word in enumerate(words) if word in self._words)
                    hits = (self._name_of(text[at : at + PIECE], word) for at, word in places)
                    yield from (f"{name}{form}" for name in islice(filter(None, hits), 1))

    def _name_of(self, piece, word):
        """Whose it is, if more than a word of it is."""
        name, data = self._secrets[self._words[word]]
        is_telling = len(piece) == PIECE and len(set(piece)) > PIECE // 2
        return name if is_telling and piece in data else None


def _is_random(data):
    """Whether neither the bytes nor the steps between them repeat themselves."""
    start = data[:256]
    steps = [(after - before) % 256 for before, after in pairwise(start)]
    return min(len(set(start)), len(set(steps))) >= len(start) // 2


def _words(data, shift=0):
    end = shift + (len(data) - shift) // WORD * WORD
    return memoryview(data[shift:end]).cast("Q")


def _forms(data):
    """The data, and what it may be an encoding of."""
    yield "", data
    if b"\\" in data:
        once = _unescaped(data)
        yield " in escapes", once
        yield " in escapes twice", _unescaped(once)  # as in JSON
    yield " in hex", _GAP.join(_from_hex(data))
    yield " in base64", _GAP.join(_from_base64(data))


def _unescaped(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that there are not
        return data.decode("unicode_escape", "replace").encode("latin-1", "replace")


def _from_hex(data):
    for run in HEX.findall(data):
        for text in (run, run[1:]):
            yield binascii.unhexlify(text[: len(text) // 2 * 2])


def _from_base64(data):
    for run in BASE64.findall(data.translate(_STANDARD)):
        for first in range(4):
            text = run[first:]
            yield binascii.a2b_base64(text[: len(text) // 4 * 4])
