"""What the records of each full bundle are about, so that a search passes over bundles that hold no match.

    traits    one for each full bundle, 40 bytes, big-endian:
              actions u64 | purposes u64 | classes u64 | names u64 | decisions u64

- `actions` has bit CRC-32(name) % 64 set for the name of each call and act; `purposes` and `classes` bit
  n % 64 for the numbers in READ records; `names` bit CRC-32(name) % 64 for the purposes and field classes in
  acts' details.
- `decisions` has bit 1 set where a value was revealed in plain, 2 masked, 3 where one, or an act, was denied.
  Bit 0 is always set: without it a row says nothing, and neither does a row that is missing.
- Made from the bundles behind the sealer, and can be made again. Nothing signs them.
"""

import struct
import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from vault.audit.filtering import READ_KIND, Named, Wanted, action_name, decisions, told_in
from vault.audit.records import ITEM_BYTES, LOCATOR_BYTES, ActRecord, MalformedRecordError, decode
from vault.audit.sealed.indexing import Seen
from vault.model.access import Decision

ROW: Final = struct.Struct(">QQQQQ")
UNKNOWN: Final = bytes(ROW.size)
_MADE: Final = 1
_PURPOSE: Final = struct.Struct(">I")
_PURPOSE_AT: Final = 22
_COUNT_AT: Final = 26  # of a READ: how many counts of items follow whose customer is not known
_GROUPS_AT: Final = 27
_GROUP_HEAD: Final = LOCATOR_BYTES + 2


class Traits(NamedTuple):
    """One row."""

    actions: int = 0
    purposes: int = 0
    classes: int = 0
    names: int = 0
    decisions: int = 0

    def may_hold(self, wanted: Wanted) -> bool:
        """Whether a record of the bundle can be wanted."""
        if not self.decisions & _MADE:
            return True
        if wanted.actions and not any(self.actions >> _hashed(name) & 1 for name in wanted.actions):
            return False
        if wanted.decision is not None and not self.decisions >> wanted.decision & 1:
            return False
        return self._names(self.purposes, wanted.purpose) and self._names(self.classes, wanted.field_class)

    def _names(self, numbers: int, asked: Named | None) -> bool:
        return asked is None or bool(
            numbers >> asked.number % 64 & 1 or self.names >> _hashed(asked.name) & 1
        )


def row_at(content: bytes, bundle: int) -> Traits:
    """The row of a bundle; one that says nothing if it is not there."""
    start = bundle * ROW.size
    return Traits(*ROW.unpack_from(content, start)) if start + ROW.size <= len(content) else Traits()


def row_of(bodies: Iterable[bytes], seen: Seen | None = None) -> bytes:
    """The row of a bundle in which records with these bodies begin; `UNKNOWN` if one of them is none.

    Args:
        bodies: of the records.
        seen: what other records of the bundle are about.
    """
    found = seen or Seen()
    actions: set[str] = set()
    names: set[str] = set()
    try:
        for body in bodies:
            if body[0] == READ_KIND:
                found.purposes.add(_PURPOSE.unpack_from(body, _PURPOSE_AT)[0])
                found.calls.add(body[1])
                _look_at_items(body, found.classes, found.outcomes)
            else:
                record = decode(body)
                if isinstance(record, ActRecord):
                    actions.add(record.action)
                    found.outcomes.add(record.outcome)
                    told = told_in(record.detail)
                    names.update(str(told[what]) for what in ("purpose", "field_class") if what in told)
    except (MalformedRecordError, struct.error, IndexError):
        return UNKNOWN
    actions.update(map(action_name, found.calls))
    made = _bits(decision for decision in decisions(found.outcomes)) | _MADE
    numbers = _bits(found.purposes), _bits(found.classes)
    return ROW.pack(_bits(map(_hashed, actions)), *numbers, _bits(map(_hashed, names)), made)


def _look_at_items(body: bytes, classes: set[int], outcomes: set[int]) -> None:
    counts = body[_COUNT_AT]
    outcomes.update(body[_GROUPS_AT : _GROUPS_AT + ITEM_BYTES * counts : ITEM_BYTES])
    at = _GROUPS_AT + ITEM_BYTES * counts
    each = _even_groups(body, at)
    if each:  # as batches mostly are, so that they cost no step a customer
        for item in range(at + _GROUP_HEAD, at + each, ITEM_BYTES):
            classes.update(body[item + 3 :: each].translate(None, bytes(classes)))
            outcomes.update(body[item + 4 :: each].translate(None, bytes(outcomes)))
        return
    while at < len(body):
        items = at + _GROUP_HEAD
        end = items + ITEM_BYTES * int.from_bytes(body[items - 2 : items], "big")
        classes.update(body[items + 3 : end : ITEM_BYTES])
        outcomes.update(body[items + 4 : end : ITEM_BYTES])
        at = end


def _even_groups(body: bytes, at: int) -> int:
    """The bytes that each group takes, where all hold as many items as the first; else 0."""
    count = body[at + LOCATOR_BYTES : at + _GROUP_HEAD]
    each = _GROUP_HEAD + ITEM_BYTES * int.from_bytes(count, "big")
    groups, left = divmod(len(body) - at, each)
    if left:
        return 0
    high, low = body[at + LOCATOR_BYTES :: each], body[at + LOCATOR_BYTES + 1 :: each]
    return each if high == count[:1] * groups and low == count[1:] * groups else 0


def _hashed(name: str) -> int:
    return zlib.crc32(name.encode()) % 64


def _bits(numbers: Iterable[int | Decision]) -> int:
    found = 0
    for number in numbers:
        found |= 1 << number % 64
    return found
