"""Segment files: names, header, and walking frames past damage. Big-endian throughout.

Name      <worker>-<13 digits: ms when it was made>-<6 digits: number>.seg, mode 0600
Header    256 bytes, then frames (see `records`), then zeros until the segment is closed
  0  fixed part: magic 8 | u8 version = 2 | u8 sync (1 interval, 2 always) | vault id 16 | boot id 16
     | u64 start_ms | u64 start_seq | u32 number | digest of the previous segment 32
     | u8 length, worker 61 (zero padded) | u32 CRC-32 of the 156 bytes before
160  closing part: u8 state | u64 used | u64 records | u32 gaps | u64 first_ms | u64 last_ms
     | u64 last_seq | digest 32 | u32 CRC-32 of the 77 bytes before

Digest    see `digests`. The next segment of the same worker holds it, so that a missing or changed one is
          noticed. Version 1, which is still read, differs in nothing else.
States    OPEN: written, or left so by a killed process. CLOSED: by its writer, cut to `used`.
          RECOVERED: the same, by the next run of the worker. A spare, preallocated and not begun,
          is all zeros, header included.
Numbers   count a worker's segments, across its runs. Records of several threads may stand slightly
          out of the order of their `seq` and time; `start_seq` is one more than the highest before.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from vault.audit.records import FRAME, MIN_BODY_BYTES

HEADER_BYTES: Final = 256
FIXED_BYTES: Final = 160
MAX_WORKER_BYTES: Final = 61
MAGIC: Final = b"cvaudit\0"
VERSION: Final = 2
VERSION_AT: Final = len(MAGIC)
_READ_VERSIONS: Final = (1, VERSION)
NO_DIGEST: Final = bytes(32)
FOREVER_MS: Final = 2**63 - 1

_FIXED = struct.Struct(">8sBB16s16sQQI32sB61s")
_CLOSING = struct.Struct(">BQQIQQQ32s")
_CRC = struct.Struct(">I")
_NAME = re.compile(r"(?P<worker>[A-Za-z0-9_.-]+)-(?P<ms>\d{13})-(?P<number>\d{6,10})\.seg\Z")
_WORKER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}\Z")

# What the start of a frame looks like: lengths below 2**24, a known kind, and a seq and a time that
# real records have. The checksum decides; this only keeps it from being computed everywhere.
_FRAME_START = re.compile(rb"(?=\0.{7}[RA].\0\0.{6}\0\0)", re.DOTALL)
_MAX_RESYNC_BYTES = 64 * 2**20


class State(IntEnum):
    """Of a segment; see the module's text."""

    OPEN = 1
    CLOSED = 2
    RECOVERED = 3


class Sync(IntEnum):
    """When records reach the disk: within an interval, or before the read goes on."""

    INTERVAL = 1
    ALWAYS = 2


@dataclass(frozen=True, slots=True)
class SegmentName:
    """The parts of a segment's file name; `made_ms` in milliseconds since 1970."""

    worker: str
    made_ms: int
    number: int

    def __str__(self) -> str:
        return f"{self.worker}-{self.made_ms:013d}-{self.number:06d}.seg"


@dataclass(frozen=True, slots=True)
class FixedPart:
    """What is known when a segment is begun."""

    sync: Sync
    vault_id: bytes
    boot_id: bytes
    start_ms: int
    start_seq: int
    number: int
    previous_digest: bytes
    worker: str


@dataclass(frozen=True, slots=True)
class ClosingPart:
    """What is known when a segment ends; zero until then, except `state`."""

    state: State
    used: int = 0
    records: int = 0
    gaps: int = 0
    first_ms: int = 0
    last_ms: int = 0
    last_seq: int = 0
    digest: bytes = NO_DIGEST

    @property
    def is_final(self) -> bool:
        """Whether nothing will be written to the segment any more."""
        return self.state in (State.CLOSED, State.RECOVERED)


class Span(NamedTuple):
    """Bytes [start, end) of a segment: a whole frame, or damage that cannot be read."""

    start: int
    end: int
    valid: bool


def is_worker_name(text: str) -> bool:
    """Whether `text` may name a worker (61 characters of letters, digits, `_`, `.` and `-`)."""
    return _WORKER.match(text) is not None


