"""Spans are ranges of a pad, and a set of them is what a receiver has accepted.

* A set is sorted, disjoint, and merged where two spans touch.
* It only grows. Beyond `MAX_INTERVALS` its lowest gap counts as accepted, as what may still come lies above.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_INTERVALS = 4096  # protocol.md section 4, Receiver


class Span(NamedTuple):
    """The bytes `[offset, offset + length)` of a pad."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.length

    def overlaps(self, other: "Span") -> bool:
        """Whether the two share a byte."""
        return self.offset < other.end and other.offset < self.end


class Spans:
    """A growing set of the bytes of one pad."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        pairs = sorted(intervals)
        self._starts = [start for start, _ in pairs]
        self._ends = [end for _, end in pairs]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    def overlaps(self, span: Span) -> bool:
        """Whether any byte of the span is in the set."""
        i = bisect_right(self._ends, span.offset)
        return i < len(self._starts) and self._starts[i] < span.end

    def highest(self, *, below: int, default: int) -> int:
        """The end of the highest byte in the set that lies below `below`; `default` if there is none."""
        i = bisect_left(self._starts, below)
        return min(self._ends[i - 1], below) if i else default

    def add(self, span: Span) -> None:
        """Takes the span in; AssertionError if a byte of it is in the set already."""
        assert not self.overlaps(span), "a claimed span was free a moment ago"
        first = bisect_left(self._ends, span.offset)
        last = bisect_right(self._starts, span.end)
        start = min([span.offset, *self._starts[first:last][:1]])
        end = max([span.end, *self._ends[first:last][-1:]])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        if len(self) > MAX_INTERVALS:  # the two lowest become one
            del self._starts[1], self._ends[0]
