"""Which values are asked for: whole batches, in the order that they are named after, the same every time."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from customervault.v1 import token_service_pb2 as api

from benchmarks.calls import contact_order, detokenize_calls, keys_of, random_order, whole, zipf_order
from benchmarks.filling import FIELDS, TOKEN_BYTES, Filled

CUSTOMERS = 200
VALUES = CUSTOMERS * FIELDS


def filled() -> Filled:
    tokens = b"".join(b"cv1_%032d" % value for value in range(VALUES))
    keys = b"".join(value.to_bytes(9, "big") for value in range(VALUES))
    return Filled(Path(), VALUES, 1, bytes(16), tokens, keys)


def test_contact_order_has_whole_customers_in_no_order() -> None:
    order = contact_order(range(CUSTOMERS))
    groups = [order[first : first + FIELDS] for first in range(0, VALUES, FIELDS)]
    assert all(group == list(range(group[0], group[0] + FIELDS)) for group in groups)
    assert all(group[0] % FIELDS == 0 for group in groups)
    assert sorted(order) == list(range(VALUES))
    assert order != sorted(order)


def test_random_order_rarely_has_a_customer_twice_in_a_row() -> None:
    order = random_order(range(VALUES))
    same = sum(one // FIELDS == other // FIELDS for one, other in pairwise(order))
    assert sorted(order) == list(range(VALUES))
    assert same < VALUES // 20


def test_by_zipf_the_first_is_wanted_as_often_as_the_law_says() -> None:
    draws = 50_000
    counts = Counter(zipf_order(range(VALUES), draws)).most_common()
    norm = sum(rank**-0.99 for rank in range(1, VALUES + 1))
    assert counts[0][1] == pytest.approx(draws / norm, rel=0.05)
    assert counts[0][1] == pytest.approx(10 * counts[9][1], rel=0.25)


@pytest.mark.parametrize("make", [contact_order, random_order])
def test_a_seed_decides_an_order(make: object) -> None:
    assert callable(make)
    assert make(range(50), seed=3) == make(range(50), seed=3)
    assert make(range(50), seed=3) != make(range(50), seed=4)


def test_only_whole_batches_are_asked_for() -> None:
    assert whole(range(25), 10) == list(range(20))
    assert whole(range(25), 10, most_calls=1) == list(range(10))
    with pytest.raises(ValueError, match="too few"):
        whole(range(9), 10)


def test_vault_and_c_loop_are_asked_for_the_same_values() -> None:
    order = [7, 3, 900, 1]
    calls = detokenize_calls(filled(), order, 2)
    requests = [api.DetokenizeRequest.FromString(call.request) for call in calls]
    asked = [token for request in requests for token in request.tokens]
    assert [int(token.removeprefix("cv1_")) for token in asked] == order
    assert [call.values for call in calls] == [2, 2]
    keys = keys_of(filled(), order)
    assert [int.from_bytes(keys[9 * place : 9 * place + 9], "big") for place in range(4)] == order
    assert {len(token) for token in asked} == {TOKEN_BYTES}
