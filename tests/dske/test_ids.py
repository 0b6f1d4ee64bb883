"""A receiver accepts one spelling of an id."""

import os

import pytest
from hypothesis import given, strategies as st

from qfagent.dske import ids
from qfagent.errors import Invalid
from tests import vectors

ALL = vectors.cases("ids")


def result_of(case):
    try:
        match case["op"]:
            case "key_id":
                return {"expect": "ok", "key_id": ids.key_id(case["secret_id"], case["index"])}
            case "parse_key_id":
                secret_id, index = ids.parse_key_id(case["key_id"])
                return {"expect": "ok", "secret_id": secret_id, "index": index}
            case "parse_secret_id":
                return {"expect": "ok", "secret_id": ids.parse_secret_id(case["secret_id"])}
    except Invalid as error:
        return {"expect": error.kind}


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_vector(case):
    result = result_of(case)

    assert result == {name: case[name] for name in result}


@given(st.integers(0, 63))
def test_a_key_id_leads_back_to_its_secret(index):
    secret_id = ids.new_secret_id(os.urandom)

    assert (secret_id, index) == ids.parse_key_id(ids.key_id(secret_id, index))


@given(st.text(max_size=40))
def test_arbitrary_text_is_refused_as_malformed(text):
    with pytest.raises(Invalid) as error:
        ids.parse_key_id(text)

    assert error.value.kind == "malformed"


def test_new_ids_differ():
    made = {ids.new_secret_id(os.urandom) for _ in range(100)} | {ids.new_uuid(os.urandom) for _ in range(100)}

    assert len(made) == 200
