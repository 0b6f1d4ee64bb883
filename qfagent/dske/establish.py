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


class Draft(msgspec.Struct, frozen=True):
    """One hub's deposit, not yet sealed; its share is 32m + 32 bytes."""

    secret_id: str
    recoverer: str
    hubs: tuple[str, ...]
    k: int
    m: int
    o: bytes
    share: Secret

    def seal(self, pad: Pad) -> Deposit:
        """The deposit, its share under the next bytes of the pad."""
        return Deposit(
            secret_id=self.secret_id,
            recoverer=self.recoverer,
            hubs=self.hubs,
            k=self.k,
            m=self.m,
            o=Base64(self.o),
            share=Base64(pad.seal(self.share.reveal())),
            expires_in=MAX_EXPIRES,
        )


class Establishment(msgspec.Struct, frozen=True):
    """One secret on its way to the hubs: its keys, 32 bytes each, and a draft for each hub."""

    secret_id: str
    keys: tuple[Secret, ...]
    drafts: dict[str, Draft]


def establish(
    recoverer: str, *, hubs: Sequence[str], k: int, count: int, random: Callable[[int], bytes]
) -> Establishment:
    """A fresh secret of `count` keys (1 to 64) for the recoverer, split for these hubs (k to 16)."""
    size = shamir.secret_size(count)
    secret = random(size)
    keys, c, d = secret[:-32], secret[-32:-16], secret[-16:]
    shares = shamir.split(secret, k=k, n=len(hubs), coefficients=[random(size) for _ in range(k - 1)])
    secret_id, o = ids.new_secret_id(random), validation.tag(keys, c, d)
    drafts = {
        hub: Draft(secret_id, recoverer, tuple(hubs), k, count, o, Secret(share))
        for hub, share in zip(hubs, shares, strict=True)
    }
    return Establishment(secret_id, split_keys(keys), drafts)


def split_keys(keys: bytes) -> tuple[Secret, ...]:
    """The keys, 32 bytes each, of a run of them."""
    return tuple(Secret(keys[i : i + KEY_BYTES]) for i in range(0, len(keys), KEY_BYTES))
