"""What must hold of a machine that has just started, whatever happened to it before."""

from qfagent.dske.pad import Direction
from qfagent.dske.secret import xor
from qfagent.dske.wire import MAX_EXPIRES
from qfagent.testing.audit import check_pads
from qfagent.testing.witness import Broken
from tests.power.places import INBOX, POOL, SHARE_TTL, STATE

LIVE = ("new", "ready", "stopped")


def expect(holds, promise, detail):
    if not holds:
        raise Broken(promise, detail)


def audit_hub(stage, hub):
    """Blocks that were carried away are known and whole, and shares that were acknowledged can be fetched."""
    witness = stage.witness
    live = {block for (block,) in hub.store.database.rows("SELECT id FROM blocks WHERE state IN ('new', 'ready')")}
    for block in witness.blocks.values():
        state = hub.books.clients.state_of(block.id)
        expect(state is not None, "block-lost", f"the hub does not know block {block.id}, which was carried away")
        unsure = hub.faulty and block.id in _never_handed_out(hub)  # its folder could not be synced
        known = state in LIVE or block.id in stage.ended or unsure
        expect(known, "block-lost", f"the hub has block {block.id} as {state}")
        if state in LIVE:
            _audit_marks(hub, witness, block, own=Direction.SERVER)
    if not hub.troubled:
        _audit_litter(hub, live)
        unfinished = [name for name in hub.files(POOL) if name.startswith(".")]
        expect(not unfinished, "pool-litter", f"unfinished pool files: {unfinished}")
    _audit_registry(hub)
    for which, kept in witness.kept.items():
        _audit_share(stage, which, kept)


def audit_client(stage, client):
    """Blocks that were ingested are known and whole, dropped files are in or still there, keys that left are logged."""
    database, witness = client.store.database, stage.witness
    known = dict(database.rows("SELECT id, state FROM blocks"))
    spent = {block for (block,) in database.rows("SELECT id FROM blocks WHERE state = 'gone' AND reason = 'spent'")}
    for block in client.receipts:
        expect(block in known, "block-lost", f"{client.name} has forgotten block {block}")
    for block, state in known.items():
        ended = state in LIVE or block in stage.ended | spent
        expect(ended, "block-lost", f"{client.name} has block {block} as {state}")
        if state in LIVE:
            _audit_marks(client, witness, witness.blocks[block], own=Direction.USER)
        if state == "ready" and block in client.evidence:
            limit = client.desk.ledger.facts(block).limit(Direction.USER)
            goes_on = client.desk.ledger.next(block) >= min(limit, client.evidence[block])
            expect(goes_on, "resumed-too-early", f"{client.name} goes on in block {block} below what its hub has seen")
    if not client.troubled:
        _audit_litter(client, {block for block, state in known.items() if state in LIVE})
    inbox = client.files(INBOX)
    for name, (block, data) in client.dropped.items():
        there = block in known or inbox.get(name) == data
        expect(there, "file-lost", f"{name} with block {block} is neither ingested nor in the inbox of {client.name}")
    for what, indices in witness.released.items():
        recent = {index for index, at in indices.items() if stage.now < at + MAX_EXPIRES}
        logged = client.desk.keys.released(what.generator, what.secret_id)
        expect(what.agent != client.name or recent <= logged, "key-unlogged", f"a key of {what}")
    audit_rollback(stage, client)


def audit_inbox(client):
    """No pad bytes are left of files that were taken in."""
    for folder in (INBOX, f"{STATE}/rejected"):
        for name, data in client.files(folder).items():
            content = client.content(f"{folder}/{name}")
            came = next((came for taken_in, came in client.taken_in if taken_in is content), b"")
            first = came.find(b'"psrd":') + 64  # behind the bytes that are public or never spent
            left = b'"psrd":' in came and any(
                data[at : at + 16] == came[at : at + 16] for at in range(first, len(came) - 16, 16)
            )
            expect(not left, "file-left", f"{folder}/{name} of {client.name} was taken in, and its pad is still there")


def audit_openable(stage, client):
    """What the hub has acknowledged for a client, that client can open."""
    for which, kept in stage.witness.kept.items():
        if which.recoverer == client.name and stage.now < kept.sent_at + SHARE_TTL:
            _audit_openable(stage, client, which)


def _audit_openable(stage, client, which):
    share = next(s for s in stage.hub.books.shares.of_id(which.recoverer, which.secret_id, now=stage.now))
    made = stage.secrets[which.generator, which.secret_id]
    if share.block in stage.ended or len(client.desk.keys.released(*which[1:])) == len(made.keys):
        return
    holding = client.desk.holdings._find("id = ?", share.block)
    expect(holding and holding[0].state in LIVE, "share-lost", f"{which} lies under {holding}")
    at = holding[0].user_bytes + share.start
    block = stage.witness.blocks[share.block]
    found = client.files(f"{STATE}/pads")[share.block][at : at + len(share.share)]
    there = found == block.server.reveal()[share.start :][: len(found)]
    expect(there, "share-lost", f"{client.name} has erased what {which} lies under")


def audit_rollback(stage, client):
    """Neither side may take the other's memory for a sign that it was rolled back."""
    if stage.hub.store is None or client.store is None:
        return
    theirs, ours = stage.hub.books.ledger, client.desk.ledger
    for holding in client.desk.holdings.live():
        if holding.id not in stage.ended:
            expect(theirs.seen(holding.id) <= ours.next(holding.id), "rollback", f"hub has seen more of {holding.id}")
            expect(ours.seen(holding.id) <= theirs.spent(holding.id), "rollback", f"hub has spent less of {holding.id}")


def _audit_marks(machine, witness, block, *, own):
    """The pad file is what the database says, and the database knows of everything that was seen."""
    store = machine.store
    data = machine.files(f"{STATE}/pads").get(block.id)
    expect(data is not None, "pad-damaged", f"{machine.name} has no pad file of block {block.id}")
    check_pads(block, data, store, erased=not machine.stage.is_crowded)
    marks, seen = store.ledger._load(block.id), witness.spent(block.id, own)
    expect(seen <= marks.spent, "mark-moved-back", f"{machine.name}: block {block.id} was seen spent to {seen}")
    if own is Direction.SERVER:
        for span in witness.answered[block.id]:
            expect(marks.accepted.overlaps(span), "claim-lost", f"the span at {span.offset} of block {block.id}")


def _never_handed_out(hub):
    return {block for (block,) in hub.store.database.rows("SELECT id FROM blocks WHERE reason = 'never handed out'")}


def _audit_litter(machine, live):
    stray = machine.files(f"{STATE}/pads").keys() - live - {"CACHEDIR.TAG"}
    expect(not stray, "pad-litter", f"{machine.name} has pads of unknown blocks: {stray}")


def _audit_registry(hub):
    wrong = hub.store.database.rows("SELECT id FROM clients WHERE peer IS NOT NULL AND handout NOT IN ('none', 'used')")
    expect(not wrong, "bound-client-expires", f"clients {wrong} are bound, and count as handed out")


def _audit_share(stage, which, kept):
    if stage.now >= kept.sent_at + SHARE_TTL:
        return
    shares = stage.hub.books.shares.of_id(which.recoverer, which.secret_id, now=stage.now)
    found = next((share for share in shares if share.generator == which.generator), None)
    expect(found is not None, "share-lost", f"{which}")
    server = stage.witness.blocks[found.block].server.reveal()
    opened = xor(found.share, server[found.start : found.start + len(found.share)])
    expect(opened == kept.share, "share-changed", f"{which}")
    expect(found.start + len(found.share) <= len(server), "share-changed", f"{which}")
