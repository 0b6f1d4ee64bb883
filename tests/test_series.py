"""Series, held against another reader of the text format."""

import math

from hypothesis import given, strategies as st
from prometheus_client.parser import text_string_to_metric_families

from qfagent.series import Counter, Gauge, Histogram, exposition

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)


def read(*families):
    """What another program reads: (name, labels) -> value."""
    parsed = text_string_to_metric_families(exposition(families).decode())
    return {(s.name, *s.labels.items()): s.value for family in parsed for s in family.samples}


def kinds(*families):
    return [(family.name, family.type) for family in text_string_to_metric_families(exposition(families).decode())]


@given(st.dictionaries(st.tuples(WORDS, WORDS), st.floats(allow_nan=False)))
def test_any_value_under_any_labels_is_read_as_it_was_set(values):
    gauge = Gauge("g", "meaning", ["one", "two"])
    for (one, two), value in values.items():
        gauge.set(value, one, two)

    assert {("g", ("one", one), ("two", two)): value for (one, two), value in values.items()} == read(gauge)


@given(st.lists(st.floats(-10, 10)))
def test_a_histogram_counts_what_is_at_most_so_large(values):
    histogram = Histogram("h", "meaning", bounds=(0.5, 1, 5))
    for value in values:
        histogram.observe(value)
    found = read(histogram)

    for bound, told in ((0.5, "0.5"), (1, "1.0"), (5, "5.0"), (math.inf, "+Inf")):
        assert sum(value <= bound for value in values) == found["h_bucket", ("le", told)]
    assert len(values) == found["h_count",]
    assert math.isclose(math.fsum(values), found["h_sum",], abs_tol=1e-9)


def test_each_family_tells_its_kind():
    families = Gauge("g", "up and down"), Counter("c_total", "up"), Histogram("h", "spread", bounds=(1,))

    assert [("g", "gauge"), ("c", "counter"), ("h", "histogram")] == kinds(*families)


def test_without_labels_a_series_is_there_from_the_start():
    assert {("g",): 0, ("c_total",): 0} == read(Gauge("g", "up and down"), Counter("c_total", "up"))


def test_with_labels_there_is_none_before_it_is_named():
    assert {} == read(Gauge("g", "up and down", ["hub"]), Counter("c_total", "up", ["cause"]))


def test_a_gauge_that_is_cleared_has_forgotten_its_series():
    one, labelled = Gauge("one", "up and down"), Gauge("many", "up and down", ["hub"])
    one.set(7)
    labelled.set(7, "h1")
    one.clear()
    labelled.clear()

    assert {("one",): 0} == read(one, labelled)
