"""Which accesses are wanted: what a filter asks, and whether a record answers it.

- All that is asked must hold of one record; customer, field class and decision of one item of it.
- Of an act, purpose and field class are those that its detail names (`purpose`, `field_class`); it is denied
  if it was not done, and neither plain nor masked.
- `may_match` looks at bytes only and may say yes too often; `matches` is exact. A wanted record passes both.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from vault.audit.layout import FOREVER_MS
from vault.audit.records import (
    BREAK_GLASS,
    FIRST_REASON_CODE,
    FRAME,
    MASKED,
    PLAIN,
    STAMP,
    STAMP_OFFSET,
    ActRecord,
    Group,
    ReadAction,
    ReadRecord,
    Record,
)
from vault.model.access import Decision

ACTION_BITS: Final = 15  # of a read's second byte: the action without break glass and basis
READ_KIND: Final = ord("R")
_STAMP_AT: Final = STAMP_OFFSET - FRAME.size
_PURPOSE: Final = struct.Struct(">I")
_PURPOSE_AT: Final = _STAMP_AT + STAMP.size
_NAMES: Final = {int(action): action.name.title().replace("_", "") for action in ReadAction}


class Named(NamedTuple):
    """A purpose or a field class: its number in READ records, its name in the detail of acts."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a record; None and empty ask nothing.

    Attributes:
        locators: those of one customer, one for each DEK generation.
        principal_id: the registered principal's.
        principal: the name of one that is not registered, as acts hold it.
        start_ms: inclusive, milliseconds since 1970.
        end_ms: exclusive.
        field_class: of a value, or of the value that an act is about.
        purpose: of the call.
        actions: names of calls and acts, any of them.
        decision: of a value, or of an act.
    """

    locators: frozenset[bytes] | None = None
    principal_id: int | None = None
    principal: str = ""
    start_ms: int = 0
    end_ms: int = FOREVER_MS
    field_class: Named | None = None
    purpose: Named | None = None
    actions: frozenset[str] = frozenset()
    decision: Decision | None = None

    def may_match(self, body: bytes) -> bool:
        """Whether a record's body may be wanted, by the fields at fixed places; its time is not looked at."""
        if self.principal_id is not None or self.principal:
            _, _, principal_id = STAMP.unpack_from(body, _STAMP_AT)
            if principal_id != (self.principal_id or 0):
                return False
        if body[0] != READ_KIND:
            return not self.actions or any(name.encode() in body for name in self.actions)
        if self.principal:  # a READ is of a registered principal, always
            return False
        if self.purpose is not None and _PURPOSE.unpack_from(body, _PURPOSE_AT) != (self.purpose.number,):
            return False
        return not self.actions or action_name(body[1]) in self.actions

    def matches(self, record: Record) -> bool:
        """Whether a record is wanted."""
        if not self.start_ms <= record.time_ms < self.end_ms:
            return False
        if self.principal_id is not None and record.principal_id != self.principal_id:
            return False
        if isinstance(record, ReadRecord):
            return self._matches_read(record)
        return self._matches_act(record)

    def _matches_read(self, record: ReadRecord) -> bool:
        if self.principal:
            return False
        if self.purpose is not None and record.purpose_id != self.purpose.number:
            return False
        if self.actions and action_name(record.action) not in self.actions:
            return False
        if self.field_class is None and self.decision is None:
            return self.locators is None or any(group.locator in self.locators for group in record.groups)
        nobody_in_particular = self.locators is None and self.field_class is None
        if record.unknown and nobody_in_particular and self.decision is Decision.DENIED:
            return True
        return any(self._matches_item(outcomes) for outcomes in self.outcomes(record))

    def _matches_item(self, outcomes: bytes) -> bool:
        return bool(outcomes) if self.decision is None else self.decision in decisions(outcomes)

    def _matches_act(self, act: ActRecord) -> bool:
        if self.principal and (act.principal_id or act.principal != self.principal):
            return False
        if self.actions and act.action not in self.actions:
            return False
        if self.decision is not None and self.decision not in decisions([act.outcome]):
            return False
        if self.locators is not None and self.locators.isdisjoint(act.locators):
            return False
        if self.purpose is None and self.field_class is None:
            return True
        told = told_in(act.detail)
        return all(
            asked is None or told.get(what) == asked.name
            for what, asked in (("purpose", self.purpose), ("field_class", self.field_class))
        )

    def outcomes(self, record: ReadRecord) -> list[bytes]:
        """The outcomes of each group, as far as its customer and the items' field class are asked for."""
        return [
            self._of_class(group)
            for group in record.groups
            if self.locators is None or group.locator in self.locators
        ]

    def _of_class(self, group: Group) -> bytes:
        if self.field_class is None:
            return group.outcomes
        number, classes = self.field_class.number, group.field_classes
        if number not in classes:
            return b""
        return bytes(outcome for each, outcome in zip(classes, group.outcomes, strict=True) if each == number)


EVERYTHING: Final = Wanted()


def action_name(action: int) -> str:
    """The name of a read's action, as in the API ("Detokenize"); basis and break glass may be in it."""
    number = action & ACTION_BITS
    return _NAMES.get(number, f"Action{number}")


def breaks_glass(record: ReadRecord) -> bool:
    """Whether another principal had to approve the read's purpose."""
    return bool(record.action & BREAK_GLASS)


def decisions(outcomes: Iterable[int]) -> set[Decision]:
    """What became of items or acts with these outcomes."""
    found = set()
    for outcome in set(outcomes):
        if outcome == PLAIN:
            found.add(Decision.PLAIN)
        elif outcome == MASKED:
            found.add(Decision.MASKED)
        elif outcome >= FIRST_REASON_CODE:
            found.add(Decision.DENIED)
    return found


def told_in(detail: str) -> Mapping[str, object]:
    """What an act's detail says, by name; nothing where it is no JSON object."""
    try:
        told = json.loads(detail) if detail else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
