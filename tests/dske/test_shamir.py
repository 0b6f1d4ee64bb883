"""Any k of n shares rebuild the secret; our arithmetic is that of others."""

import itertools

import pyshamir
import pytest
from hypothesis import given, settings, strategies as st

from qfagent.dske import shamir
from qfagent.errors import Invalid
from tests import vectors

ALL = vectors.cases("shamir")


def unhex(values):
    return [bytes.fromhex(value) for value in values]


def result_of(case):
    try:
        if case["op"] == "split":
            secret, coefficients = bytes.fromhex(case["secret"]), unhex(case["coefficients"])
            shares = shamir.split(secret, k=case["k"], n=case["n"], coefficients=coefficients)
            return "ok", [share.hex() for share in shares]
        shares = [(x, bytes.fromhex(share)) for x, share in case["shares"]]
        return "ok", shamir.combine(shares, k=case["k"]).hex()
    except Invalid as error:
        return error.kind, None


@pytest.mark.parametrize("case", ALL, ids=vectors.names(ALL))
def test_vector(case):
    expected = case.get("shares") if case["op"] == "split" else case.get("secret")

    assert (case["expect"], expected if case["expect"] == "ok" else None) == result_of(case)


@st.composite
def sharings(draw):
    n = draw(st.integers(2, 8))
    k = draw(st.integers(2, n))
    size = shamir.secret_size(draw(st.integers(1, 3)))
    secret, *coefficients = (draw(st.binary(min_size=size, max_size=size)) for _ in range(k))
    return k, secret, shamir.split(secret, k=k, n=n, coefficients=coefficients)


@given(sharings(), st.randoms())
@settings(deadline=None)
def test_any_k_shares_in_any_order_rebuild_the_secret(sharing, random):
    k, secret, shares = sharing
    some = random.sample(list(enumerate(shares, 1)), k)

    assert secret == shamir.combine(some, k=k)


@given(sharings())
@settings(deadline=None, max_examples=30)
def test_another_implementation_rebuilds_our_shares(sharing):
    k, secret, shares = sharing
    theirs = [bytearray(share + bytes([x])) for x, share in enumerate(shares, 1)]

    assert secret == bytes(pyshamir.combine(theirs[:k]))


@given(sharings())
@settings(deadline=None)
def test_every_share_lies_on_the_polynomial_of_any_k_others(sharing):
    k, _, shares = sharing
    points = list(enumerate(shares, 1))

    assert shares[-1] == shamir.interpolate(points[:k], at=len(shares))


def test_k_minus_1_shares_fit_every_secret_equally_often():
    # all coefficients of one byte, k = 2: each share value occurs once for every secret
    for secret, x in itertools.product((0, 1, 255), (1, 2, 16)):
        polynomials = [[bytes([secret]), bytes([a])] for a in range(256)]
        values = {shamir._evaluate(polynomial, x) for polynomial in polynomials}

        assert len(values) == 256
