"""Shares come in under the generator's pad and go out under the recoverer's; in between nobody can open them.

* protocol.md section 6, Deposit and Fetch. A share is never stored in clear: it leaves the generator's pad and enters
  the recoverer's in one expression.
* Room and quota are checked before the recoverer's pad is touched.
* A share is wrapped once, and returned as often as it is asked for.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from qfagent.dske import wire
from qfagent.dske.pad import Pad
from qfagent.errors import Refusal
from qfagent.hub.rules import Rules
from qfagent.store.clients import Client, Clients
from qfagent.store.ledger import Ledger
from qfagent.store.shares import Share, Shares

_FULL: Final = "recoverer-exhausted"


class Deposits:
    """The shares of one hub, in and out."""

    def __init__(self, ledger: Ledger, clients: Clients, shares: Shares, rules: Rules) -> None:
        self._ledger, self._clients, self._shares, self._rules = ledger, clients, shares, rules

    def deposit(self, generator: Client, request: wire.Deposits, pad: Pad) -> wire.Results:
        """Wraps every share that can be kept; the pad stands behind the message's own 32 bytes."""
        for deposit in request.deposits:
            if deposit.recoverer == generator.peer or self._rules.hub_id not in deposit.hubs:
                raise Refusal("malformed", "expected another peer as recoverer, and this hub among `hubs`")
        results = [
            wire.Result(deposit.secret_id, self._keep(generator.peer or "", deposit, pad))
            for deposit in request.deposits
        ]
        return wire.Results(tuple(results))

    def fetch(self, recoverer: Client, block: str, request: wire.Fetch) -> wire.Shares:
        """What was asked for and can be opened with the request's block or a listed one."""
        openable = {block, *self._listed(recoverer, [entry for entry in request.seen if entry.block != block])}
        self._clients.listed(recoverer, openable)
        name = recoverer.peer or ""
        for done in request.done:
            self._shares.finish(name, done.generator, done.secret_id)
        found: dict[tuple[str, str], Share] = {}
        for wanted in request.secrets:
            for share in self._matching(name, wanted, openable):
                if share.block in openable and len(found) < wire.MAX_ENTRIES:
                    found[share.generator, share.secret_id] = share
        return wire.Shares(tuple(self.show(share) for share in found.values()))

    def retire_if_rolled_back(self, block: str, seen: int) -> bool:
        """Retires a block of which the client has seen more than this hub has spent; its shares never leave."""
        if self._ledger.spent(block) >= seen:
            return False
        self.retire(block, reason="rolled-back")
        self._rules.note("block.retired", block=block, code="rolled-back")
        return True

    def retire(self, block: str, *, reason: str) -> None:
        """Ends a block, and what was wrapped under it."""
        self._shares.delete_under(block)
        self._ledger.retire(block, state="retired", reason=reason)
        self._clients.forget()

    def _keep(self, generator: str, deposit: wire.Deposit, pad: Pad) -> str:
        sealed = bytes(deposit.share)
        recoverer = self._clients.of_peer(deposit.recoverer)
        if recoverer is None or not (blocks := self._clients.ready_blocks(recoverer)):
            pad.draw(len(sealed))
            return "unknown-recoverer"
        refused, block = self._place(generator, deposit, blocks)
        if refused is not None:
            pad.draw(len(sealed))
            return refused
        wrap = self._ledger.take(block, len(sealed))
        share = Share(
            recoverer=deposit.recoverer,
            generator=generator,
            secret_id=deposit.secret_id,
            hubs=deposit.hubs,
            k=deposit.k,
            m=deposit.m,
            o=bytes(deposit.o),
            expires_at=self._rules.now() + min(deposit.expires_in, self._rules.share_ttl),
            block=block,
            start=wrap.span.offset,
            share=wrap.seal(pad.open(sealed)),
        )
        self._shares.put(share, now=self._rules.now())
        return wire.STORED

    def _place(self, generator: str, deposit: wire.Deposit, blocks: Iterable[str]) -> tuple[str | None, str]:
        """Why the share can't be kept, or None and the block to wrap it under."""
        if self._shares.known(deposit.recoverer, generator, deposit.secret_id, now=self._rules.now()):
            return wire.DUPLICATE, ""
        size = len(deposit.share)
        block = next((block for block in blocks if self._has_room(block, size)), None)
        if block is None:
            return _FULL, ""
        pad = self._ledger.facts(block).server_bytes
        owed, in_all = self._shares.quotas.owed(deposit.recoverer, generator, now=self._rules.now())
        if owed + size > pad // 8 or in_all + size > pad // 2:
            return "quota", ""
        return None, block

    def _has_room(self, block: str, size: int) -> bool:
        """Whether a share fits; the last 1/16 of the pad is kept for answers."""
        server = self._ledger.facts(block).server_bytes
        return self._ledger.room(block, limit=server - server // 16) >= size

    def _listed(self, recoverer: Client, seen: Sequence[wire.Seen]) -> list[str]:
        """The blocks in the list that are the requester's; those that show a rollback of this hub are retired."""
        own = set(self._clients.blocks(recoverer.id)) if seen else ()
        listed = [entry for entry in seen if entry.block in own]
        return [entry.block for entry in listed if not self.retire_if_rolled_back(entry.block, entry.seen)]

    def _matching(self, recoverer: str, wanted: wire.Wanted, openable: Iterable[str]) -> list[Share]:
        now, generator = self._rules.now(), wanted.generator
        if isinstance(wanted.secret_id, str):
            found = self._shares.of_id(recoverer, wanted.secret_id, now=now)
            return [share for share in found if generator in (share.generator, msgspec.UNSET)]
        limit = wire.MAX_ENTRIES
        return self._shares.of_generator(recoverer, str(generator), blocks=openable, now=now, limit=limit)

    def show(self, share: Share) -> wire.Wrapped:
        """A share as its recoverer gets to see it; it counts as fetched."""
        self._shares.mark_fetched(share, now=self._rules.now())
        return wire.Wrapped(
            secret_id=share.secret_id,
            hubs=share.hubs,
            k=share.k,
            m=share.m,
            o=wire.Base64(share.o),
            share=wire.Base64(share.share or b""),
            generator=share.generator,
            expires_at=share.expires_at,
            block=share.block,
            offset=share.start,
        )
