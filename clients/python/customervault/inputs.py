"""What callers hand in. No repr shows a value or an external id."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypedDict

from customervault.values import Decision, QuestionKind


class Field(NamedTuple):
    """One value to store under a field class such as `email`; `label` tells several apart.

    `surrogate` is a token of another vault that is to stand for the value here.
    """

    field_class: str
    value: str
    label: str = ""
    surrogate: str = ""

    def __repr__(self) -> str:
        return f"Field(field_class={self.field_class!r}, label={self.label!r})"


Consent = Literal["none", "given", "withdrawn", "objected"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What of a customer bears on a read of one field class, for one purpose.

    Attributes:
        jurisdiction: ISO 3166-1 alpha-2; empty where it is not known.
        consent: What the customer last said of the purpose.
        restricted: Whether processing is restricted.
        held: Whether a legal hold is on it.
        expired: Whether its time has passed.
    """

    jurisdiction: str = ""
    consent: Consent = "none"
    restricted: bool = False
    held: bool = False
    expired: bool = False


@dataclass(frozen=True, slots=True)
class CustomerRef:
    """Names one customer: by external id, or by any of the customer's tokens.

    Raises:
        ValueError: Neither or both were given.
    """

    external_id: str | None = field(default=None, repr=False)
    token: str | None = None

    def __post_init__(self) -> None:
        if (self.external_id is None) == (self.token is None):
            raise ValueError("name the customer by external_id or by token, exactly one of them")


@dataclass(frozen=True, slots=True)
class Question:
    """What `derive` asks of one value.

    Attributes:
        token: Of the value.
        kind: `age_over`, `country`, `email_domain`, `postcode_area` or `card_bin`.
        age: Completed years, for `age_over`.
        country: ISO 3166-1 alpha-2 of the address, for `postcode_area`.
    """

    token: str
    kind: QuestionKind
    age: int = 0
    country: str = ""


Fields = Mapping[str, str] | Iterable[Field]


@dataclass(frozen=True, slots=True)
class Entry:
    """One customer's fields, for `tokenize_many`. A plain `str` is the external id."""

    customer: str | CustomerRef = field(repr=False)
    fields: Fields = field(repr=False)
    jurisdiction: str = ""


def as_ref(customer: str | CustomerRef) -> CustomerRef:
    """A plain `str` names a customer by external id."""
    return CustomerRef(external_id=customer) if isinstance(customer, str) else customer


def as_fields(fields: Fields) -> list[Field]:
    """A mapping is field class to value, without labels."""
    if isinstance(fields, Mapping):
        return [Field(field_class, value) for field_class, value in fields.items()]
    return list(fields)


def optional_ref(external_id: str | None, token: str | None) -> CustomerRef | None:
    """A reference, or None when no customer is named.

    Raises:
        ValueError: Both were given.
    """
    return None if external_id is None and token is None else CustomerRef(external_id, token)


class AccessFilter(TypedDict, total=False):
    """Which accesses are listed; what is left out, None or empty asks nothing.

    Attributes:
        external_id: Only accesses to this customer; or `token`.
        token: Any token of the customer.
        principal: Only accesses by this principal; "local operator" for whoever has the vault's directory.
        field_class: Only accesses to values of it, and acts on such a value.
        purpose: Only for this purpose.
        actions: Only these calls and acts, such as "Detokenize" or "ApplyPolicy".
        decision: Only where a value was so decided, or, with "denied", an act was refused.
        start: Inclusive; with a time zone.
        end: Exclusive; with a time zone.
    """

    external_id: str | None
    token: str | None
    principal: str
    field_class: str
    purpose: str
    actions: Sequence[str]
    decision: Decision | None
    start: datetime | None
    end: datetime | None
