"""A set of spans is a set of bytes, kept small."""

from itertools import pairwise

from hypothesis import given, strategies as st

from qfagent.dske import spans
from qfagent.dske.spans import Span, Spans

SPANS = st.builds(Span, st.integers(0, 300), st.integers(1, 20))


def grown(wanted):
    """The set of those spans that were free in their turn, and the plain set of bytes that it stands for."""
    accepted, model = Spans(), set()
    for span in wanted:
        taken = set(range(span.offset, span.end))
        assert accepted.overlaps(span) == bool(taken & model)
        if not accepted.overlaps(span):
            accepted.add(span)
            model |= taken
    return accepted, model


@given(st.lists(SPANS, max_size=60))
def test_it_holds_the_bytes_that_were_added(wanted):
    accepted, model = grown(wanted)

    assert model == {byte for start, end in accepted for byte in range(start, end)}


@given(st.lists(SPANS, max_size=60))
def test_intervals_are_sorted_disjoint_and_never_touch(wanted):
    intervals = list(grown(wanted)[0])

    assert all(before[1] < after[0] for before, after in pairwise(intervals))


@given(st.lists(SPANS, max_size=60), st.integers(0, 320))
def test_highest_is_the_end_of_the_highest_byte_below(wanted, below):
    accepted, model = grown(wanted)

    assert accepted.highest(below=below, default=-1) == max((b + 1 for b in model if b < below), default=-1)


def test_beyond_the_limit_the_lowest_gap_counts_as_accepted_and_no_other(monkeypatch):
    monkeypatch.setattr(spans, "MAX_INTERVALS", 4)
    accepted = Spans([(10, 11), (20, 21), (30, 31), (40, 41)])

    accepted.add(Span(50, 1))

    assert [(10, 21), (30, 31), (40, 41), (50, 51)] == list(accepted)


def test_a_span_below_all_others_is_kept_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(spans, "MAX_INTERVALS", 2)
    accepted = Spans([(10, 11), (20, 21)])

    accepted.add(Span(0, 1))

    assert [(0, 11), (20, 21)] == list(accepted)
