"""Reading the access log: all records, and one page of accesses, newest first.

- A record is in the sealed log (`vault.audit.sealed`), or still in the segment that it was written to. The
  segments are listed before the state is read that says how far each is sealed, and everything is begun again
  when a segment is gone by the time it is read. So no record is missing, and none is found twice.
- Segments may be written while they are read: zeros end one, and a torn frame at the end of an open
  segment is taken for one that is just being written.
- Damage in the middle is reported and stepped over; it never ends a query.
- Accesses are ordered by (time, segment name, offset), none of which ever changes, sealed or not. A page
  token is the last position shown, so newer records do not shift the pages.
- A segment or bundle is read only if its time range can hold a match. Asked for one customer, the sealed log
  names the leaves, and a segment's frames are walked only if the wanted locator's bytes occur in it.
- Files are read, not mapped: the writer cuts a segment when it closes it.
"""

import base64
import binascii
import heapq
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from vault.audit.folding import AccessSummary, concerns, fold
from vault.audit.layout import (
    FOREVER_MS,
    HEADER_BYTES,
    Span,
    parse_name,
)
from vault.audit.listing import Segment, SegmentGoneError, open_directory
from vault.audit.records import FRAME, STAMP, STAMP_OFFSET, MalformedRecordError, Record, decode
from vault.audit.sealed.leaves import Place
from vault.audit.sealed.log import EntryRemovedError, SealedLog, SealedRecord
from vault.audit.sealed.state import Sealed
from vault.errors import AuditUnavailableError, InvalidRequestError
from vault.tlog.proving import TILE_LEAVES

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

Found = TypeVar("Found")
_TRIES = 10
_TOKEN = struct.Struct(">BQQ")
_TOKEN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no record."""

    segment: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and where it was written; `leaf` is its number in the sealed log, None until it is there."""

    segment: str
    offset: int
    record: Record
    leaf: int | None = None


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Which accesses to list.

    Attributes:
        locators: those of one customer, one for each DEK generation; None for all customers.
        principal_id: None for all.
        start_ms: inclusive, milliseconds since 1970.
        end_ms: exclusive.
        page_size: 0 means 100; more than 1,000 means 1,000.
        page_token: of the page before, asked with the same filter.
    """

    locators: frozenset[bytes] | None = None
    principal_id: int | None = None
    start_ms: int = 0
    end_ms: int = FOREVER_MS
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class AccessPage:
    """Accesses, newest first. `damaged` counts unreadable places met in the segments walked."""

    accesses: tuple[AccessSummary, ...]
    next_page_token: str
    damaged: int


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Whole records, newest first; else as `AccessPage`."""

    entries: tuple[Entry, ...]
    next_page_token: str
    damaged: int


class _Position(NamedTuple):
    time_ms: int
    segment: str
    offset: int


def open_log(directory: Path) -> tuple[list[Segment], SealedLog]:
    """The segments, and the sealed log, which says how far each of them is sealed.

    Raises:
        AuditUnavailableError: one of them cannot be read.
        IntegrityFailedError: the sealed log's state is damaged.
    """
    segments = open_directory(directory)
    try:
        return segments, SealedLog.open(directory)
    except OSError as error:
        raise AuditUnavailableError("the access log cannot be read") from error


def looking_again(look: Callable[[], Found]) -> Found:
    """What `look` finds when no segment and no entry goes away beneath it."""
    for _ in range(_TRIES):
        try:
            return look()
        except (SegmentGoneError, EntryRemovedError):
            continue
    raise AuditUnavailableError("the access log changes faster than it can be read")


