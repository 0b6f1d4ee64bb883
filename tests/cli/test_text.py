"""How commands show what they have found."""

import pytest

from qfagent.cli.text import clause, duration, facts, printable, size, table, wrapped


@pytest.mark.parametrize(
    "number,shown",
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (131_072, "128 KiB"),
        (130_976, "128 KiB"),
        (64 << 20, "64 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_sizes(number, shown):
    assert size(number) == shown


@pytest.mark.parametrize(
    "seconds,shown",
    [(None, "-"), (0, "0 s"), (0.04, "0 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2 h"), (86_400 * 400, "400 d")],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_a_table_is_aligned_and_remarks_stand_below_their_row():
    lines = table(("ID", "STATE"), [("a", "up", ""), ("long id", "down", "no answer within 3 s")])

    assert lines == ["ID       STATE", "a        up", "long id  down", "  no answer within 3 s"]


def test_a_table_of_nothing_is_its_head():
    assert table(("ID", "STATE"), []) == ["ID  STATE"]


def test_facts_are_aligned():
    assert facts([("id", "x"), ("address", ""), ("n", 1)]) == ["id       x", "address", "n        1"]


def test_long_text_is_wrapped_at_words():
    assert wrapped("word " * 20, indent=2) == ["  " + " ".join(["word"] * 15), "  " + " ".join(["word"] * 5)]


def test_an_id_longer_than_the_line_stays_whole():
    assert wrapped("a " + "x" * 100) == ["a", "x" * 100]


@pytest.mark.parametrize("sign", ["\n", "\x1b", "\x9b", "\u202e", "\u2028", "\r", "\0"])
def test_nothing_that_a_terminal_obeys_is_shown(sign):
    assert printable(f"a{sign}b") == "a b"
    assert table(("A",), [(f"a{sign}b",)])[1] == facts([("", f"a{sign}b")])[0].strip() == "a b"


@pytest.mark.parametrize(
    "text,said",
    [
        ("The caller may not do this.", "the caller may not do this"),
        ("A key leaves once.", "a key leaves once"),
        ("PSRD is used up", "PSRD is used up"),
        ("PsrdPreviouslyInserted: twice.", "PsrdPreviouslyInserted: twice"),
        ("I/O error", "I/O error"),
        ("two\nlines", "two lines"),
        ("", ""),
    ],
)
def test_errors_are_said_as_clauses(text, said):
    assert clause(text) == said
