"""Cuts what the workers wrote into leaves: whole frames first, then a bundle's entries from them.

    frame   length u32 of the body | CRC-32 u32 of the body | body     (see `vault.audit.records`)
    entry   length u16 | leaf                                          (of a bundle; see `leaves`)

Every record that is sealed goes through here, so the same is there compiled (`cutting.c`), many records in a
call and without the lock of the interpreter. Nothing is decided there: what is not a whole frame, or takes
several leaves, is left to the caller. This is the reference, and what serves without a C compiler.
"""

import zlib
from typing import Final, NamedTuple, Protocol

from vault.audit.records import FRAME, GAP_ACTION, MIN_BODY_BYTES, STAMP, STAMP_OFFSET, is_gap_frame
from vault.tlog.tiles import MAX_ENTRY_BYTES

PRINCIPALS: Final = 64
NEVER_MS: Final = 2**64 - 1
LENGTH_BYTES: Final = 2
_AROUND_BYTES: Final = 1 + 4  # form and offset
_GAP: Final = GAP_ACTION.encode()


class Stretch(NamedTuple):
    """Whole frames of a segment, one after the other, and where the first one begins."""

    offset: int
    frames: bytes | memoryview


class Found(NamedTuple):
    """How many bytes of whole frames there are, with how many records, of which are gap acts."""

    used: int
    records: int
    gaps: int


class Cut(NamedTuple):
    """What became leaves: bytes of frames, bytes of entries, and how many; their times, inclusive.

    `principals` has bit n set where a record's principal is n modulo 64.
    """

    used: int
    size: int
    leaves: int
    first_ms: int = NEVER_MS
    last_ms: int = 0
    principals: int = 0


class Cutter(Protocol):
    """Cuts."""

    def find(self, data: bytes | memoryview) -> Found:
        """The whole frames that `data` begins with: lengths that fit, and checksums that are right."""

    def cut(self, head: bytes, stretch: Stretch, at: int, out: bytearray, start: int, limit: int) -> Cut:
        """Writes entries of the frames from `at` on.

        Ends at `limit` leaves, or before a record that takes several.

        Args:
            head: of the segment; see `segment_head`.
            stretch: the frames.
            at: where the first one to be cut begins in `stretch.frames`.
            out: takes the entries, is made larger where it is too small.
            start: where in `out`.
            limit: of leaves.
        """


class PortableCutter:
    """The reference."""

    def find(self, data: bytes | memoryview) -> Found:
        """See `Cutter`."""
        unpack, crc32, prefix = FRAME.unpack_from, zlib.crc32, FRAME.size
        at, size, records, gaps = 0, len(data), 0, 0
        while at + prefix <= size:
            length, crc = unpack(data, at)
            end = at + prefix + length
            if length < MIN_BODY_BYTES or end > size or crc32(memoryview(data)[at + prefix : end]) != crc:
                break
            records += 1
            at = end
        frames = bytes(data[:at])
        if _GAP in frames:
            gaps = count_gaps(frames)
        return Found(at, records, gaps)

    def cut(self, head: bytes, stretch: Stretch, at: int, out: bytearray, start: int, limit: int) -> Cut:
        """See `Cutter`."""
        frames, begin, room = stretch.frames, at, MAX_ENTRY_BYTES - _AROUND_BYTES - len(head)
        parts: list[bytes] = []
        first_ms, last_ms, principals, leaves = NEVER_MS, 0, 0, 0
        while leaves < limit and at < len(frames):
            length = FRAME.unpack_from(frames, at)[0]
            if length > room:
                break
            _, time_ms, principal = STAMP.unpack_from(frames, at + STAMP_OFFSET)
            first_ms, last_ms = min(first_ms, time_ms), max(last_ms, time_ms)
            principals |= 1 << principal % PRINCIPALS
            end = at + FRAME.size + length
            entry_bytes = (length + len(head) + _AROUND_BYTES).to_bytes(LENGTH_BYTES, "big")
            place = (stretch.offset + at).to_bytes(4, "big")
            parts += entry_bytes, b"\x00", head, place, bytes(frames[at + FRAME.size : end])
            at = end
            leaves += 1
        entries = b"".join(parts)
        out[start : start + len(entries)] = entries
        return Cut(at - begin, len(entries), leaves, first_ms, last_ms, principals)


def count_gaps(frames: bytes | memoryview) -> int:
    """How many of whole frames hold a gap act."""
    at = gaps = 0
    while at < len(frames):
        end = at + FRAME.size + FRAME.unpack_from(frames, at)[0]
        gaps += is_gap_frame(bytes(frames[at:end]))
        at = end
    return gaps