def records(directory: Path) -> Iterator[Entry | Damage]:
    """Every record: the sealed ones by leaf, then the others by worker and in the order written.

    Damage stands where it was met.

    Raises:
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    unsealed, log = looking_again(lambda: _unsealed(*open_log(directory)))
    for found in log.records():
        yield _entry(found)
    yield from unsealed


def list_access(directory: Path, wanted: AccessFilter) -> AccessPage:
    """One page of the accesses that match, newest first; raises as `list_entries`."""
    page = list_entries(directory, wanted)
    accesses = tuple([_fold(entry, wanted) for entry in page.entries])
    return AccessPage(accesses, page.next_page_token, page.damaged)


def list_entries(directory: Path, wanted: AccessFilter) -> EntryPage:
    """One page of the records that match, newest first.

    Raises:
        InvalidRequestError: the page token or size is not one.
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    if wanted.page_size < 0:
        raise InvalidRequestError("the page size is negative")
    size = min(wanted.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return looking_again(lambda: _list(directory, wanted, size))


def _list(directory: Path, wanted: AccessFilter, size: int) -> EntryPage:
    search = _Search(wanted, size + 1)
    segments, log = open_log(directory)
    for segment in sorted(segments, key=lambda each: (each.last_ms, each.path.name), reverse=True):
        sealed = log.state.of(segment.path.name)
        if not sealed.done and not segment.is_spare and search.may_hold(segment.first_ms, segment.last_ms):
            search.look_through(segment, sealed)
    search.look_through_sealed(log)
    found = search.newest_first()
    entries = tuple([entry for _, entry in found[:size]])
    return EntryPage(entries, _page_token(found[size - 1][0]) if len(found) > size else "", search.damaged)


def _unsealed(segments: list[Segment], log: SealedLog) -> tuple[list[Entry | Damage], SealedLog]:
    found: list[Entry | Damage] = []
    for segment in segments:
        sealed = log.state.of(segment.path.name)
        if sealed.done or segment.is_spare:
            continue
        data = segment.load()
        for span in segment.spans(data, sealed):
            record = _decode(data, span)
            if record is None:
                found.append(Damage(segment.path.name, span.start, span.end - span.start))
            else:
                found.append(Entry(segment.path.name, span.start, record))
    return found, log


def _entry(found: SealedRecord) -> Entry | Damage:
    if found.record is None:
        return Damage(*found.place, len(found.body))
    return Entry(*found.place, found.record, found.leaf)


class _Search:
    """Keeps the newest `limit` records that match, below the position of the page token."""

    def __init__(self, wanted: AccessFilter, limit: int) -> None:
        self.damaged = 0
        self._wanted = wanted
        self._limit = limit
        self._below = _parse_page_token(wanted.page_token) if wanted.page_token else None
        self._end_ms = min(wanted.end_ms, self._below.time_ms + 1) if self._below else wanted.end_ms
        self._found: list[tuple[_Position, Entry]] = []

    def may_hold(self, first_ms: int, last_ms: int) -> bool:
        """Whether records of these times, inclusive, can be on the page."""
        if last_ms < self._wanted.start_ms or first_ms >= self._end_ms:
            return False
        full = len(self._found) == self._limit
        return not full or last_ms >= self._found[0][0].time_ms

    def look_through(self, segment: Segment, sealed: Sealed) -> None:
        """Considers what is not sealed of a segment."""
        data = segment.load()
        hits = self._hits(data)
        if hits == []:
            return
        spans = segment.spans(data, sealed)
        name = segment.path.name
        for span in reversed(spans if hits is None else list(_holding(spans, hits))):
            if span.valid:
                self._consider(Place(name, span.start), data[span.start + FRAME.size : span.end])
        self.damaged += sum(not span.valid for span in spans)

    def look_through_sealed(self, log: SealedLog) -> None:
        """Considers the sealed log: the leaves of one customer, or the bundles of the time and principal."""
        if self._wanted.locators is not None:
            for number in reversed(log.locations(self._wanted.locators)):
                found = log.leaf(number)
                self._consider(found.place, found.body, number)
            return
        principal_id = self._wanted.principal_id
        end = log.size // TILE_LEAVES * TILE_LEAVES
        self._consider_leaves(log, end, log.size)
        bundles = [
            (span.last_ms, span.first_ms, index)
            for index, span in log.spans()
            if principal_id is None or span.principals >> principal_id % 64 & 1
        ]
        for last_ms, first_ms, index in sorted(bundles, reverse=True):
            if self.may_hold(first_ms, last_ms):
                self._consider_leaves(log, index * TILE_LEAVES, (index + 1) * TILE_LEAVES)

    def newest_first(self) -> list[tuple[_Position, Entry]]:
        return sorted(self._found, key=lambda pair: pair[0], reverse=True)

    def _consider_leaves(self, log: SealedLog, start: int, end: int) -> None:
        for found in log.records(start, end):
            self._consider(found.place, found.body, found.leaf)

    def _consider(self, place: Place, body: bytes, leaf: int | None = None) -> None:
        wanted = self._wanted
        _, time_ms, principal_id = STAMP.unpack_from(body, STAMP_OFFSET - FRAME.size)
        if not wanted.start_ms <= time_ms < self._end_ms:
            return
        if wanted.principal_id is not None and principal_id != wanted.principal_id:
            return
        position = _Position(time_ms, *place)
        if self._below is not None and position >= self._below:
            return
        full = len(self._found) == self._limit
        if full and position < self._found[0][0]:
            return
        record = _decoded(body)
        if record is None:
            self.damaged += 1
        elif wanted.locators is None or concerns(record, wanted.locators):
            entry = Entry(*place, record, leaf)
            (heapq.heapreplace if full else heapq.heappush)(self._found, (position, entry))

    def _hits(self, data: bytes) -> list[int] | None:
        """Where the wanted locators' bytes occur, sorted; None if every record may match."""
        if self._wanted.locators is None:
            return None
        return sorted(at for locator in self._wanted.locators for at in _occurrences(data, locator))


def _occurrences(data: bytes, sought: bytes) -> Iterator[int]:
    at = data.find(sought, HEADER_BYTES)
    while at >= 0:
        yield at
        at = data.find(sought, at + len(sought))


def _holding(spans: Iterable[Span], hits: list[int]) -> Iterator[Span]:
    """The spans in which a hit lies; both in ascending order."""
    following = iter(hits)
    hit = next(following, None)
    for span in spans:
        if hit is None:
            return
        if hit < span.end:
            yield span
            while hit is not None and hit < span.end:
                hit = next(following, None)


def _decode(data: bytes, span: Span) -> Record | None:
    return _decoded(data[span.start + FRAME.size : span.end]) if span.valid else None


def _decoded(body: bytes) -> Record | None:
    try:
        return decode(body)
    except MalformedRecordError:
        return None


def _fold(entry: Entry, wanted: AccessFilter) -> AccessSummary:
    name = parse_name(entry.segment)
    return fold(entry.record, name.worker if name else "", wanted.locators, entry.leaf)


def _page_token(position: _Position) -> str:
    packed = _TOKEN.pack(_TOKEN_VERSION, position.time_ms, position.offset) + position.segment.encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _parse_page_token(text: str) -> _Position:
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, time_ms, offset = _TOKEN.unpack_from(packed)
        segment = packed[_TOKEN.size :].decode("ascii")
    except (binascii.Error, struct.error, ValueError) as error:
        raise InvalidRequestError("the page token is not one of this list") from error
    if version != _TOKEN_VERSION or parse_name(segment) is None:
        raise InvalidRequestError("the page token is not one of this list")
    return _Position(time_ms, segment, offset)
