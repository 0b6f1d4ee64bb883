"""Tokens and setup keys are secrets that the server makes, hands out once, and keeps as SHA-256 only.

* They are drawn from at least 122 random bits, so a fast hash is enough: there is nothing to guess, and no table of
  guesses to salt against.
* They are looked up by hash; how long that takes tells nothing about the secret.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from qfagent.dske.ids import new_uuid

Random = Callable[[int], bytes]

_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 10
HINT: Final = 5  # characters of a setup key that are still shown later, to tell it from others


def new_operator_token(random: Random) -> str:
    """A token that may do everything."""
    return f"qfm-{random(_TOKEN_BYTES).hex()}"


def new_peer_token(random: Random) -> str:
    """A token that may speak for one peer."""
    return f"qfp-{random(_TOKEN_BYTES).hex()}"


def new_setup_key(random: Random) -> str:
    """A key that lets peers in, in the shape that operators know: an upper-case UUID."""
    return new_uuid(random).upper()


def new_id(random: Random) -> str:
    """An id for whatever needs one: 20 hex digits."""
    return random(_ID_BYTES).hex()


def hashed(secret: str) -> str:
    """What is kept of a secret: 64 hex digits."""
    return sha256(secret.encode()).hexdigest()
