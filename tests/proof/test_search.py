"""A search finds a secret in every form, wherever it begins; and nothing where there is nothing."""

from base64 import b64encode, urlsafe_b64encode
from random import Random

import pytest

from tests.proof.search import Needles

CHANCE = Random(4)
KEY, PAD = CHANCE.randbytes(32), CHANCE.randbytes(1 << 20)
FORMS = {
    "": bytes,
    " in hex": lambda data: data.hex().encode(),
    " in hex, upper case": lambda data: data.hex().upper().encode(),
    " in base64": b64encode,
    " in base64, for URLs": urlsafe_b64encode,
    " in escapes": lambda data: repr(data).encode(),
    " in escapes twice": lambda data: repr(repr(data)).encode(),
}


@pytest.fixture(scope="module")
def needles():
    made = Needles()
    made.add("the key", KEY)
    made.add("the pad", PAD)
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name,length", [("the key", 27), ("the pad", 67)])
def test_a_secret_is_found_in_every_form_wherever_it_begins(needles, form, name, length):
    secret = {"the key": KEY, "the pad": PAD}[name]
    for _ in range(40):
        start = CHANCE.randrange(len(secret) - length + 1)
        clear = CHANCE.randbytes(CHANCE.randrange(9)) + secret[start : start + length] + CHANCE.randbytes(2)
        text = CHANCE.randbytes(CHANCE.randrange(40)) + FORMS[form](clear) + b'"'

        assert f"{name}{form.split(',')[0]}" in needles.found_in(text)


def test_a_secret_is_found_where_two_chunks_meet(needles):
    for at in ((1 << 24) - 9, 1 << 24):
        assert {"the key"} == needles.found_in(bytes(at) + KEY + bytes(9))


def test_nothing_is_found_where_nothing_is(needles):
    text = CHANCE.randbytes(1 << 17)

    assert set() == needles.found_in(b"".join(form(text) for form in FORMS.values()))


@pytest.mark.parametrize("data", [bytes(64), bytes(range(64))], ids=["zeros", "numbers"])
def test_what_is_not_random_is_no_secret(data):
    needles = Needles()
    needles.add("nothing", data)

    assert set() == needles.found_in(data * 9)
