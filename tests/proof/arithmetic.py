"""The arithmetic is right: against implementations of the same fields that go another way, and published vectors.

* The first life is exhaustive where that can be: all products of bytes, all (k, n) up to (8, 8) with all sets of
  shares, all that k - 1 shares can hide; and all vectors. The others are random.
"""

import hashlib
import itertools
import re
from collections import Counter
from functools import cache
from importlib import resources
from random import Random

import cryptography_vectors
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qfagent.dske import shamir, validation
from qfagent.testing.witness import Broken

BYTE, BLOCK = 0x11B, (1 << 128) | 0x87
CASES = 500


def play(seed):
    """How many cases of what were right."""
    chance, cases = Random(seed), Counter()
    for kind, check in RANDOM.items():
        for _ in range(CASES):
            check(chance)
        cases[kind] += CASES
    if seed == 0:
        for kind, check_all in EXHAUSTIVE.items():
            cases[kind] = check_all()
    return cases


# --- the other way: polynomials over GF(2) are integers; multiplied whole, then divided ---------------


def product(a, b, modulus):
    """The product in the field of the modulus."""
    whole = 0
    for bit in range(b.bit_length()):
        if b >> bit & 1:
            whole ^= a << bit
    while whole.bit_length() >= modulus.bit_length():
        whole ^= modulus << whole.bit_length() - modulus.bit_length()
    return whole


def power(a, exponent, modulus):
    value = 1
    for _ in range(exponent):
        value = product(value, a, modulus)
    return value


@cache
def inverse(a):
    return power(a, 254, BYTE)


def share_of(secret, coefficients, x):
    """A share, term by term."""
    share = bytearray()
    for terms in zip(secret, *coefficients, strict=True):
        value = 0
        for exponent, term in enumerate(terms):
            value ^= product(term, power(x, exponent, BYTE), BYTE)
        share.append(value)
    return bytes(share)


def tag_of(keys, c, d):
    """The validation tag, term by term, as the protocol writes it."""
    c, blocks = int.from_bytes(c, "big"), [keys[at : at + 16] for at in range(0, len(keys), 16)]
    total, at = int.from_bytes(d, "big"), 1
    for block in blocks:
        at = product(at, c, BLOCK)
        total ^= product(int.from_bytes(block, "big"), at, BLOCK)
    for _ in range(3):
        at = product(at, c, BLOCK)
    return (total ^ at).to_bytes(16, "big")


def poly1305_of(key, text):
    """Poly1305 in whole numbers, as RFC 8439, section 2.5.1, writes it."""
    r, s = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, int.from_bytes(key[16:], "little")
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at : at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return (total + s & (1 << 128) - 1).to_bytes(16, "little")


# --- random cases -------------------------------------------------------------------------------------


def _check_sharing(chance):
    n = chance.randint(2, 16)
    k = chance.randint(2, n)
    secret, *coefficients = (chance.randbytes(64) for _ in range(k))
    shares = list(enumerate(shamir.split(secret, k=k, n=n, coefficients=coefficients), 1))
    x, share = chance.choice(shares)
    _expect(share[:4] == share_of(secret[:4], [c[:4] for c in coefficients], x), "a share")
    _expect(shamir.combine(chance.sample(shares, k), k=k) == secret, "a secret of k shares")


def _check_tag(chance):
    keys, c, d = chance.randbytes(32 * chance.randint(1, 3)), chance.randbytes(16), chance.randbytes(16)
    o = validation.tag(keys, c, d)
    _expect(o == tag_of(keys, c, d), "a validation tag")
    secret = bytearray(keys + c + d)
    secret[chance.randrange(len(secret))] ^= 1 << chance.randrange(8)
    _expect(not validation.holds(bytes(secret), o), "a bent secret validates")


def _check_poly1305(chance):
    key, text = chance.randbytes(32), chance.randbytes(chance.randrange(300))
    _expect(Poly1305.generate_tag(key, text) == poly1305_of(key, text), "a Poly1305 tag")


RANDOM = {"sharings": _check_sharing, "validation tags": _check_tag, "Poly1305 tags": _check_poly1305}


# --- all cases ----------------------------------------------------------------------------------------


def _all_products():
    for a, b in itertools.product(range(256), repeat=2):
        _expect(shamir._times(a)[b] == product(a, b, BYTE), f"{a} times {b}")
        if b:
            _expect(shamir._divide(a, b) == product(a, inverse(b), BYTE), f"{a} by {b}")
    return 2 * 65_536


def _all_sets_of_shares():
    count, chance = 0, Random(8)
    for n in range(2, 9):
        for k in range(2, n + 1):
            secret, *coefficients = (chance.randbytes(64) for _ in range(k))
            shares = list(enumerate(shamir.split(secret, k=k, n=n, coefficients=coefficients), 1))
            for some in itertools.combinations(shares, k):
                _expect(shamir.combine(some, k=k) == secret, f"{k} of {n}")
                count += 1
            for some in itertools.combinations(shares, k - 1):
                _expect(shamir.interpolate(some, at=0) != secret, f"{k - 1} of {n} are enough")
                count += 1
    return count


def _all_that_two_of_three_hide():
    """For every secret byte, each pair of values of two shares comes from exactly one pair of coefficients."""
    for secret, (one, other) in itertools.product((0, 1, 255), ((1, 2), (3, 16))):
        pairs = {
            (secret ^ shamir._times(one)[a] ^ shamir._times(product(one, one, BYTE))[b],
             secret ^ shamir._times(other)[a] ^ shamir._times(product(other, other, BYTE))[b])
            for a, b in itertools.product(range(256), repeat=2)
        }  # fmt: skip
        _expect(len(pairs) == 65_536, f"two shares of {secret} at {one} and {other} tell something")
    return 6 * 65_536


def _vectors(path, pattern):
    text = resources.files(cryptography_vectors).joinpath(path).read_text()
    found = re.findall(pattern, text)
    _expect(found, f"no vector in {path}")
    return found


def _all_poly1305_vectors():
    found = _vectors("poly1305/rfc7539.txt", r"KEY = (\w+)\s+MSG = (\w*)\s+TAG = (\w+)")
    for key, text, tag in found:
        _expect(
            Poly1305.generate_tag(bytes.fromhex(key), bytes.fromhex(text)) == bytes.fromhex(tag), f"Poly1305 of {text}"
        )
    key = "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"  # RFC 8439, section 2.5.2
    tag = Poly1305.generate_tag(bytes.fromhex(key), b"Cryptographic Forum Research Group")
    _expect(tag.hex() == "a8061dc1305136c6c22b8baf0c0127a9", "the example of RFC 8439")
    return len(found) + 1


def _all_sha256_vectors():
    found = [
        vector
        for name in ("SHA256ShortMsg.rsp", "SHA256LongMsg.rsp")
        for vector in _vectors(f"hashes/SHA2/{name}", r"Len = (\d+)\s+Msg = (\w+)\s+MD = (\w+)")
    ]
    for bits, text, digest in found:
        data = bytes.fromhex(text)[: int(bits) // 8]
        _expect(hashlib.sha256(data).hexdigest() == digest, f"SHA-256 of {bits} bits")
    return len(found)


EXHAUSTIVE = {
    "all products and quotients of bytes": _all_products,
    "all sets of shares up to 8 of 8": _all_sets_of_shares,
    "all pairs of coefficients": _all_that_two_of_three_hide,
    "vectors of Poly1305": _all_poly1305_vectors,
    "vectors of SHA-256": _all_sha256_vectors,
}


def _expect(holds, what):
    if not holds:
        raise Broken("wrong-arithmetic", what)
