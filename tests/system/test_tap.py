"""The tap sees what it must see: a test of the observer itself."""

from tests.system.tap import Record

HEAD = b"POST /dske/v1/secrets HTTP/1.1\r\nDSKE-Auth: block=%s; offset=%d; length=%d; seen=16; tag=%s\r\n"


def message(offset, length, tag=b"0", block=b"a"):
    return HEAD % (block * 32, offset, length, tag * 32)


def violations(*messages):
    record = Record()
    for head, body in messages:
        record.message("user", head, body, whole=True)
    return len(record.violations)


def test_a_span_with_two_contents_is_noticed():
    assert 1 == violations((message(32, 96), b"one"), (message(32, 96, b"1"), b"two"))


def test_a_span_that_overlaps_by_one_byte_is_noticed():
    assert 1 == violations((message(32, 96), b"one"), (message(127, 32), b"two"))


def test_the_same_message_twice_is_one_use():
    assert 0 == violations((message(32, 96), b"one"), (message(32, 96), b"one"))


def test_a_message_that_was_cut_is_the_same_use():
    assert 0 == violations((message(32, 96), b"o"), (message(32, 96), b"one"))


def test_neighbours_and_other_blocks_are_other_uses():
    assert 0 == violations((message(32, 96), b"1"), (message(128, 32), b"2"), (message(32, 96, block=b"b"), b"3"))
