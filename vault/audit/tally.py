"""What was read within a time, by one principal or all, counted customer by customer.

- Counted are the values of READ records: revealed in plain, revealed masked, denied, or answered about (a
  pseudonym, a comparison, a derived answer) without being revealed. The same value asked for
  twice counts twice; how many different ones were revealed is counted beside it.
- A customer goes by its locators, one for each generation of its key. Whose they are is not known here.
- Items that name no customer (a guessed token, a customer shredded before) are counted by reason.
- `Completeness` says what the answer rests on: how much of it is sealed, which gaps of the log may hide
  further records, and how much retention has removed of the time asked for.
- What is counted is kept in memory, so it is bounded: a larger question has to be asked in parts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from vault.audit.filtering import action_name, breaks_glass, told_in
from vault.audit.layout import parse_name
from vault.audit.reader import looking_again, open_log
from vault.audit.records import (
    FIRST_REASON_CODE,
    GAP_ACTION,
    ITEM_BYTES,
    MASKED,
    PLAIN,
    ActRecord,
    ReadRecord,
    reason_of,
)
from vault.audit.sealed.log import SealedLog
from vault.audit.sifting import Search, Sifted, sift
from vault.errors import LimitExceededError, Reason
from vault.model.access import ANSWERS
from vault.tlog.proving import TILE_LEAVES

MAX_LOCATORS: Final = 500_000
MAX_VALUES: Final = 20_000_000
_SHOWN_GAPS: Final = 20
_ANSWERED: Final = frozenset(map(int, ANSWERS))


class Cell(NamedTuple):
    """Counts of one field class; `values` are the different ones that were revealed."""

    plain: int = 0
    masked: int = 0
    denied: int = 0
    values: int = 0
    answered: int = 0


@dataclass(slots=True)
class Reads:
    """What was asked of one customer: the items of its records, 5 bytes each, and when."""

    first_ms: int
    last_ms: int
    items: bytearray

    def add(self, time_ms: int, items: bytes) -> None:
        """Counts a record's part in it."""
        self.first_ms = min(self.first_ms, time_ms)
        self.last_ms = max(self.last_ms, time_ms)
        self.items += items


class Call(NamedTuple):
    """A kind of call; `reason` is why it was refused as a whole, if it was."""

    action: str
    break_glass: bool
    reason: Reason | None


class Gap(NamedTuple):
    """The log may lack records between two moments (milliseconds since 1970), and says why."""

    start_ms: int
    end_ms: int
    cause: str


@dataclass(slots=True)
class Completeness:
    """What an answer rests on.

    Attributes:
        leaves: size of the sealed log.
        records: that the answer is made of; `sealed` of them are in the sealed log.
        unsealed_ms: time of the oldest record within the time asked for that is not sealed yet, of whichever
            principal; 0 where there is none.
        gaps: that may have taken records of the time asked for; at most 20 are named, `gap_count` is all.
        removed: leaves that retention has removed and that may have been records sought; `removed_until_ms`
            is the time of the newest of them.
        damaged: places that cannot be read.
    """

    leaves: int = 0
    records: int = 0
    sealed: int = 0
    unsealed_ms: int = 0
    gaps: list[Gap] = field(default_factory=list)
    gap_count: int = 0
    removed: int = 0
    removed_until_ms: int = 0
    damaged: int = 0


@dataclass(slots=True)
class Tally:
    """What was counted; `customers` by locator, `unnamed` by reason.

    `totals` are those of all customers by field class, without `values`: a customer may have several names.
    """

    customers: dict[bytes, Reads] = field(default_factory=dict)
    totals: dict[int, Cell] = field(default_factory=dict)
    first_ms: int = 0
    last_ms: int = 0
    unnamed: Counter[Reason] = field(default_factory=Counter)
    calls: Counter[Call] = field(default_factory=Counter)
    completeness: Completeness = field(default_factory=Completeness)


def tally(directory: Path, search: Search, purpose_id: int | None = None) -> Tally:
    """Counts the reads of a search; of one purpose only, if it is given.

    Raises:
        LimitExceededError: they are too many to be counted at once.
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """

    def look() -> Tally:
        counting = _Counting(search, purpose_id)
        segments, log = open_log(directory)
        for found in sift(segments, log, search):
            counting.take(found)
        return counting.finish(log)

    return looking_again(look)


