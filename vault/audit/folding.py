"""One record as one line of the access list: counts, not values, and ids, not names."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from vault.audit.filtering import EVERYTHING, Wanted, action_name, breaks_glass
from vault.audit.records import (
    FIRST_REASON_CODE,
    MASKED,
    PLAIN,
    ActRecord,
    ReadRecord,
    Record,
    reason_of,
)
from vault.errors import Reason
from vault.model.consent import LawfulBasis


@dataclass(frozen=True, slots=True)
class AccessSummary:
    """One recorded call. Asked for one customer or field class, it counts items of these only.

    Attributes:
        worker: that recorded it; `seq` counts its records.
        principal_id: 0 if the caller was not registered; then `principal` may hold its name.
        action: the call, as in the API ("Detokenize").
        purpose_id: 0 for acts and for calls without a purpose.
        customers: distinct ones, as far as the call found them.
        field_class_ids: of the items that were not denied, sorted.
        reasons: of the items that were denied, or why an act was not done, sorted.
        detail: what an act did (JSON); empty for reads.
        basis: the lawful basis that the caller of a read stated.
        break_glass: whether another principal had to approve the read's purpose.
        leaf: the record's number in the sealed log; None until it is there.
    """

    time_ms: int
    worker: str
    seq: int
    principal_id: int
    principal: str
    action: str
    purpose_id: int
    values_plain: int
    values_masked: int
    values_denied: int
    customers: int
    field_class_ids: tuple[int, ...]
    reasons: tuple[Reason, ...]
    detail: str
    basis: LawfulBasis | None = None
    break_glass: bool = False
    leaf: int | None = None


def concerns(record: Record, locators: frozenset[bytes]) -> bool:
    """Whether the record is about the customer with these locators."""
    if isinstance(record, ReadRecord):
        return any(group.locator in locators for group in record.groups)
    return not locators.isdisjoint(record.locators)


def fold(record: Record, worker: str, wanted: Wanted = EVERYTHING, leaf: int | None = None) -> AccessSummary:
    """The summary of a record that is wanted, of its part about the wanted customer and field class."""
    if isinstance(record, ActRecord):
        return _fold_act(record, worker, wanted, leaf)
    parts = wanted.outcomes(record)
    outcomes = Counter(b"".join(parts))
    if wanted.locators is None and wanted.field_class is None:
        for outcome, count in record.unknown:
            outcomes[outcome] += count
    return AccessSummary(
        time_ms=record.time_ms,
        worker=worker,
        seq=record.seq,
        principal_id=record.principal_id,
        principal="",
        action=action_name(record.action),
        purpose_id=record.purpose_id,
        values_plain=outcomes[PLAIN],
        values_masked=outcomes[MASKED],
        values_denied=sum(count for outcome, count in outcomes.items() if outcome >= FIRST_REASON_CODE),
        customers=_customers(record, wanted),
        field_class_ids=_classes(record, wanted),
        reasons=_reasons(outcomes),
        detail="",
        basis=record.basis,
        break_glass=breaks_glass(record),
        leaf=leaf,
    )


def _customers(record: ReadRecord, wanted: Wanted) -> int:
    if wanted.locators is not None:
        return 1
    number = None if wanted.field_class is None else wanted.field_class.number
    return len({group.locator for group in record.groups if number is None or number in group.field_classes})


def _classes(record: ReadRecord, wanted: Wanted) -> tuple[int, ...]:
    found = {
        field_class
        for group in record.groups
        if wanted.locators is None or group.locator in wanted.locators
        for field_class, outcome in zip(group.field_classes, group.outcomes, strict=True)
        if outcome < FIRST_REASON_CODE and field_class
    }
    if wanted.field_class is not None:
        found &= {wanted.field_class.number}
    return tuple(sorted(found))


def _fold_act(act: ActRecord, worker: str, wanted: Wanted, leaf: int | None) -> AccessSummary:
    return AccessSummary(
        time_ms=act.time_ms,
        worker=worker,
        seq=act.seq,
        principal_id=act.principal_id,
        principal=act.principal,
        action=act.action,
        purpose_id=0,
        values_plain=0,
        values_masked=0,
        values_denied=0,
        customers=1 if wanted.locators is not None else len(set(act.locators)),
        field_class_ids=(),
        reasons=_reasons([act.outcome]),
        detail=act.detail,
        leaf=leaf,
    )


def _reasons(outcomes: Iterable[int]) -> tuple[Reason, ...]:
    return tuple(sorted({reason for reason in map(reason_of, outcomes) if reason is not None}))
