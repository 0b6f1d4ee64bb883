"""A secret is split so that any `k` of `n` shares rebuild it, and fewer say nothing about it.

* Shamir (1979) over GF(2^8) with polynomial 0x11b, byte by byte; protocol.md section 5, Shares.
* Bytes are multiplied by one constant at a time, through a table: `bytes.translate` does a whole share at once.
"""

from collections.abc import Sequence
from functools import cache

from qfagent.dske.secret import xor
from qfagent.errors import Invalid

MIN_SHARES, MAX_SHARES = 2, 16
MAX_KEYS = 64


def secret_size(keys: int) -> int:
    """Bytes of a secret of so many keys, and of each of its shares: 32 a key, and 32 to validate it."""
    return 32 * keys + 32


def split(secret: bytes, *, k: int, n: int, coefficients: Sequence[bytes]) -> list[bytes]:
    """The shares for x = 1 .. n. `coefficients[j]`, as long as the secret and uniformly random, belongs to x^(j+1).

    Invalid: `bad-threshold`, `wrong-length`.
    """
    if not MIN_SHARES <= k <= n <= MAX_SHARES:
        raise Invalid("bad-threshold", f"expected 2 <= k <= n <= 16, got k={k}, n={n}")
    _check_length(secret)
    if len(coefficients) != k - 1 or any(len(c) != len(secret) for c in coefficients):
        raise Invalid("wrong-length", f"expected {k - 1} coefficients of {len(secret)} bytes")
    return [_evaluate([secret, *coefficients], x) for x in range(1, n + 1)]


def combine(shares: Sequence[tuple[int, bytes]], *, k: int) -> bytes:
    """The secret from the first `k` of `(x, share)`.

    Invalid: `too-few`, `bad-x`, `duplicate-x`, `wrong-length`.
    """
    xs = [x for x, _ in shares]
    if len(shares) < k:
        raise Invalid("too-few", f"expected {k} shares, got {len(shares)}")
    if not all(1 <= x <= MAX_SHARES for x in xs):
        raise Invalid("bad-x", "expected x between 1 and 16")
    if len(set(xs)) != len(xs):
        raise Invalid("duplicate-x", "expected every x once")
    if len({len(share) for _, share in shares}) != 1:
        raise Invalid("wrong-length", "expected shares of equal length")
    _check_length(shares[0][1])
    return interpolate(shares[:k], at=0)


def interpolate(points: Sequence[tuple[int, bytes]], *, at: int) -> bytes:
    """The value at `at` of the polynomial of degree `len(points) - 1` through the points (Lagrange)."""
    total = bytes(len(points[0][1]))
    for x, share in points:
        basis = 1
        for other, _ in points:
            if other != x:
                basis = _divide(_multiply(basis, at ^ other), x ^ other)
        total = xor(total, share.translate(_times(basis)))
    return total


def _check_length(secret: bytes) -> None:
    keys, rest = divmod(len(secret) - 32, 32)
    if rest or not 1 <= keys <= MAX_KEYS:
        raise Invalid("wrong-length", f"expected 32m + 32 bytes with m from 1 to {MAX_KEYS}, got {len(secret)}")


def _evaluate(polynomial: Sequence[bytes], x: int) -> bytes:
    value = polynomial[-1]
    for coefficient in reversed(polynomial[:-1]):
        value = xor(value.translate(_times(x)), coefficient)
    return value


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11B
        b >>= 1
    return product


def _divide(a: int, b: int) -> int:
    return _times(b).index(a)


@cache
def _times(constant: int) -> bytes:
    return bytes(_multiply(constant, b) for b in range(256))
