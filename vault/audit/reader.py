"""Reading the access log: all records, and one page of accesses, newest first.

- Segments may be written while they are read: zeros end one, and a torn frame at the end of an open
  segment is taken for one that is just being written.
- Damage in the middle is reported and stepped over; it never ends a query.
- Accesses are ordered by (time, segment name, offset), none of which ever changes. A page token is
  the last position shown, so newer records do not shift the pages.
- A segment is read only if its time range, from its header, can hold a match, and its frames are
  walked only if the wanted locator's bytes occur in it.
- Files are read, not mapped: the writer cuts a segment when it closes it.
"""

import base64
import binascii
import heapq
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vault.audit.folding import AccessSummary, concerns, fold
from vault.audit.layout import (
    FOREVER_MS,
    HEADER_BYTES,
    ClosingPart,
    SegmentName,
    Span,
    parse_closing,
    parse_name,
    segments_in,
    walk,
)
from vault.audit.records import FRAME, STAMP, STAMP_OFFSET, MalformedRecordError, Record, decode
from vault.errors import AuditUnavailableError, InvalidRequestError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

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
    """A record and where it stands."""

    segment: str
    offset: int
    record: Record


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
class Segment:
    """A segment file, its first bytes, and the closing part of its header, if that is whole."""

    name: SegmentName
    path: Path
    header: bytes
    closing: ClosingPart | None

    @property
    def is_spare(self) -> bool:
        """Whether it is preallocated and not begun: neither a header nor a first frame."""
        return not any(self.header)

    @property
    def is_final(self) -> bool:
        """Whether nothing is written to it any more."""
        return self.closing is not None and self.closing.is_final

    @property
    def first_ms(self) -> int:
        """No record is older."""
        return self.closing.first_ms if self.closing is not None and self.is_final else 0

    @property
    def last_ms(self) -> int:
        """No record is newer."""
        return self.closing.last_ms if self.closing is not None and self.is_final else FOREVER_MS

    def load(self) -> bytes:
        """The whole file; empty if it was removed meanwhile."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _unreadable() from error

    def spans(self, data: bytes) -> list[Span]:
        """Its frames and damage, without a torn tail that may still be on its way."""
        spans = list(walk(data))
        if spans and not spans[-1].valid and not self.is_final:
            spans.pop()
        return spans


class _Position(NamedTuple):
    time_ms: int
    segment: str
    offset: int


def open_directory(directory: Path) -> list[Segment]:
    """Every segment of a directory, by worker and number.

    Raises:
        AuditUnavailableError: the directory or a file in it cannot be read.
    """
    found = []
    try:
        for name, path in segments_in(directory):
            try:
                with path.open("rb", buffering=0) as file:
                    header = file.read(HEADER_BYTES + FRAME.size)
            except FileNotFoundError:  # an empty spare, given back meanwhile
                continue
            found.append(Segment(name, path, header, parse_closing(header)))
    except OSError as error:
        raise _unreadable() from error
    return found


def records(directory: Path) -> Iterator[Entry | Damage]:
    """Every record of every segment, by worker and in the order written, with the damage between.

    Raises:
        AuditUnavailableError: the directory or a segment cannot be read.
    """
    for segment in open_directory(directory):
        data = segment.load()
        for span in segment.spans(data):
            record = _decode(data, span)
            if record is None:
                yield Damage(segment.path.name, span.start, span.end - span.start)
            else:
                yield Entry(segment.path.name, span.start, record)


def list_access(directory: Path, wanted: AccessFilter) -> AccessPage:
    """One page of the accesses that match, newest first.

    Raises:
        InvalidRequestError: the page token or size is not one.
        AuditUnavailableError: the directory or a segment cannot be read.
    """
    if wanted.page_size < 0:
        raise InvalidRequestError("the page size is negative")
    size = min(wanted.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    search = _Search(wanted, size + 1)
    newest_first = sorted(open_directory(directory), key=lambda s: (s.last_ms, s.path.name), reverse=True)
    for segment in newest_first:
        if search.may_hold(segment):
            search.look_through(segment)
    found = search.newest_first()
    accesses = tuple(_fold(position, record, wanted) for position, record in found[:size])
    return AccessPage(accesses, _page_token(found[size - 1][0]) if len(found) > size else "", search.damaged)


class _Search:
    """Keeps the newest `limit` records that match, below the position of the page token."""

    def __init__(self, wanted: AccessFilter, limit: int) -> None:
        self.damaged = 0
        self._wanted = wanted
        self._limit = limit
        self._below = _parse_page_token(wanted.page_token) if wanted.page_token else None
        self._end_ms = min(wanted.end_ms, self._below.time_ms + 1) if self._below else wanted.end_ms
        self._found: list[tuple[_Position, Record]] = []

    def may_hold(self, segment: Segment) -> bool:
        if segment.is_spare or segment.last_ms < self._wanted.start_ms or segment.first_ms >= self._end_ms:
            return False
        full = len(self._found) == self._limit
        return not full or segment.last_ms >= self._found[0][0].time_ms

    def look_through(self, segment: Segment) -> None:
        data = segment.load()
        hits = self._hits(data)
        if hits == []:
            return
        spans = segment.spans(data)
        for span in reversed(spans if hits is None else list(_holding(spans, hits))):
            if span.valid:
                self._consider(segment.path.name, data, span)
        self.damaged += sum(not span.valid for span in spans)

    def newest_first(self) -> list[tuple[_Position, Record]]:
        return sorted(self._found, key=lambda pair: pair[0], reverse=True)

    def _consider(self, segment: str, data: bytes, span: Span) -> None:
        wanted = self._wanted
        _, time_ms, principal_id = STAMP.unpack_from(data, span.start + STAMP_OFFSET)
        if not wanted.start_ms <= time_ms < self._end_ms:
            return
        if wanted.principal_id is not None and principal_id != wanted.principal_id:
            return
        position = _Position(time_ms, segment, span.start)
        if self._below is not None and position >= self._below:
            return
        full = len(self._found) == self._limit
        if full and position < self._found[0][0]:
            return
        record = _decode(data, span)
        if record is None:
            self.damaged += 1
        elif wanted.locators is None or concerns(record, wanted.locators):
            (heapq.heapreplace if full else heapq.heappush)(self._found, (position, record))

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
    if not span.valid:
        return None
    try:
        return decode(data[span.start + FRAME.size : span.end])
    except MalformedRecordError:
        return None


def _fold(position: _Position, record: Record, wanted: AccessFilter) -> AccessSummary:
    name = parse_name(position.segment)
    return fold(record, name.worker if name else "", wanted.locators)


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


def _unreadable() -> AuditUnavailableError:
    return AuditUnavailableError("the access log cannot be read")
