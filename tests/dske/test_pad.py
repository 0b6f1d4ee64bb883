"""A pad's bytes leave it once; a one-time key speaks once."""

import copy
import pickle

import pytest

from qfagent.dske.pad import Direction, Pad
from qfagent.dske.secret import Secret, xor
from qfagent.dske.spans import Span
from qfagent.errors import OneTimeViolation

MATERIAL = bytes(range(100, 196))


def pad_of(material=MATERIAL):
    return Pad(block="ab" * 16, direction=Direction.USER, span=Span(32, len(material)), r=bytes(16), material=material)


def test_bytes_are_drawn_in_order_and_once():
    pad = pad_of()

    assert (MATERIAL[:32], MATERIAL[32:40]) == (pad.draw(32), pad.draw(8))


def test_no_more_can_be_drawn_than_there_is():
    pad = pad_of()
    pad.draw(90)

    with pytest.raises(OneTimeViolation):
        pad.draw(7)


def test_what_was_sealed_opens_under_the_same_bytes_and_no_others():
    sealed = pad_of().seal(b"a share of a secret")

    assert b"a share of a secret" == pad_of().open(sealed)
    assert b"a share of a secret" != pad_of(MATERIAL[1:]).open(sealed)


def test_a_one_time_key_makes_one_tag():
    authenticator = pad_of().authenticator()
    authenticator.tag(seen=16, context=b"", body=b"one")

    with pytest.raises(OneTimeViolation):
        authenticator.tag(seen=16, context=b"", body=b"two")


def test_a_key_that_has_checked_a_tag_makes_none():
    authenticator = pad_of().authenticator()
    authenticator.verify(bytes(16), seen=16, context=b"", body=b"one")

    with pytest.raises(OneTimeViolation):
        authenticator.tag(seen=16, context=b"", body=b"one")


def test_the_tag_key_never_seals():
    pad = pad_of()
    pad.authenticator()

    assert xor(bytes(8), MATERIAL[32:40]) == pad.seal(bytes(8))


@pytest.mark.parametrize("leak", [repr, str, lambda secret: f"{secret}", lambda secret: f"{[secret]}"])
def test_a_secret_shows_its_length_only(leak):
    assert "<Secret of 5 bytes>" in leak(Secret(b"hello"))


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_copied_out(leak):
    with pytest.raises(TypeError):
        leak(Secret(b"hello"))


def test_a_secret_is_no_dictionary_key():
    with pytest.raises(TypeError):
        hash(Secret(b"hello"))


def test_secrets_compare_by_content():
    assert Secret(b"one") == Secret(b"one")
    assert Secret(b"one") != Secret(b"two")
    assert Secret(b"one") != b"one"


def test_xor_of_different_lengths_is_refused():
    with pytest.raises(ValueError, match="equal length"):
        xor(b"123", b"1234")
