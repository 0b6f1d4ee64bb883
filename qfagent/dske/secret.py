"""A secret is a run of bytes that nobody may see by accident.

* It shows its length only; it compares in constant time; it can't be pickled, copied into a log or hashed.
* `reveal` is the one way to the bytes, so a reader finds every use by its name.
"""

import hmac
from typing import NoReturn


class Secret:
    """Key, pad or share bytes."""

    __slots__ = ("_bytes",)
    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __init__(self, data: bytes) -> None:
        self._bytes = bytes(data)

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._bytes, other._bytes)

    def __repr__(self) -> str:
        return f"<Secret of {len(self)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled or copied")


def xor(a: bytes, b: bytes) -> bytes:
    """Bytewise XOR of two runs of equal length; ValueError if they differ in length."""
    if len(a) != len(b):
        raise ValueError(f"expected two runs of equal length, got {len(a)} and {len(b)} bytes")
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")
