"""An audit holds a block's pad file against the block as it came, and against what the database says of it.

* Reserved and unspent bytes are as they came, the bytes of kept wraps too; what is spent or accepted is erased.
* Marks come from the database, as the next start would read them.
"""

from collections.abc import Iterator

from qfagent.dske.psrd import Block
from qfagent.store.store import Store
from qfagent.testing.witness import Broken

Range = tuple[int, int]  # offsets in a pad file


def check_pads(block: Block, data: bytes, store: Store, *, erased: bool) -> None:
    """Raises Broken if the file of a live block holds what it must not; not yet `erased`: spent bytes may be there."""
    came = block.user.reveal() + block.server.reveal()
    if len(data) != len(came):
        raise Broken("pad-damaged", f"the file of block {block.id} has {len(data)} bytes, expected {len(came)}")
    gone = bytearray(len(came))
    for start, end in _spent(block, store):
        gone[start:end] = b"\xff" * (end - start)
    for start, end in _kept(block, store):
        gone[start:end] = bytes(end - start)
    at = _first((_number(data) ^ _number(came)) & ~_number(gone), len(came))
    if at is not None:
        raise Broken("pad-damaged", f"the byte at {at} of the file of block {block.id} is needed")
    at = _first(_number(data) & _number(gone), len(came)) if erased else None
    if at is not None:
        raise Broken("not-erased", f"the byte at {at} of the file of block {block.id} is spent")


def _spent(block: Block, store: Store) -> Iterator[Range]:
    marks = store.ledger._load(block.id)  # noqa: SLF001  # past what the ledger holds in memory
    for at, length in marks.spent_spans():
        yield at, at + length
    for span in marks.accepted_spans():
        at = marks.facts.at(marks.facts.other, span.offset)
        yield at, at + span.length


def _kept(block: Block, store: Store) -> Iterator[Range]:
    for start, length in store.database.rows("SELECT start, length FROM wraps WHERE block = ?", block.id):
        yield len(block.user) + start, len(block.user) + start + length


def _number(data: bytes | bytearray) -> int:
    return int.from_bytes(data, "big")


def _first(wrong: int, size: int) -> int | None:
    """The offset of the first byte that is not zero."""
    return size - (wrong.bit_length() + 7) // 8 if wrong else None
