"""What a blast radius and a customer's access history hold. Times are aware and in UTC."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from customervault.values import LawfulBasis


class ReadCounts(NamedTuple):
    """How often values were asked for: revealed in plain, revealed masked, denied.

    `answered` is how often something was told of them without revealing them: a pseudonym, a comparison, a
    derived answer.

    `values` counts the different ones that were revealed, of one customer or of several; it is 0 for
    customers who have no name any more.
    """

    plain: int = 0
    masked: int = 0
    denied: int = 0
    values: int = 0
    answered: int = 0

    def plus(self, other: "ReadCounts") -> "ReadCounts":
        """The sums."""
        return ReadCounts(*(one + two for one, two in zip(self, other, strict=True)))

    def minus(self, other: "ReadCounts") -> "ReadCounts":
        """What remains, without `values`."""
        rest = ReadCounts(*(one - two for one, two in zip(self, other, strict=True)))
        return rest._replace(values=0)


@dataclass(frozen=True, slots=True)
class CustomerReads:
    """What was read of one customer, by field class; `jurisdiction` is the customer's, empty for none."""

    customer_token: str
    jurisdiction: str
    first: datetime | None
    last: datetime | None
    counts: Mapping[str, ReadCounts]

    @property
    def revealed(self) -> int:
        """Values revealed, in plain or masked."""
        return sum(each.plain + each.masked for each in self.counts.values())


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one kind; `reason` is why they were refused as a whole, if they were."""

    action: str
    break_glass: bool
    reason: str
    calls: int


@dataclass(frozen=True, slots=True)
class LogGap:
    """The access log may lack records between two moments."""

    start: datetime | None
    end: datetime | None
    cause: str


@dataclass(frozen=True, slots=True)
class LogCoverage:
    """What an answer rests on.

    Attributes:
        leaves: Of the sealed log.
        records: That the answer is made of; `records_sealed` of them are sealed.
        unsealed: Time of the oldest record within the time asked for that is not sealed yet.
        gaps: That may have taken records of that time; the first 20 of `gap_count`.
        removed: Leaves that retention has removed and that may have been records sought, the newest of them
            of the time `removed_until`.
        damaged: Places of the log that cannot be read.
    """

    leaves: int
    records: int
    records_sealed: int
    unsealed: datetime | None
    gaps: Sequence[LogGap]
    gap_count: int
    removed: int
    removed_until: datetime | None
    damaged: int

    @property
    def complete(self) -> bool:
        """Whether nothing that the log knows of is missing from the answer."""
        return not (self.gap_count or self.removed or self.damaged)


@dataclass(frozen=True, slots=True)
class BlastRadiusPage:
    """Some of the customers; everything else is of the whole answer, and the same on every page.

    Attributes:
        end: Where the time asked for ends.
        totals: By field class, customers without a name included.
        unnamed: Denied items that name no customer, by reason.
        locators: How many names for customers the answer has, `locators_found` of them this page's.
    """

    customers: Sequence[CustomerReads]
    end: datetime | None
    first: datetime | None
    last: datetime | None
    totals: Mapping[str, ReadCounts]
    unnamed: Mapping[str, int]
    calls: Sequence[CallCount]
    coverage: LogCoverage
    locators: int
    locators_found: int


@dataclass(slots=True)
class BlastRadiusTotals:
    """Adds up the pages of a blast radius, without keeping the customers.

    Attributes:
        customers: Who has a name; `customers_revealed` of them had a value revealed, others were denied.
        by_class: Of customers with a name, by field class; `by_jurisdiction` likewise.
        customers_in: How many there are of each jurisdiction.
        last_page: The page added last.
    """

    customers: int = 0
    customers_revealed: int = 0
    by_class: dict[str, ReadCounts] = field(default_factory=dict)
    by_jurisdiction: dict[str, ReadCounts] = field(default_factory=dict)
    customers_in: dict[str, int] = field(default_factory=dict)
    locators_found: int = 0
    last_page: BlastRadiusPage | None = None

    def add(self, page: BlastRadiusPage) -> None:
        """Adds a page; each once, in any order."""
        for row in page.customers:
            self.customers += 1
            self.customers_revealed += bool(row.revealed)
            self.customers_in[row.jurisdiction] = self.customers_in.get(row.jurisdiction, 0) + 1
            for name, counts in row.counts.items():
                _count(self.by_class, name, counts)
                _count(self.by_jurisdiction, row.jurisdiction, counts)
        self.locators_found += page.locators_found
        self.last_page = page

    @property
    def gone_locators(self) -> int:
        """Names in the log of customers who were shredded since."""
        return self.last_page.locators - self.locators_found if self.last_page else 0

    @property
    def gone(self) -> dict[str, ReadCounts]:
        """What was read of those, by field class."""
        totals = self.last_page.totals if self.last_page else {}
        rest = {name: each.minus(self.by_class.get(name, ReadCounts())) for name, each in totals.items()}
        return {name: counts for name, counts in rest.items() if any(counts)}


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """All of it: every customer, and the totals."""

    customers: Sequence[CustomerReads]
    totals: BlastRadiusTotals

    @classmethod
    def of(cls, pages: Iterable[BlastRadiusPage]) -> "BlastRadius":
        """Puts all pages together."""
        totals = BlastRadiusTotals()
        customers: list[CustomerReads] = []
        for page in pages:
            totals.add(page)
            customers += page.customers
        return cls(tuple(customers), totals)


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """One call that touched a customer's data.

    Attributes:
        principal: Empty for the vault's operator.
        purpose_description: In the language asked for, or else in English.
        basis: That the caller stated (`basis_stated`), or else the purpose's first one by today's policy.
        counts: Of the customer's values, by field class.
        text: All of it in plain words.
        leaf: Its number in the sealed log; None until it is sealed.
    """

    time: datetime | None
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
    leaf: int | None


@dataclass(frozen=True, slots=True)
class AccessHistoryPage:
    """Some of a customer's access history, newest first.

    Attributes:
        locale: The language of the texts.
        removed_until: Records up to this time have been removed from the log.
    """

    events: Sequence[AccessEvent]
    locale: str
    removed_until: datetime | None


def _count(sums: dict[str, ReadCounts], name: str, counts: ReadCounts) -> None:
    sums[name] = sums.get(name, ReadCounts()).plus(counts)
