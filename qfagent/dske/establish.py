"""The generator's half: a fresh secret becomes one share a hub, and acknowledgements become a key.

* protocol.md section 5. A secret is split once; a retry sends the same share under another span.
* The keys may leave as soon as `k` hubs hold their share, and not before.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from qfagent.dske import ids, shamir, validation
from qfagent.dske.pad import Pad
from qfagent.dske.secret import Secret
from qfagent.dske.wire import MAX_EXPIRES, Base64, Deposit

KEY_BYTES: Final = 32
KEPT_BY: Final = frozenset({"stored", "duplicate"})  # statuses by which a hub says that it holds the share


class Establishment(msgspec.Struct, frozen=True):
    """One secret on its way to the hubs. `shares` belong to `hubs`, in their order; each is 32m + 32 bytes."""

    secret_id: str
    recoverer: str
    hubs: tuple[str, ...]
    k: int
    o: bytes
    keys: tuple[Secret, ...]
    shares: tuple[Secret, ...]

    def deposit(self, hub: str, pad: Pad) -> Deposit:
        """That hub's deposit, its share sealed under the next bytes of the pad."""
        share = self.shares[self.hubs.index(hub)]
        return Deposit(
            secret_id=self.secret_id,
            recoverer=self.recoverer,
            hubs=self.hubs,
            k=self.k,
            m=len(self.keys),
            o=Base64(self.o),
            share=Base64(pad.seal(share.reveal())),
            expires_in=MAX_EXPIRES,
        )


def establish(
    recoverer: str, *, hubs: Sequence[str], k: int, count: int, random: Callable[[int], bytes]
) -> Establishment:
    """A fresh secret of `count` keys (1 to 64) for the recoverer, split for these hubs (k to 16)."""
    size = shamir.secret_size(count)
    secret = random(size)
    keys, c, d = secret[:-32], secret[-32:-16], secret[-16:]
    shares = shamir.split(secret, k=k, n=len(hubs), coefficients=[random(size) for _ in range(k - 1)])
    return Establishment(
        secret_id=ids.new_secret_id(random),
        recoverer=recoverer,
        hubs=tuple(hubs),
        k=k,
        o=validation.tag(keys, c, d),
        keys=split_keys(keys),
        shares=tuple(Secret(share) for share in shares),
    )


def split_keys(keys: bytes) -> tuple[Secret, ...]:
    """The keys, 32 bytes each, of a run of them."""
    return tuple(Secret(keys[i : i + KEY_BYTES]) for i in range(0, len(keys), KEY_BYTES))
