"""Which values are asked for together: whole batches, in the shape that they are named after."""

from itertools import pairwise

import pytest

from benchmarks.batches import BATCH, FIELDS, Position, chosen, shaped

HELD = [7, 4, 5, 6] * 400


def test_contact_shape_asks_for_five_values_of_a_customer_in_a_row() -> None:
    for batch in shaped(HELD)["contact"]:
        for first in range(0, BATCH, FIELDS):
            group = batch[first : first + FIELDS]
            assert len({position.customer for position in group}) == 1
            assert [position.value for position in group] == list(range(FIELDS))


def test_contact_shape_passes_over_customers_with_fewer_values() -> None:
    asked = {position.customer for batch in shaped(HELD)["contact"] for position in batch}
    assert asked
    assert all(HELD[customer] >= FIELDS for customer in asked)


def test_random_shape_rarely_asks_for_a_customer_twice_in_a_row() -> None:
    batch = shaped(HELD)["random"][0]
    same = sum(one.customer == other.customer for one, other in pairwise(batch))
    assert same < BATCH // 20


@pytest.mark.parametrize("shape", ["contact", "random"])
def test_batches_are_whole_ask_for_no_value_twice_and_repeat_for_a_seed(shape: str) -> None:
    batches = shaped(HELD, seed=3)[shape]
    positions = [position for batch in batches for position in batch]
    assert all(len(batch) == BATCH for batch in batches)
    assert len(set(positions)) == len(positions)
    assert all(position.value < HELD[position.customer] for position in positions)
    assert shaped(HELD, seed=3)[shape] == batches
    assert shaped(HELD, seed=4)[shape] != batches


def test_too_few_values_for_a_batch_are_an_error() -> None:
    with pytest.raises(ValueError, match="too few"):
        shaped([FIELDS] * (BATCH // FIELDS - 1))


def test_vault_and_plain_loop_are_asked_for_the_same_values() -> None:
    batch = [Position(1, 0), Position(0, 2)]
    assert chosen([batch], [["a0", "a1", "a2"], ["b0"]]) == [["b0", "a2"]]
