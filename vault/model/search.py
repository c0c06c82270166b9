"""What look-ups by value take and give."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vault.model.consent import LawfulBasis
from vault.model.secret import Secret


class SearchTerm(NamedTuple):
    """A value and the field class in which it is looked for."""

    field_class: str
    value: Secret


@dataclass(frozen=True, slots=True)
class Search:
    """Who holds all of these values? `region` (ISO 3166-1 alpha-2) is where phone numbers are dialled."""

    terms: Sequence[SearchTerm] = field(repr=False)
    purpose: str
    basis: LawfulBasis | None = None
    region: str = ""
    domain: str = ""
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class DuplicateSearch:
    """Which customers share a value? `entry` is a field class or a compound."""

    entry: str
    purpose: str
    basis: LawfulBasis | None = None
    domain: str = ""
    page_size: int = 0
    page_token: str = ""


class FoundValue(NamedTuple):
    """A value that was looked for, or that others share."""

    field_class: str
    token: str


@dataclass(frozen=True, slots=True)
class Found:
    """A customer who holds what was looked for."""

    customer_token: str
    values: Sequence[FoundValue]


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Customers who share a value. `more`: so many further ones were not looked at."""

    customers: Sequence[Found]
    more: int = 0


@dataclass(frozen=True, slots=True)
class SearchEntry:
    """A look-up that the configuration declares, and how far its index is: `done` of `total` customers."""

    name: str
    field_classes: Sequence[str]
    ready: bool
    done: int = 0
    total: int = 0
    damaged: int = 0
