"""Which values are asked for together.

- `contact`: five values of each of a hundred customers, as a page of a contact list asks for them.
- `random`: values drawn from all, one customer's rarely beside another of the same customer.

Vault and plain loop are asked for the same values in the same order.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

BATCH = 500
FIELDS = 5
SHAPES = ("contact", "random")


@dataclass(frozen=True, slots=True)
class Position:
    """One value: the customer's place in the file, and the value's place in the customer, from 0."""

    customer: int
    value: int


def contact_shape(held: Sequence[int], seed: int) -> list[list[Position]]:
    """Whole batches of five values a customer; customers with fewer are passed over.

    Args:
        held: How many values each customer has.
        seed: Decides which customers share a batch.
    """
    customers = [number for number, count in enumerate(held) if count >= FIELDS]
    random.Random(seed).shuffle(customers)
    return _whole([Position(number, value) for number in customers for value in range(FIELDS)])


def random_shape(held: Sequence[int], seed: int) -> list[list[Position]]:
    """Whole batches of all values, shuffled."""
    positions = [Position(number, value) for number, count in enumerate(held) for value in range(count)]
    random.Random(seed).shuffle(positions)
    return _whole(positions)


def shaped(held: Sequence[int], seed: int = 7) -> dict[str, list[list[Position]]]:
    """The batches of every shape.

    Raises:
        ValueError: There are too few values for a batch.
    """
    found = {"contact": contact_shape(held, seed), "random": random_shape(held, seed)}
    if not all(found.values()):
        raise ValueError(f"too few values for a batch of {BATCH}")
    return found


def chosen(batches: Sequence[Sequence[Position]], items: Sequence[Sequence[Item]]) -> list[list[Item]]:
    """The items (tokens, keys) at the positions of each batch."""
    return [[items[at.customer][at.value] for at in batch] for batch in batches]


def _whole(positions: Sequence[Position]) -> list[list[Position]]:
    whole = len(positions) - len(positions) % BATCH
    return [list(positions[first : first + BATCH]) for first in range(0, whole, BATCH)]
