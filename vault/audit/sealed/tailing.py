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
from collections.abc import Callable, Iterator, Sequence
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
from vault.audit.records import FRAME, MAX_BODY_BYTES, gap_act
from vault.audit.sealed.cutting import Stretch, count_gaps
from vault.audit.sealed.cutting_native import new_cutter
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.state import State

READ_BYTES: Final = 1 << 18
MAX_PIECE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of one segment, in stretches of whole frames. `end` is where the next frame will begin.

    `gaps` counts the acts `AuditGap` among the records; `done` says that nothing will follow.
    """

    name: SegmentName
    stretches: Sequence[Stretch]
    records: int
    end: int
    done: bool
    gaps: int

    @property
    def bytes(self) -> int:
        """How many bytes of the segment it covers."""
        return self.end - self.stretches[0].offset if self.stretches else 0


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
        self._cutter = new_cutter()

    def pieces(self, offset: int) -> Iterator[Piece]:
        header = os.pread(self._descriptor, HEADER_BYTES + FRAME.size, 0)
        if not any(header):  # a spare, not begun
            return
        closing = parse_closing(header[:HEADER_BYTES])
        final = closing is not None and closing.is_final
        while True:
            piece = self._frames(offset)
            if piece.records:
                os.fdatasync(self._descriptor)
                yield piece
                offset = piece.end
            elif not final:
                return
            else:
                yield self._rest(offset, closing)
                return

    def _frames(self, offset: int) -> Piece:
        """Whole frames from an offset on."""
        stretches: list[Stretch] = []
        first, wanted, records, gaps = offset, READ_BYTES, 0, 0
        while offset - first < MAX_PIECE_BYTES:
            data = os.pread(self._descriptor, wanted, offset)
            found = self._cutter.find(data)
            if found.used:
                stretches.append(Stretch(offset, data[: found.used]))
                records, gaps = records + found.records, gaps + found.gaps
                offset, wanted = offset + found.used, READ_BYTES
            else:
                needed = _frame_bytes(data)
                if len(data) < wanted or needed <= wanted:
                    break
                wanted = needed  # a frame longer than what was read
            self._pace()
        return Piece(self._name, stretches, records, offset, done=False, gaps=gaps)

    def _rest(self, offset: int, closing: ClosingPart | None) -> Piece:
        """What follows the last whole frame of a finished segment: as a rule nothing."""
        data = _whole(self._descriptor)
        used = len(data.rstrip(b"\0")) if closing is None else closing.used
        stretches: list[Stretch] = []
        for span in walk(data[:used]):
            if span.start < offset:
                continue
            if span.valid:
                stretches.append(Stretch(span.start, data[span.start : span.end]))
            else:
                stretches.append(self._gap("damaged", span.start, span.end - span.start))
        if closing is not None and closing.digest != _digest(data, closing.used):
            stretches.append(self._gap("not the records that were closed", used, 0))
        gaps = sum(count_gaps(each.frames) for each in stretches)
        return Piece(self._name, stretches, len(stretches), used, done=True, gaps=gaps)

    def _gap(self, cause: str, offset: int, length: int) -> Stretch:
        detail = {"segment": str(self._name), "cause": cause, "offset": offset, "bytes": length}
        return Stretch(offset, gap_act(0, self._now_ms(), json.dumps(detail)))


def _frame_bytes(data: bytes) -> int:
    """How long the frame is that `data` begins with; 0 where none can be as long."""
    length: int = FRAME.unpack_from(data)[0] if len(data) >= FRAME.size else 0
    return FRAME.size + length if length <= MAX_BODY_BYTES else 0


def _digest(data: bytes, used: int) -> bytes:
    return hashlib.sha256(data[:FIXED_BYTES] + data[HEADER_BYTES:used]).digest()


def _whole(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()
