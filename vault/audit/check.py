"""What a directory of segments holds, and the offline test that nothing in it is missing or changed.

- The checksums and the chain of digests find accidents and removed segments. They carry no key:
  whoever can write the files can also compute them anew.
- The last segment of a worker has no successor that would miss it.
- Segments that were sealed are gone. The sealed log's state names the digests of the last ones, so that their
  successors are not taken for orphans. Of the sealed log only the root is checked here; all of it is by
  `vault.audit.sealed.verifying`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vault.audit.digests import digest_of
from vault.audit.layout import FIXED_BYTES, HEADER_BYTES, NO_DIGEST, FixedPart, Span, State, parse_fixed
from vault.audit.listing import UNSEALED, Segment, open_directory
from vault.audit.reader import looking_again, open_log
from vault.audit.records import is_gap_frame
from vault.audit.sealed.files import TREE
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.state import Sealed
from vault.errors import AuditUnavailableError, IntegrityFailedError

_ROOM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class LogStatus:
    """What is in a directory of segments.

    Attributes:
        segments: begun ones; spares are not counted, nor sealed ones that are gone.
        records: sealed ones, and those that still stand in segments only.
        sealed: how many leaves the sealed log has.
        bytes: of the segments on disk, spares included.
        writable: as seen from outside a writer: there is room in a segment, or for a new one.
        gaps: places where records may have been lost (power loss, failed sync, removed file).
        damaged: unreadable places in segments that are not closed; `check` looks at all.
    """

    segments: int
    records: int
    bytes: int
    free_bytes: int
    writable: bool
    gaps: int
    damaged: int
    sealed: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a segment, at a byte offset.

    `known`: the worker's next run found it, and its log says that records may be missing there.
    """

    segment: str
    offset: int
    problem: str
    known: bool = False


def status(directory: Path, segment_bytes: int = 16 * 2**20) -> LogStatus:
    """Counts what is there; reads whole files only of segments that are still open.

    A directory that is missing or cannot be read is not writable and counts nothing.
    """
    try:
        return looking_again(lambda: _status(directory, segment_bytes))
    except (AuditUnavailableError, IntegrityFailedError, OSError):
        return LogStatus(0, 0, 0, 0, writable=False, gaps=0, damaged=0)


def _status(directory: Path, segment_bytes: int) -> LogStatus:
    segments, log = open_log(directory)
    disk = os.statvfs(directory)
    begun = size = damaged = 0
    records, gaps = log.state.records, log.state.gaps
    room = False
    for segment in segments:
        counted = _count(segment, log.state.of(segment.path.name))
        begun += not counted.is_spare
        records += counted.records
        size += counted.size
        gaps += counted.gaps
        damaged += counted.damaged
        room = room or counted.room >= _ROOM_BYTES
    free = disk.f_bavail * disk.f_frsize
    permitted = not disk.f_flag & os.ST_RDONLY and os.access(directory, os.W_OK | os.X_OK)
    writable = permitted and (room or free >= segment_bytes)
    return LogStatus(begun, records, size, free, writable, gaps, damaged, log.size)


def check(directory: Path) -> Iterator[Finding]:
    """Everything wrong with the segments of a directory. Reads all of them.

    Raises:
        AuditUnavailableError: the directory or a segment cannot be read.
    """
    try:
        log = SealedLog.open(directory)
        if log.tiles.root().hex() != log.state.root:
            yield Finding(TREE, 0, "the sealed log's tiles are not those that were sealed")
        dropped: Mapping[str, tuple[str, ...]] = log.state.dropped
    except IntegrityFailedError:
        yield Finding(TREE, 0, "the sealed log's state or a tile is missing or damaged")
        dropped = {}
    digests = {worker: {bytes.fromhex(each) for each in held} for worker, held in dropped.items()}
    fixed_parts: list[tuple[Segment, FixedPart]] = []
    for segment in open_directory(directory):
        if segment.is_spare:
            continue
        data = segment.load()
        spans = segment.spans(data)
        digest = _digest(segment, data, spans)
        digests.setdefault(segment.name.worker, set()).add(digest)
        fixed = parse_fixed(segment.header)
        if fixed is None:
            yield Finding(segment.path.name, 0, "the header is damaged", known=_is_recovered(segment))
        else:
            fixed_parts.append((segment, fixed))
        yield from _check_content(segment, spans, digest)
    for segment, fixed in fixed_parts:
        is_first = fixed.previous_digest == NO_DIGEST and fixed.start_seq == 1
        if not is_first and fixed.previous_digest not in digests[segment.name.worker]:
            yield Finding(segment.path.name, 0, "the segment before it is missing or was changed")


def _check_content(segment: Segment, spans: list[Span], digest: bytes) -> Iterator[Finding]:
    for span in spans:
        if not span.valid:
            yield Finding(segment.path.name, span.start, "a record is damaged", known=_is_recovered(segment))
    closing = segment.closing
    if closing is None:
        yield Finding(segment.path.name, FIXED_BYTES, "the closing part of the header is damaged")
    elif closing.is_final and (closing.digest != digest or closing.records != sum(s.valid for s in spans)):
        yield Finding(segment.path.name, FIXED_BYTES, "the records are not those that were closed")


def _is_recovered(segment: Segment) -> bool:
    return segment.closing is not None and segment.closing.state is State.RECOVERED


def _digest(segment: Segment, data: bytes, spans: list[Span]) -> bytes:
    ends = [span.end for span in spans] or [HEADER_BYTES]
    used = segment.closing.used if segment.closing is not None and segment.is_final else ends[-1]
    return digest_of(segment.name, data, used)


@dataclass(frozen=True, slots=True)
class _Counts:
    size: int
    is_spare: bool = False
    records: int = 0
    gaps: int = 0
    damaged: int = 0
    room: int = 0


def _count(segment: Segment, sealed: Sealed = UNSEALED) -> _Counts:
    """The file's size, and what of it is not sealed."""
    if sealed.done:
        return _Counts(segment.path.stat().st_size)
    if segment.closing is not None and segment.is_final and sealed == UNSEALED:
        return _Counts(segment.closing.used, records=segment.closing.records, gaps=segment.closing.gaps)
    if segment.is_spare:
        size = segment.path.stat().st_size
        return _Counts(size, is_spare=True, room=size)
    data = segment.load()
    spans = segment.spans(data, sealed)
    used = spans[-1].end if spans else sealed.offset
    return _Counts(
        len(data),
        records=sum(span.valid for span in spans),
        gaps=sum(is_gap_frame(data[span.start : span.end]) for span in spans if span.valid),
        damaged=sum(not span.valid for span in spans),
        room=len(data) - used,
    )
