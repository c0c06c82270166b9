"""How far a stolen credential, or a bad hour, reached. Times in milliseconds since 1970."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlastQuery:
    """Whose reads, of when, for what. At least a principal or one end of the time is given.

    `start_ms` is inclusive; `end_ms` exclusive, 0 for now. An empty principal or purpose stands for all.
    """

    principal: str = ""
    purpose: str = ""
    start_ms: int = 0
    end_ms: int = 0
    domain: str = ""
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """How often values were asked for: revealed in plain, masked, denied; `answered`: told of, not shown.

    `values` counts the different ones that were revealed; it is 0 where customers are not told apart.
    """

    plain: int
    masked: int
    denied: int
    values: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True)
class CustomerReads:
    """One customer's part, by field class; the class "" is that of denied items of which none is known."""

    customer_token: str
    jurisdiction: str
    first_ms: int
    last_ms: int
    counts: Mapping[str, ReadCounts]


@dataclass(frozen=True, slots=True)
class CallCount:
    """How many calls of a kind there were; `reason` is why they were refused as a whole, if they were."""

    action: str
    break_glass: bool
    reason: str
    calls: int


@dataclass(frozen=True, slots=True)
class LogGap:
    """The log may lack records between two moments."""

    start_ms: int
    end_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class LogCoverage:
    """What an answer rests on; see `vault.audit.tally.Completeness`."""

    leaves: int
    records: int
    records_sealed: int
    unsealed_ms: int
    gaps: Sequence[LogGap]
    gap_count: int
    removed: int
    removed_until_ms: int
    damaged: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """One page of it.

    Attributes:
        customers: of this page, by ascending customer number.
        end_ms: where the time asked for ends.
        first_ms: of the first read of a customer; 0 where there is none. `last_ms` likewise.
        totals: of all customers, those without a name included, by field class.
        unnamed: denied items that name no customer, by reason.
        calls: what they were asked by.
        locators: how many names for customers the answer has; `locators_found` are this page's customers'.
            What remains after the last page are customers who were shredded since.
    """

    customers: Sequence[CustomerReads]
    next_page_token: str
    end_ms: int
    first_ms: int
    last_ms: int
    totals: Mapping[str, ReadCounts]
    unnamed: Mapping[str, int]
    calls: Sequence[CallCount]
    coverage: LogCoverage
    locators: int
    locators_found: int
