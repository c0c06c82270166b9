"""Reading the access log: all records, and one page of accesses, newest first.

- A record is in the sealed log (`vault.audit.sealed`), or still in the segment that it was written to. The
  segments are listed before the state is read that says how far each is sealed, and everything is begun again
  when a segment is gone by the time it is read. So no record is missing, and none is found twice.
- Segments may be written while they are read: zeros end one, and a torn frame at the end of an open
  segment is taken for one that is just being written.
- Damage in the middle is reported and stepped over; it never ends a query.
- A page token is the position below which the next page begins (see `searching`), so newer records do not
  shift the pages. A page is bounded in records, in the bytes of their details and in what it costs to find
  them: it may be empty and not the last.
- Files are read, not mapped: the writer cuts a segment when it closes it.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from vault.audit.filtering import Wanted
from vault.audit.folding import AccessSummary, fold
from vault.audit.layout import Span, parse_name
from vault.audit.listing import Segment, SegmentGoneError, open_directory
from vault.audit.records import FRAME, ActRecord, Record, readable
from vault.audit.sealed.log import EntryRemovedError, SealedLog, SealedRecord
from vault.audit.searching import Found as Match
from vault.audit.searching import Position, Search
from vault.errors import AuditUnavailableError, InvalidRequestError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
PAGE_DETAIL_BYTES: Final = 1 << 20

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
class AccessFilter(Wanted):
    """Which accesses to list; `Wanted` says which there are.

    Attributes:
        page_size: 0 means 100; more than 1,000 means 1,000.
        page_token: of the page before, asked with the same filter.
    """

    page_size: int = 0
    page_token: str = ""

    @property
    def limit(self) -> int:
        """How many accesses a page has at most.

        Raises:
            InvalidRequestError: the page size is negative.
        """
        if self.page_size < 0:
            raise InvalidRequestError("the page size is negative")
        return min(self.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


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
    found, token, damaged = _page(directory, wanted)
    return AccessPage(tuple([summary(each, wanted) for each in found]), token, damaged)


def list_entries(directory: Path, wanted: AccessFilter) -> EntryPage:
    """One page of the records that match, newest first.

    Raises:
        InvalidRequestError: the page token or size is not one.
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    found, token, damaged = _page(directory, wanted)
    entries = [Entry(at.segment, at.offset, record, leaf) for at, record, leaf in found]
    return EntryPage(tuple(entries), token, damaged)


def _page(directory: Path, wanted: AccessFilter) -> tuple[Sequence[Match], str, int]:
    """What matches, the next page's token, and how much damage was met."""
    limit = wanted.limit
    below = _parse_page_token(wanted.page_token) if wanted.page_token else None
    result = looking_again(lambda: Search(wanted, below, limit + 1).run(*open_log(directory)))
    found, below = result.found, result.below
    if (fitting := room(found)) < len(found):
        found, below = found[:fitting], found[fitting - 1].position
    return found, _page_token(below) if below else "", result.damaged


def summary(found: Match, wanted: Wanted) -> AccessSummary:
    """A record that was found, as one line of a list."""
    name = parse_name(found.position.segment)
    return fold(found.record, name.worker if name else "", wanted, found.leaf)


def room(found: Sequence[Match]) -> int:
    """How many of these fit into a page by the bytes of their details: at least one."""
    taken = 0
    for count, each in enumerate(found):
        if isinstance(each.record, ActRecord):
            taken += len(each.record.detail)
            if count and taken > PAGE_DETAIL_BYTES:
                return count
    return len(found)


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


def _decode(data: bytes, span: Span) -> Record | None:
    return readable(data[span.start + FRAME.size : span.end]) if span.valid else None


def _page_token(position: Position) -> str:
    packed = _TOKEN.pack(_TOKEN_VERSION, position.time_ms, position.offset) + position.segment.encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _parse_page_token(text: str) -> Position:
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, time_ms, offset = _TOKEN.unpack_from(packed)
        segment = packed[_TOKEN.size :].decode("ascii")
    except (binascii.Error, struct.error, ValueError) as error:
        raise InvalidRequestError("the page token is not one of this list") from error
    if version != _TOKEN_VERSION or (segment and parse_name(segment) is None):
        raise InvalidRequestError("the page token is not one of this list")
    return Position(time_ms, segment, offset)
