"""What was done with one customer's data, as it is told to the customer. Times in milliseconds since 1970."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vault.model.blast import ReadCounts
from vault.model.consent import LawfulBasis
from vault.model.requests import CustomerRef


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Whose history, of when (`end_ms` is exclusive), in which language; an empty locale is English."""

    customer: CustomerRef
    locale: str = ""
    start_ms: int = 0
    end_ms: int = 2**63 - 1
    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """One call that touched the customer's data.

    Attributes:
        principal: empty for the vault's operator.
        action: the call, as in the API.
        purpose_description: in the language asked for, or else in English.
        basis: that the caller stated (`basis_stated`), or else the purpose's first one by today's policy.
        counts: of the customer's values, by field class.
        reasons: why something was denied, or why an act was refused.
        text: all of it in plain words.
        leaf: the record's number in the sealed log; None until it is there.
    """

    time_ms: int
    principal: str
    action: str
    purpose: str
    purpose_description: str
    basis: LawfulBasis | None
    basis_stated: bool
    counts: Mapping[str, ReadCounts]
    reasons: Sequence[str]
    break_glass: bool
    text: str
    leaf: int | None = None


@dataclass(frozen=True, slots=True)
class AccessHistory:
    """One page, newest first.

    Attributes:
        locale: the language of the texts.
        removed_until_ms: records up to this time have been removed; 0 where none have.
    """

    events: Sequence[AccessEvent] = field(default_factory=tuple)
    next_page_token: str = ""
    locale: str = "en"
    removed_until_ms: int = 0
