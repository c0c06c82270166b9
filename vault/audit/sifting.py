"""Goes through the access log for the records of a principal and a time, sealed or not.

- What the bytes of a stamp show is not sought is not decoded; a bundle or a segment whose times and
  principals cannot match is not read.
- Every record is met once; see `vault.audit.reader` for why. `sift` has to run within `looking_again`.
- The records come in the order of the segments, then of the leaves, which is not that of time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vault.audit.listing import Segment
from vault.audit.records import FRAME, STAMP, STAMP_OFFSET, Record, readable
from vault.audit.sealed.files import Span
from vault.audit.sealed.leaves import FIRST, WHOLE, content_of, stamp_of
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.state import Sealed
from vault.tlog.proving import TILE_LEAVES

VAULT_ITSELF = 0  # the principal of gaps and of what an operator does


@dataclass(frozen=True, slots=True)
class Search:
    """Which records are sought.

    Attributes:
        principal_id: None for all.
        start_ms: inclusive, milliseconds since 1970.
        end_ms: exclusive.
        with_gaps: also the vault's own records from `start_ms` on, however late: a gap is found afterwards.
    """

    principal_id: int | None
    start_ms: int
    end_ms: int
    with_gaps: bool = False

    def in_time(self, time_ms: int) -> bool:
        """Whether a moment is within the time asked for."""
        return self.start_ms <= time_ms < self.end_ms

    def may_hold(self, first_ms: int, last_ms: int) -> bool:
        """Whether records of these times, inclusive, can match."""
        return (self.with_gaps or first_ms < self.end_ms) and last_ms >= self.start_ms

    def may_be_in(self, span: Span) -> bool:
        """Whether a bundle can hold a match."""
        if not self.may_hold(span.first_ms, span.last_ms):
            return False
        if span.first_ms < self.end_ms and self._may_be_of(span, self.principal_id):
            return True
        return self.with_gaps and self._may_be_of(span, VAULT_ITSELF)

    def matches(self, stamp: tuple[int, int, int]) -> bool:
        """Whether a record with this seq, time and principal is sought."""
        _, time_ms, principal_id = stamp
        if self.start_ms <= time_ms < self.end_ms and self.principal_id in (None, principal_id):
            return True
        return self.with_gaps and principal_id == VAULT_ITSELF and time_ms >= self.start_ms

    @staticmethod
    def _may_be_of(span: Span, principal_id: int | None) -> bool:
        return principal_id is None or bool(span.principals >> principal_id % 64 & 1)


class Sifted(NamedTuple):
    """What was met: a record, or None for damage; `sealed` says where.

    Of the unsealed part, records within the time of other principals come too, as `stamp` only: they tell
    how much of the time is sealed.
    """

    record: Record | None
    sealed: bool
    time_ms: int
    sought: bool = True


def sift(segments: list[Segment], log: SealedLog, search: Search) -> Iterator[Sifted]:
    """The records sought, from what `open_log` gave.

    Raises:
        SegmentGoneError, EntryRemovedError: something was sealed or removed meanwhile; look again.
        AuditUnavailableError: a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    for segment in segments:
        sealed = log.state.of(segment.path.name)
        if not (sealed.done or segment.is_spare) and search.may_hold(segment.first_ms, segment.last_ms):
            yield from _unsealed(segment, sealed, search)
    yield from _sealed(log, search)


def _unsealed(segment: Segment, sealed: Sealed, search: Search) -> Iterator[Sifted]:
    data = segment.load()
    for span in segment.spans(data, sealed):
        if not span.valid:
            yield Sifted(None, sealed=False, time_ms=segment.first_ms)
            continue
        stamp = STAMP.unpack_from(data, span.start + STAMP_OFFSET)
        if search.matches(stamp):
            record = readable(data[span.start + FRAME.size : span.end])
            yield Sifted(record, sealed=False, time_ms=stamp[1])
        elif search.in_time(stamp[1]):
            yield Sifted(None, sealed=False, time_ms=stamp[1], sought=False)


def _sealed(log: SealedLog, search: Search) -> Iterator[Sifted]:
    matches = search.matches
    for index in _bundles(log, search):
        for leaf, entry in enumerate(log.entries(index), index * TILE_LEAVES):
            if entry[0] not in (WHOLE, FIRST):
                continue
            stamp = stamp_of(entry)
            if matches(stamp):
                record = readable(content_of(entry)) if entry[0] == WHOLE else log.leaf(leaf).record
                yield Sifted(record, sealed=True, time_ms=stamp[1])


def _bundles(log: SealedLog, search: Search) -> Iterator[int]:
    """The bundles that can hold a match: full ones, then the one that is not."""
    yield from (index for index, span in log.spans() if search.may_be_in(span))
    if log.size % TILE_LEAVES:
        yield log.size // TILE_LEAVES
