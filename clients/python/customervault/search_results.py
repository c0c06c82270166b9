"""What searches return: tokens, never values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FoundCustomer:
    """A customer who holds what was looked for.

    Attributes:
        customer_token: Of the customer.
        tokens: Of the values that were looked for, or are shared, by field class; the first of each
            class where the customer holds several spellings.
    """

    customer_token: str
    tokens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Customers who share a value; `more` further ones, beyond 1,000, were not looked at."""

    customers: Sequence[FoundCustomer]
    more: int = 0


@dataclass(frozen=True, slots=True)
class SearchEntry:
    """A field class or compound that the vault declares searchable.

    Attributes:
        name: Of the class or compound.
        field_classes: What a search for it has to give.
        ready: Whether it can be used; until then a search raises `SearchIncompleteError`.
        done: Customer numbers looked at while the index is built, of `total`.
        damaged: Customers whose records were too damaged to be indexed.
    """

    name: str
    field_classes: Sequence[str]
    ready: bool
    done: int
    total: int
    damaged: int
