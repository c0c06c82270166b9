"""Takes records from the segments that the workers write, in order, as far as they are on the disk.

Rules:
- A segment's header is read before its frames: if it says that the segment is finished, nothing is missing
  behind what is read then.
- Of a segment that is still written, the first thing that is no whole frame ends the reading: it may be on
  its way. Of a finished one, such a thing is damage: an act `AuditGap` stands in for it.
- What was read is synced before it counts (`sync`). Otherwise a loss of power could take from the segment
  what the tree already holds, and its worker would give the same numbers again.
- A finished segment has a digest; an act `AuditGap` says if what was read is something else. That is found
  while a segment is read; one that another run of the sealer began to read is read once more.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.digests import Digest, digest_of
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
from vault.audit.sealed.cutting import Found, Stretch, count_gaps
from vault.audit.sealed.cutting_native import new_cutter
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.state import State

_CHANGED: Final = "not the records that were closed"
READ_BYTES: Final = 1 << 20  # what a piece costs by itself is little beside its records


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of one segment, in stretches of whole frames. `end` is where the next frame will begin.

    What it holds is good until the next piece is asked for: all of them are read into the same memory.
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


class Tailing:
    """Reads the segments of a directory again and again, for one thread."""

    def __init__(
        self, directory: Path, now_ms: Callable[[], int], pace: Callable[[], None] = at_once
    ) -> None:
        """Opens nothing yet; calls `pace` after each read."""
        self._directory = directory
        self._now_ms = now_ms
        self._pace = pace
        self._cutter = new_cutter()
        self._digests: dict[str, Digest] = {}
        self._unsynced: int | None = None  # a descriptor
        self._buffer = bytearray(READ_BYTES)

    def pieces(self, state: State) -> Iterator[Piece]:
        """Everything that is not sealed yet, some of it at a time, by worker and in the order written.

        Raises:
            OSError: a segment cannot be read or synced.
        """
        found = segments_in(self._directory)
        names = {path.name for _, path in found}
        self._digests = {name: each for name, each in self._digests.items() if name in names}
        for name, path in found:
            sealed = state.of(path.name)
            if sealed.done:
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:  # an empty spare, given back meanwhile
                continue
            try:
                yield from self._segment(descriptor, name, sealed.offset)
                self.sync()
            finally:
                self._unsynced = None
                os.close(descriptor)

    def became(self, piece: Piece, hashes: bytes) -> None:
        """Takes the hashes of the leaves that a piece became, joined; before the next piece is asked for."""
        digest = self._digests.get(str(piece.name))
        if digest is not None and piece.stretches and digest.offset == piece.stretches[0].offset:
            digest.add_sealed(piece.stretches[0].frames, hashes)

    def sync(self) -> None:
        """What was handed on so far is on the disk when this returns.

        Raises:
            OSError: the disk refuses.
        """
        if self._unsynced is not None:
            os.fdatasync(self._unsynced)
            self._unsynced = None

    def _segment(self, descriptor: int, name: SegmentName, offset: int) -> Iterator[Piece]:
        header = os.pread(descriptor, HEADER_BYTES + FRAME.size, 0)
        if not any(header):  # a spare, not begun
            return
        closing = parse_closing(header[:HEADER_BYTES])
        digest = self._digest_of(name, header[:FIXED_BYTES], offset)
        while True:
            frames, found = self._frames(descriptor, offset)
            if not found.used:
                break
            self._unsynced = descriptor
            end = offset + found.used
            yield Piece(name, [Stretch(offset, frames)], found.records, end, done=False, gaps=found.gaps)
            offset = end
            self._pace()
        if closing is not None and closing.is_final:
            self._digests.pop(str(name), None)
            yield self._rest(_Finished(descriptor, name, closing), offset, digest)

    def _digest_of(self, name: SegmentName, fixed: bytes, offset: int) -> Digest | None:
        """The digest of a segment up to an offset; None if that is not known any more."""
        if offset == HEADER_BYTES:
            self._digests[str(name)] = Digest(fixed, name)
        digest = self._digests.get(str(name))
        return digest if digest is not None and (digest.fixed, digest.offset) == (fixed, offset) else None

    def _frames(self, descriptor: int, offset: int) -> tuple[memoryview, Found]:
        """Whole frames from an offset on, as many as one read has, but one at least if there is one."""
        wanted = READ_BYTES
        while True:
            if len(self._buffer) < wanted:
                self._buffer = bytearray(wanted)
            room = memoryview(self._buffer)
            data = room[: os.preadv(descriptor, [room[:wanted]], offset)]
            found, needed = self._cutter.find(data), _frame_bytes(data)
            if found.used or len(data) < wanted or needed <= wanted:
                return data[: found.used], found
            wanted = needed  # a frame longer than what was read

    def _rest(self, segment: "_Finished", offset: int, digest: Digest | None) -> Piece:
        """What follows the last whole frame of a finished segment: as a rule nothing."""
        closing = segment.closing
        if digest is not None and digest.offset == closing.used:
            if digest.digest() == closing.digest:
                return Piece(segment.name, [], 0, offset, done=True, gaps=0)
            changed = [self._gap(segment, _CHANGED, offset, 0)]
            return Piece(segment.name, changed, 1, offset, done=True, gaps=1)
        data = segment.content()
        used = closing.used
        stretches: list[Stretch] = []
        for span in walk(data[:used]):
            if span.start < offset:
                continue
            if span.valid:
                stretches.append(Stretch(span.start, data[span.start : span.end]))
            else:
                stretches.append(self._gap(segment, "damaged", span.start, span.end - span.start))
        if closing.digest != digest_of(segment.name, data, used):
            stretches.append(self._gap(segment, _CHANGED, used, 0))
        gaps = sum(count_gaps(each.frames) for each in stretches)
        return Piece(segment.name, stretches, len(stretches), used, done=True, gaps=gaps)

    def _gap(self, segment: "_Finished", cause: str, offset: int, length: int) -> Stretch:
        detail = {"segment": str(segment.name), "cause": cause, "offset": offset, "bytes": length}
        return Stretch(offset, gap_act(0, self._now_ms(), json.dumps(detail)))


@dataclass(frozen=True, slots=True)
class _Finished:
    """A segment to which nothing will be added."""

    descriptor: int
    name: SegmentName
    closing: ClosingPart

    def content(self) -> bytes:
        """All of it."""
        with open(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return file.read()


def _frame_bytes(data: memoryview) -> int:
    """How long the frame is that `data` begins with; 0 where none can be as long."""
    length: int = FRAME.unpack_from(data)[0] if len(data) >= FRAME.size else 0
    return FRAME.size + length if length <= MAX_BODY_BYTES else 0