def cells(parts: Iterable[bytes | bytearray], *, distinct: bool = True) -> dict[int, Cell]:
    """Counts items by field class.

    Args:
        parts: joined items, of one customer where different values are to be told apart.
        distinct: count those.
    """
    outcomes: Counter[tuple[int, int]] = Counter()
    revealed: dict[int, set[bytes]] = {}
    for items in parts:
        outcomes.update(zip(items[3::ITEM_BYTES], items[4::ITEM_BYTES], strict=True))
        if distinct:
            for value_no, field_class in _revealed(items):
                revealed.setdefault(field_class, set()).add(value_no)
    made: dict[int, list[int]] = {}
    for (field_class, outcome), count in outcomes.items():
        counts = made.setdefault(field_class, [0, 0, 0, 0])
        if outcome == PLAIN:
            counts[0] += count
        elif outcome == MASKED:
            counts[1] += count
        elif outcome >= FIRST_REASON_CODE:
            counts[2] += count
        elif outcome in _ANSWERED:
            counts[3] += count
    return {
        field_class: Cell(plain, masked, denied, len(revealed.get(field_class, ())), answered)
        for field_class, (plain, masked, denied, answered) in sorted(made.items())
        if plain or masked or denied or answered
    }


def _revealed(items: bytes | bytearray) -> Iterator[tuple[bytes, int]]:
    """Number and field class of each value that was revealed."""
    for at in range(0, len(items), ITEM_BYTES):
        if items[at + 4] in (PLAIN, MASKED):
            yield bytes(items[at : at + 3]), items[at + 3]


class _Counting:
    """One pass over the log."""

    def __init__(self, search: Search, purpose_id: int | None) -> None:
        self._search = search
        self._purpose_id = purpose_id
        self._made = Tally()
        self._values = 0

    def take(self, found: Sifted) -> None:
        completeness = self._made.completeness
        record = found.record
        if record is None and found.sought:
            completeness.damaged += 1
            return
        if not found.sealed and self._search.in_time(found.time_ms):
            oldest = completeness.unsealed_ms or found.time_ms
            completeness.unsealed_ms = min(oldest, found.time_ms)
        if record is None:
            return
        if isinstance(record, ActRecord) and record.action == GAP_ACTION:
            self._gap(record)
        if not self._is_counted(record):
            return
        completeness.records += 1
        completeness.sealed += found.sealed
        if isinstance(record, ActRecord):
            self._made.calls[Call(record.action, False, reason_of(record.outcome))] += 1
        else:
            self._read(record)

    def finish(self, log: SealedLog) -> Tally:
        """What was counted, with what is known of the log."""
        made, search = self._made, replace(self._search, with_gaps=False)
        everyone = made.customers.values()
        made.totals = cells((reads.items for reads in everyone), distinct=False)
        made.first_ms = min((reads.first_ms for reads in everyone), default=0)
        made.last_ms = max((reads.last_ms for reads in everyone), default=0)
        made.completeness.leaves = log.size
        gone = [span for span in log.removed_spans() if search.may_be_in(span)]
        made.completeness.removed = len(gone) * TILE_LEAVES
        made.completeness.removed_until_ms = max((span.last_ms for span in gone), default=0)
        return made

    def _is_counted(self, record: ReadRecord | ActRecord) -> bool:
        """Whether it is sought itself, not only for the gap that it may tell of."""
        if not self._search.in_time(record.time_ms):
            return False
        if self._search.principal_id not in (None, record.principal_id):
            return False
        if self._purpose_id is None:
            return True
        return isinstance(record, ReadRecord) and record.purpose_id == self._purpose_id

    def _read(self, record: ReadRecord) -> None:
        made = self._made
        made.calls[Call(action_name(record.action), breaks_glass(record), None)] += 1
        for outcome, count in record.unknown:
            made.unnamed[reason_of(outcome) or Reason.INTERNAL] += count
        customers = made.customers
        for group in record.groups:
            locator, items = group.locator, group.items
            reads = customers.get(locator)
            if reads is None:
                customers[locator] = Reads(record.time_ms, record.time_ms, bytearray(items))
            else:
                reads.add(record.time_ms, items)
            self._values += len(items) // ITEM_BYTES
        if len(customers) > MAX_LOCATORS or self._values > MAX_VALUES:
            raise LimitExceededError(
                f"the question covers more than {MAX_LOCATORS} customers or {MAX_VALUES} values: "
                "ask for a shorter time, or for one principal",
                limit="blast_radius",
            )

    def _gap(self, act: ActRecord) -> None:
        """A gap reaches from when the segment that it befell was made to when it was found."""
        detail = told_in(act.detail)
        name = parse_name(str(detail.get("segment", "")))
        start_ms = name.made_ms if name is not None else 0
        if start_ms >= self._search.end_ms:
            return
        completeness = self._made.completeness
        completeness.gap_count += 1
        if len(completeness.gaps) < _SHOWN_GAPS:
            completeness.gaps.append(Gap(start_ms, act.time_ms, str(detail.get("cause", ""))))
