"""Records in the order in which they were recorded, from a place on: to follow the log, and to export it.

- First the sealed ones by leaf, then what each segment has beyond what is sealed of it.
- A page token says how many leaves were listed, and for each segment up to where it was listed beyond them.
  When the sealer has come along, a leaf whose record was listed from its segment already is passed over. So
  nothing is listed twice and nothing is left out, however records arrive and are sealed meanwhile.
- Sealing names a place that cannot be read by an act of seq 0, which no segment holds: it is always listed.
  In a segment that is still written such a place ends the listing, as it ends the sealing.
- Entries that retention removes before they are listed are gone.

Token, big-endian: u8 version | u64 leaf | for each segment: u32 offset | u8 length, name.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.filtering import Wanted
from vault.audit.folding import AccessSummary
from vault.audit.layout import parse_name
from vault.audit.listing import Segment
from vault.audit.reader import PAGE_DETAIL_BYTES, AccessFilter, looking_again, open_log, summary
from vault.audit.records import FRAME, ActRecord, MalformedRecordError, decode
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.scanning import Scanning
from vault.audit.searching import Found, Position
from vault.errors import InvalidRequestError
from vault.tlog.proving import TILE_LEAVES

_VERSION: Final = 2
_HEAD: Final = struct.Struct(">BQ")
_SEGMENT: Final = struct.Struct(">IB")


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where the log was listed: leaves, and of segments what is not among them."""

    leaf: int = 0
    shown: tuple[tuple[str, int], ...] = ()

    def token(self) -> str:
        """As a page token."""
        packed = [_HEAD.pack(_VERSION, self.leaf)]
        packed += [_SEGMENT.pack(offset, len(name)) + name.encode() for name, offset in self.shown]
        return base64.urlsafe_b64encode(b"".join(packed)).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "Place":
        """Reads a page token.

        Raises:
            InvalidRequestError: it is none of this list.
        """
        try:
            packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            version, leaf = _HEAD.unpack_from(packed)
            at, shown = _HEAD.size, []
            while at < len(packed):
                offset, length = _SEGMENT.unpack_from(packed, at)
                at += _SEGMENT.size + length
                shown.append((packed[at - length : at].decode("ascii"), offset))
        except (binascii.Error, struct.error, ValueError) as error:
            raise _foreign() from error
        if version != _VERSION or at != len(packed) or not all(parse_name(name) for name, _ in shown):
            raise _foreign()
        return cls(leaf, tuple(shown))


@dataclass(frozen=True, slots=True)
class RecordedPage:
    """Accesses in the order recorded. `is_complete`: all that had been recorded when it was asked for."""

    accesses: tuple[AccessSummary, ...]
    next_page_token: str
    is_complete: bool


def list_recorded(directory: Path, wanted: AccessFilter, *, only_new: bool = False) -> RecordedPage:
    """One page of the accesses that match, in the order recorded; its token always leads on.

    Args:
        directory: the log's.
        wanted: which, and from which page token on.
        only_new: without a page token: list nothing, and begin behind what is recorded.

    Raises:
        InvalidRequestError: the page token or size is not one.
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    limit, place = wanted.limit, Place.parse(wanted.page_token) if wanted.page_token else None
    if place is None and only_new:
        return RecordedPage((), looking_again(lambda: _end(*open_log(directory))).token(), is_complete=True)
    listing = looking_again(lambda: _Listing(wanted, limit, place).run(*open_log(directory)))
    accesses = tuple(summary(each, wanted) for each in listing.found)
    return RecordedPage(accesses, listing.place.token(), listing.is_complete)


def _end(segments: Sequence[Segment], log: SealedLog) -> Place:
    shown = []
    for segment, start in _unsealed(segments, log):
        _, spans = segment.frames(start)
        if spans:
            shown.append((segment.path.name, start + spans[-1].end))
    return Place(log.size, tuple(shown))


class _Listing:
    """One page while it is made."""

    def __init__(self, wanted: Wanted, limit: int, place: Place | None) -> None:
        self._found: list[Found] = []
        self._detail_bytes = 0
        self.is_complete = False
        self._wanted = wanted
        self._limit = limit
        self._leaf = place.leaf if place else 0
        self._shown = dict(place.shown) if place else {}

    @property
    def place(self) -> Place:
        return Place(self._leaf, tuple(sorted(self._shown.items())))

    @property
    def found(self) -> list[Found]:
        """The sealed ones by leaf, then the others by time."""
        sealed = [each for each in self._found if each.leaf is not None]
        return sealed + sorted(self._found[len(sealed) :], key=lambda each: each.position)

    def run(self, segments: Sequence[Segment], log: SealedLog) -> "_Listing":
        if self._leaf > log.size:
            raise _foreign()
        if self._list_sealed(log):
            unsealed = _unsealed(segments, log)
            names = {segment.path.name: start for segment, start in unsealed}
            self._shown = {name: at for name, at in self._shown.items() if at > names.get(name, at)}
            self.is_complete = all(self._list_segment(segment, start) for segment, start in unsealed)
        return self

    def _list_sealed(self, log: SealedLog) -> bool:
        """Lists leaves; whether it came to their end."""
        scanning = Scanning(log, self._wanted)
        self._leaf = max(self._leaf, log.first)
        for index in scanning.bundles():
            end = (index + 1) * TILE_LEAVES
            if end <= self._leaf or not scanning.may_hold(index, scanning.span(index)):
                continue
            self._leaf = max(self._leaf, index * TILE_LEAVES)
            if scanning.is_spent or not self._list_bundle(scanning, index):
                return False
            self._leaf = min(end, log.size)
        self._leaf = log.size
        return True

    def _list_bundle(self, scanning: Scanning, index: int) -> bool:
        for each in scanning.wanted_in(index, self._leaf):
            name, offset = each.place
            if each.record is None or (offset < self._shown.get(name, 0) and each.record.seq):
                continue
            if not self._add(Found(Position(each.record.time_ms, name, offset), each.record, each.leaf)):
                self._leaf = each.leaf
                return False
        return True

    def _list_segment(self, segment: Segment, sealed: int) -> bool:
        """Lists what is not sealed of a segment; whether it came to its end."""
        name = segment.path.name
        start = max(sealed, self._shown.get(name, 0))
        data, spans = segment.frames(start)
        for span in spans:
            if not span.valid:
                if segment.is_final:
                    continue
                return True
            body = data[span.start + FRAME.size : span.end]
            if self._wanted.may_match(body):
                try:
                    record = decode(body)
                except MalformedRecordError:
                    continue
                position = Position(record.time_ms, name, start + span.start)
                if self._wanted.matches(record) and not self._add(Found(position, record, None)):
                    return False
            self._shown[name] = start + span.end
        return True

    def _add(self, found: Found) -> bool:
        """Adds a record if there is room for it."""
        detail = len(found.record.detail) if isinstance(found.record, ActRecord) else 0
        if len(self._found) == self._limit or (
            self._found and self._detail_bytes + detail > PAGE_DETAIL_BYTES
        ):
            return False
        self._detail_bytes += detail
        self._found.append(found)
        return True


def _unsealed(segments: Sequence[Segment], log: SealedLog) -> list[tuple[Segment, int]]:
    """Segments that are not sealed to their end, and up to where they are."""
    states = [(segment, log.state.of(segment.path.name)) for segment in segments if not segment.is_spare]
    return [(segment, state.offset) for segment, state in states if not state.done]


def _foreign() -> InvalidRequestError:
    return InvalidRequestError("the page token is not one of this list")
