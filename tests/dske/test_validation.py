"""The validation tag holds for the secret it was made of, and for no other."""

import pytest
from Crypto.Protocol.SecretSharing import _Element as Element
from hypothesis import given, strategies as st

from qfagent.dske import validation
from tests import vectors

ALL = vectors.cases("validation")
BLOCK = st.binary(min_size=16, max_size=16)


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_vector(case):
    keys, c, d, o = (bytes.fromhex(case[name]) for name in ("keys", "c", "d", "o"))

    assert (case["expect"] == "ok") == validation.holds(keys + c + d, o)
    assert case["op"] == "verify" or validation.tag(keys, c, d) == o


@given(st.lists(BLOCK, min_size=2, max_size=6).filter(lambda v: len(v) % 2 == 0), BLOCK, BLOCK)
def test_another_field_gives_the_same_tag(blocks, c, d):
    point, total = Element(c), Element(1)
    for coefficient in [bytes(16), bytes(16), *reversed(blocks), d]:
        total = total * point + Element(coefficient)

    assert total.encode() == validation.tag(b"".join(blocks), c, d)


@given(BLOCK, BLOCK, BLOCK, BLOCK, st.integers(0, 8 * 80 - 1))
def test_no_flipped_bit_validates(v1, v2, c, d, bit):
    secret = v1 + v2 + c + d
    o = validation.tag(secret[:-32], c, d)
    bent = (int.from_bytes(secret + o, "big") ^ 1 << bit).to_bytes(80, "big")

    assert not validation.holds(bent[:-16], bent[-16:])