def parse_name(file_name: str) -> SegmentName | None:
    """The parts of a segment's file name; None for any other file."""
    found = _NAME.match(file_name)
    return SegmentName(found["worker"], int(found["ms"]), int(found["number"])) if found else None


def segments_in(directory: Path) -> list[tuple[SegmentName, Path]]:
    """Every segment file of a directory, by worker and number.

    Raises:
        OSError: the directory cannot be read.
    """
    named = [(parse_name(path.name), path) for path in directory.iterdir()]
    return sorted(
        ((name, path) for name, path in named if name is not None),
        key=lambda pair: (pair[0].worker, pair[0].number, pair[0].made_ms),
    )


def pack_fixed(part: FixedPart) -> bytes:
    """The first 160 bytes of a header."""
    worker = part.worker.encode()
    packed = _FIXED.pack(
        MAGIC,
        VERSION,
        part.sync,
        part.vault_id,
        part.boot_id,
        part.start_ms,
        part.start_seq,
        part.number,
        part.previous_digest,
        len(worker),
        worker,
    )
    return packed + _CRC.pack(zlib.crc32(packed))


def pack_closing(part: ClosingPart) -> bytes:
    """The other 96 bytes of a header."""
    packed = _CLOSING.pack(
        part.state,
        part.used,
        part.records,
        part.gaps,
        part.first_ms,
        part.last_ms,
        part.last_seq,
        part.digest,
    )
    return (packed + _CRC.pack(zlib.crc32(packed))).ljust(HEADER_BYTES - FIXED_BYTES, b"\0")


def parse_fixed(header: bytes) -> FixedPart | None:
    """The fixed part of a header; None if it is damaged or of another version."""
    packed = _checked(header[: _FIXED.size + _CRC.size])
    if packed is None:
        return None
    magic, version, sync, vault_id, boot_id, start_ms, start_seq, number, previous, length, worker = (
        _FIXED.unpack(packed)
    )
    if magic != MAGIC or version not in _READ_VERSIONS or sync not in tuple(Sync):
        return None
    name = worker[:length].decode(errors="replace")
    return FixedPart(Sync(sync), vault_id, boot_id, start_ms, start_seq, number, previous, name)


def parse_closing(header: bytes) -> ClosingPart | None:
    """The closing part of a header; None if it is damaged: then the frames must be walked."""
    packed = _checked(header[FIXED_BYTES : FIXED_BYTES + _CLOSING.size + _CRC.size])
    if packed is None:
        return None
    state, *rest = _CLOSING.unpack(packed)
    return ClosingPart(State(state), *rest) if state in tuple(State) else None


def walk(data: bytes, position: int = HEADER_BYTES) -> Iterator[Span]:
    """The frames of a segment from a frame's start on, in order, with damage between them as invalid spans.

    Ends where only zeros follow. An invalid span that ends the walk is a torn tail.
    """
    size = len(data)
    content_end = len(data.rstrip(b"\0"))
    unpack, crc32, prefix = FRAME.unpack_from, zlib.crc32, FRAME.size
    while position < content_end:
        start = position + prefix
        if start <= size:
            length, crc = unpack(data, position)
            end = start + length
            if length >= MIN_BODY_BYTES and end <= size and crc32(data[start:end]) == crc:
                yield Span(position, end, True)
                position = end
                continue
        following = _next_frame(data, position + 1) or content_end
        yield Span(position, following, False)
        position = following


def _next_frame(data: bytes, position: int) -> int | None:
    """Where the next whole frame starts; None if there is none, or the search grew too costly."""
    view = memoryview(data)
    budget = _MAX_RESYNC_BYTES
    for found in _FRAME_START.finditer(data, position):
        length, crc = FRAME.unpack_from(data, found.start())
        start = found.start() + FRAME.size
        if not MIN_BODY_BYTES <= length <= len(data) - start:
            continue
        if zlib.crc32(view[start : start + length]) == crc:
            return found.start()
        budget -= length
        if budget < 0:
            return None
    return None


def _checked(packed: bytes) -> bytes | None:
    body, crc = packed[: -_CRC.size], packed[-_CRC.size :]
    if len(crc) != _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(body):
        return None
    return body
