"""Of whom a principal was shown a value, or told something of one: the locators of its reads.

They are sought in the whole log, sealed or not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.listing import Segment
from vault.audit.reader import looking_again, open_log
from vault.audit.records import (
    FRAME,
    MASKED,
    PLAIN,
    STAMP,
    STAMP_OFFSET,
    MalformedRecordError,
    ReadRecord,
    Record,
    decode,
)
from vault.audit.sealed.leaves import FIRST, WHOLE, stamp_of
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.state import Sealed
from vault.model.access import ANSWERS
from vault.tlog.proving import TILE_LEAVES

_SHOWN: Final = frozenset({PLAIN, MASKED, *map(int, ANSWERS)})


def locators_read(directory: Path, principal_id: int, start_ms: int, end_ms: int) -> set[bytes]:
    """The locators of every customer of whom a value was revealed to a principal, in plain or masked.

    Args:
        directory: the log's.
        principal_id: the registered principal's.
        start_ms: inclusive, milliseconds since 1970.
        end_ms: exclusive.

    Raises:
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    search = _Search(principal_id, start_ms, end_ms)
    return looking_again(lambda: _look(directory, search))


@dataclass(frozen=True, slots=True)
class _Search:
    principal_id: int
    start_ms: int
    end_ms: int

    def may_hold(self, first_ms: int, last_ms: int) -> bool:
        """Whether a record of these times, inclusive, can match."""
        return first_ms < self.end_ms and last_ms >= self.start_ms

    def matches(self, stamp: tuple[int, int, int]) -> bool:
        """Whether a record with this seq, time and principal is sought."""
        _, time_ms, principal_id = stamp
        return principal_id == self.principal_id and self.start_ms <= time_ms < self.end_ms


def _look(directory: Path, search: _Search) -> set[bytes]:
    found: set[bytes] = set()
    segments, log = open_log(directory)
    for segment in segments:
        sealed = log.state.of(segment.path.name)
        if not (sealed.done or segment.is_spare) and search.may_hold(segment.first_ms, segment.last_ms):
            for record in _unsealed(segment, sealed, search):
                found.update(_revealed(record))
    for record in _sealed(log, search):
        found.update(_revealed(record))
    return found


def _unsealed(segment: Segment, sealed: Sealed, search: _Search) -> Iterator[Record | None]:
    data = segment.load()
    for span in segment.spans(data, sealed):
        if span.valid and search.matches(STAMP.unpack_from(data, span.start + STAMP_OFFSET)):
            try:
                yield decode(data[span.start + FRAME.size : span.end])
            except MalformedRecordError:
                continue


def _sealed(log: SealedLog, search: _Search) -> Iterator[Record | None]:
    """The records sought; what the bytes of a stamp show is not theirs is not decoded."""
    bundles = [
        range(index * TILE_LEAVES, (index + 1) * TILE_LEAVES)
        for index, span in log.spans()
        if search.may_hold(span.first_ms, span.last_ms) and span.principals >> search.principal_id % 64 & 1
    ]
    for leaves in [*bundles, range(log.size // TILE_LEAVES * TILE_LEAVES, log.size)]:
        for leaf in leaves:
            entry = log.entry(leaf)
            if entry[0] in (WHOLE, FIRST) and search.matches(stamp_of(entry)):
                yield log.leaf(leaf).record


def _revealed(record: Record | None) -> list[bytes]:
    if not isinstance(record, ReadRecord):
        return []
    return [group.locator for group in record.groups if not _SHOWN.isdisjoint(group.outcomes)]
