"""Registration binds a block to the peer that speaks under it.

* protocol.md section 6, Register. A name is bound once; a further pool file for it needs a proof from a block that the
  peer holds here, whose span is claimed only together with the binding.
* By `address` a name is bound if it is known to be where the message comes from; a client that came too early is bound
  as soon as that is known, without asking again.
* A block that is bound already gets its first answer again, whoever lost it.
* The name that waits for approval is the first that its file asked for: what the operator has seen stays true.
"""

from qfagent.dske import wire
from qfagent.dske.pad import Pad
from qfagent.errors import Refusal
from qfagent.hub.rules import Rules
from qfagent.store.clients import Client, Clients
from qfagent.store.ledger import Ledger


class Registration:
    """Who is who at one hub."""

    def __init__(self, ledger: Ledger, clients: Clients, rules: Rules, waiting_at: dict[str, str]) -> None:
        """`waiting_at` remembers from where clients have called that wait for their peer's address to be known."""
        self._ledger, self._clients, self._rules, self._waiting_at = ledger, clients, rules, waiting_at

    def register(self, block: str, request: wire.Register, proof: Pad | None, *, source: str) -> wire.Registered:
        """Binds the block to the peer that asks from the address `source`, or says why not (Refusal)."""
        facts = self._ledger.facts(block)
        if (request.block, request.client_id) != (block, facts.client):
            raise Refusal("malformed", "expected the block and the client id of the file that the header names")
        owner = self._clients.owner(block)
        if owner.peer is None:
            self._claim_name(block, owner, request.peer, proof, source=source)
        elif owner.peer != request.peer:
            raise Refusal("name-mismatch", "this block belongs to another peer")
        self._clients.make_ready(block)
        return wire.Registered(self._rules.hub_id, request.peer)

    def has_issued(self, block: str) -> bool:
        """Whether this hub has made the block."""
        return self._clients.state_of(block) is not None

    def speaker(self, block: str) -> Client:
        """The client that a message under this block comes from; Refusal `not-registered`."""
        if self._clients.state_of(block) != "ready":
            raise Refusal("not-registered", "expected a register message first")
        return self._clients.owner(block)

    def heard(self, block: str) -> None:
        """Notes that a message under this block has verified."""
        self._clients.heard(self._clients.owner(block), block, now=self._rules.now())

    def bind_found(self) -> list[Client]:
        """Lets registrations through whose peer has come to be known where they called from; returns those."""
        found: list[Client] = []
        for client in self._clients.waiting() if self._rules.binding == "address" else ():
            if self._is_found(client):  # asked one by one: of two that wait for one name, the first gets it
                self.approve(client)
                found.append(client)
        return found

    def approve(self, client: Client) -> None:
        """The operator's word: a registration that waits goes through."""
        assert client.wanted is not None, "the caller has looked"
        self._waiting_at.pop(client.id, None)
        self._clients.bind(client, client.wanted)
        for block in self._clients.blocks(client.id):
            self._clients.make_ready(block)

    def _claim_name(self, block: str, owner: Client, peer: str, proof: Pad | None, *, source: str) -> None:
        holder = self._clients.of_peer(peer)
        if holder is None:
            self._check_binding(owner, peer, source)
            self._clients.bind(owner, peer)
            self._rules.note("client.registered", client=owner.id, peer=peer, block=block)
            return
        if proof is None or self._clients.owner(proof.block).id != holder.id:
            slug = "proof-required" if self._clients.blocks(holder.id) else "name-taken"
            raise Refusal(slug, "another block is bound to this name here")
        self._ledger.claim(proof)
        self._clients.join(block, from_client=owner, to=holder)
        self._rules.note("client.joined", client=holder.id, peer=peer, block=block)

    def _check_binding(self, owner: Client, peer: str, source: str) -> None:
        binding = self._rules.binding
        if binding == "open" or (binding == "address" and self._rules.is_at(peer, source)):
            return
        if owner.wanted is None:
            self._clients.want(owner, peer)
            self._rules.note("client.waiting", client=owner.id, peer=peer, source=source)
        elif owner.wanted != peer:
            raise Refusal("binding-refused", f"this file waits under another name: {owner.wanted}")
        if binding == "address":
            self._waiting_at[owner.id] = source
            raise Refusal("binding-refused", "this hub does not know that peer to be at the address that asks")
        raise Refusal("binding-refused", "an operator of this hub has to approve the name first")

    def _is_found(self, client: Client) -> bool:
        peer, source = client.wanted or "", self._waiting_at.get(client.id, "")
        return self._clients.of_peer(peer) is None and self._rules.is_at(peer, source)
