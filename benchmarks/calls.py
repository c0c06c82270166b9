"""Which values a call asks for, and the calls as bytes.

- `contact`: whole customers, five values each, customers in random order: a page of a contact list.
- `random`: values in random order, one customer's rarely beside another of the same customer.
- `zipf`: values drawn by Zipf's law with exponent 0.99, as in YCSB: the n-th most wanted is wanted n to the
  -0.99 times as often as the first. Which values are the wanted ones is random.

An order is a list of numbers of values, the same for the same seed; vault, echo and C loop follow the same.
"""

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from customervault.v1 import token_service_pb2 as api

from benchmarks.filling import FIELDS, Filled

SERVICE = "/customervault.v1.TokenService/"
DETOKENIZE = SERVICE + "Detokenize"
PURPOSE = "support"
ZIPF_EXPONENT = 0.99


class Call(NamedTuple):
    """One request, and how many values its reply has to hold; 0 where it is not a Detokenize."""

    method: str
    request: bytes
    values: int


def contact_order(customers: Sequence[int], seed: int = 7) -> list[int]:
    """All values of these customers."""
    shuffled = list(customers)
    random.Random(seed).shuffle(shuffled)
    return [value for number in shuffled for value in range(FIELDS * number, FIELDS * (number + 1))]


def random_order(values: Sequence[int], seed: int = 7) -> list[int]:
    """Each of these values once."""
    shuffled = list(values)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def zipf_order(values: Sequence[int], draws: int, seed: int = 7) -> list[int]:
    """So many draws; often the same value again."""
    weights = list(accumulate(rank**-ZIPF_EXPONENT for rank in range(1, len(values) + 1)))
    return random.Random(seed).choices(random_order(values, seed), cum_weights=weights, k=draws)


def whole(order: Sequence[int], batch: int, most_calls: int = 0) -> list[int]:
    """The part of an order that fills whole batches; of at most `most_calls` if that is not 0.

    Raises:
        ValueError: There is not one whole batch.
    """
    calls = len(order) // batch
    if not calls:
        raise ValueError(f"too few values for a batch of {batch}")
    return list(order[: batch * (min(calls, most_calls) if most_calls else calls)])


def detokenize_calls(filled: Filled, order: Sequence[int], batch: int) -> list[Call]:
    """Detokenize requests for whole batches of an order."""
    return [
        Call(
            DETOKENIZE,
            api.DetokenizeRequest(
                tokens=[filled.token(value) for value in order[first : first + batch]], purpose=PURPOSE
            ).SerializeToString(),
            batch,
        )
        for first in range(0, len(order), batch)
    ]


def keys_of(filled: Filled, order: Sequence[int]) -> bytes:
    """The same order for the C loop: 9 bytes a value."""
    return b"".join([filled.key(value) for value in order])
