"""The validation tag tells a rebuilt secret from one that a lying hub has bent.

* protocol.md section 5, Validation tag: a polynomial in `c` over GF(2^128), masked by `d`, so that it may be shown to
  every hub; its last term detects algebraic manipulation (Cramer, Dodis, Fehr, Padró, Wichs 2008).
* The most significant bit of a block's first byte is the highest coefficient; GHASH counts the other way round.
"""

import hmac
from functools import reduce

_SPREAD = int.from_bytes(b"\1" * 256, "big")  # one bit a byte: column sums of a product stay below 256
_LOW = (1 << 128) - 1


def tag(keys: bytes, c: bytes, d: bytes) -> bytes:
    """The tag `o`, 16 bytes, of `m` keys (32m bytes) under `c` and `d` (16 bytes each)."""
    point = _spread(int.from_bytes(c, "big"))
    blocks = [int.from_bytes(keys[i : i + 16], "big") for i in range(0, len(keys), 16)]
    # Horner's rule, from c^(2m+3) down to c^0: 1, 0, 0, v_2m .. v_1, d
    coefficients = [0, 0, *reversed(blocks), int.from_bytes(d, "big")]
    return reduce(lambda total, v: _multiply(total, point) ^ v, coefficients, 1).to_bytes(16, "big")


def holds(secret: bytes, o: bytes) -> bool:
    """Whether `keys ‖ c ‖ d` validates under the tag; compared in constant time."""
    return hmac.compare_digest(tag(secret[:-32], secret[-32:-16], secret[-16:]), o)


def _multiply(a: int, spread_b: int) -> int:
    """Product in GF(2^128): spread to a bit a byte, integers multiply by columns; a column's parity is its bit."""
    columns = (_spread(a) * spread_b & _SPREAD).to_bytes(256, "big")
    product = int(columns.translate(_DIGITS), 2)
    return _fold(_fold(product))


def _spread(a: int) -> int:
    return int.from_bytes(format(a, "b").encode(), "big") & _SPREAD


def _fold(a: int) -> int:
    """One step of reduction: x^128 = x^7 + x^2 + x + 1."""
    high = a >> 128
    return a & _LOW ^ high ^ high << 1 ^ high << 2 ^ high << 7


_DIGITS = bytes([ord("0"), ord("1")]) + bytes(254)
