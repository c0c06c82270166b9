"""Takes records from the segments that the workers write, in order, as far as they are on the disk.

Rules:
- A segment's header is read before its frames: if it says that the segment is finished, nothing is missing
  behind what is read then.
- Of a segment that is still written, the first thing that is no whole frame ends the reading: it may be on
  its way. Of a finished one, such a thing is damage: an act `AuditGap` stands in for it.
- What was read is synced before it is handed on. Otherwise a loss of power could take from the segment what
  the tree already holds, and its worker would give the same numbers again.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.layout import (
    FIXED_BYTES,
    HEADER_BYTES,
    ClosingPart,
    SegmentName,
    parse_closing,
    segments_in,
    walk,
)
from vault.audit.records import FRAME, GAP_ACTION, MIN_BODY_BYTES, gap_act, is_gap_frame
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.state import State

READ_BYTES: Final = 1 << 18
MAX_PIECE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of one segment: where each frame begins, and its body. `end` is where the next one will."""

    name: SegmentName
    records: list[tuple[int, bytes]]
    end: int
    done: bool
    gaps: int

    @property
    def bytes(self) -> int:
        """How many bytes of the segment it covers."""
        return self.end - self.records[0][0] if self.records else 0


def pieces(
    directory: Path, state: State, now_ms: Callable[[], int], pace: Callable[[], None] = at_once
) -> Iterator[Piece]:
    """Everything that is not sealed yet, a few megabytes at a time, by worker and in the order written.

    Calls `pace` after each read.

    Raises:
        OSError: a segment cannot be read or synced.
    """
    for name, path in segments_in(directory):
        sealed = state.of(path.name)
        if sealed.done:
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:  # an empty spare, given back meanwhile
            continue
        try:
            yield from _Segment(descriptor, name, now_ms, pace).pieces(sealed.offset)
        finally:
            os.close(descriptor)


class _Segment:
    def __init__(
        self, descriptor: int, name: SegmentName, now_ms: Callable[[], int], pace: Callable[[], None]
    ) -> None:
        self._descriptor = descriptor
        self._name = name
        self._now_ms = now_ms
        self._pace = pace

    def pieces(self, offset: int) -> Iterator[Piece]:
        header = os.pread(self._descriptor, HEADER_BYTES + FRAME.size, 0)
        if not any(header):  # a spare, not begun
            return
        closing = parse_closing(header[:HEADER_BYTES])
        final = closing is not None and closing.is_final
        while True:
            records, end = self._frames(offset)
            if records:
                os.fdatasync(self._descriptor)
                gaps = sum(_is_gap(body) for _, body in records)
                yield Piece(self._name, records, end, done=False, gaps=gaps)
                offset = end
            elif not final:
                return
            else:
                yield self._rest(offset, closing)
                return

    def _frames(self, offset: int) -> tuple[list[tuple[int, bytes]], int]:
        """Whole frames from an offset on, and where they end."""
        found: list[tuple[int, bytes]] = []
        first, wanted = offset, READ_BYTES
        unpack, crc32, prefix = FRAME.unpack_from, zlib.crc32, FRAME.size
        while offset - first < MAX_PIECE_BYTES:
            data = os.pread(self._descriptor, wanted, offset)
            at, size, length = 0, len(data), 0
            while at + prefix <= size:
                length, crc = unpack(data, at)
                end = at + prefix + length
                if length < MIN_BODY_BYTES or end > size:
                    break
                body = data[at + prefix : end]
                if crc32(body) != crc:
                    break
                found.append((offset + at, body))
                at = end
            offset += at
            if at == 0:
                needed = prefix + length
                if size < wanted or needed <= wanted:
                    break
                wanted = needed  # a frame longer than what was read
            else:
                wanted = READ_BYTES
            self._pace()
        return found, offset

    def _rest(self, offset: int, closing: ClosingPart | None) -> Piece:
        """What follows the last whole frame of a finished segment: as a rule nothing."""
        data = _whole(self._descriptor)
        used = len(data.rstrip(b"\0")) if closing is None else closing.used
        records: list[tuple[int, bytes]] = []
        for span in walk(data[:used]):
            if span.start < offset:
                continue
            if span.valid:
                records.append((span.start, data[span.start + FRAME.size : span.end]))
            else:
                records.append((span.start, self._gap("damaged", span.start, span.end - span.start)))
        if closing is not None and closing.digest != _digest(data, closing.used):
            records.append((used, self._gap("not the records that were closed", used, 0)))
        return Piece(self._name, records, used, done=True, gaps=sum(_is_gap(body) for _, body in records))

    def _gap(self, cause: str, offset: int, length: int) -> bytes:
        detail = {"segment": str(self._name), "cause": cause, "offset": offset, "bytes": length}
        return gap_act(0, self._now_ms(), json.dumps(detail))[FRAME.size :]


_GAP = GAP_ACTION.encode()


def _is_gap(body: bytes) -> bool:
    return _GAP in body and is_gap_frame(bytes(FRAME.size) + body)


def _digest(data: bytes, used: int) -> bytes:
    return hashlib.sha256(data[:FIXED_BYTES] + data[HEADER_BYTES:used]).digest()


def _whole(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()
