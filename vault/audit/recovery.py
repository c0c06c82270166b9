"""What a new run of a worker does with the segments that its last run left behind.

- A segment is judged only if nobody holds its lock: a second live process of the same worker name
  keeps its own.
- A killed process leaves whole frames and zeros: the kernel had the bytes. No gap.
- Bytes that are no frame after the last whole one are a gap: the machine went down while they were
  on their way to the disk.
- An interval-synced segment that was left open by another boot of the machine is a gap, too. What
  was lost may have been whole frames, which leave no trace, so the log cannot claim completeness.
- Empty leftovers become the new run's first segments: on a full disk their space may be the last.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from vault.audit.layout import (
    FIXED_BYTES,
    HEADER_BYTES,
    NO_DIGEST,
    FixedPart,
    SegmentName,
    State,
    Sync,
    parse_closing,
    parse_fixed,
    segments_in,
    walk,
)
from vault.audit.records import is_gap_frame
from vault.audit.segment_file import SegmentFile

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class Leftovers:
    """Where the new run goes on. `gaps` are details for its first records."""

    next_number: int
    last_seq: int
    previous_digest: bytes
    gaps: list[str]
    spares: list[SegmentFile]


def boot_id() -> bytes:
    """16 bytes that change when the machine starts; zeros where the system does not tell."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
    except OSError:
        return bytes(16)


def recover(directory: Path, worker: str, segment_bytes: int, boot: bytes) -> Leftovers:
    """Closes what the worker's last run left open, and says where the next one goes on.

    Raises:
        OSError: the directory or a segment cannot be read or written.
    """
    own = [(name, path) for name, path in segments_in(directory) if name.worker == worker]
    left = Leftovers(own[-1][0].number + 1 if own else 1, 0, NO_DIGEST, [], [])
    try:
        for name, path in reversed(own):
            if not _judge(left, name, path, segment_bytes, boot):
                break
    except OSError:
        for spare in left.spares:
            spare.release()
        raise
    return left


def _judge(left: Leftovers, name: SegmentName, path: Path, segment_bytes: int, boot: bytes) -> bool:
    """Deals with one segment, newest first; False where the older ones are known to be closed."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    segment = SegmentFile(fd, path, name, os.fstat(fd).st_size)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        segment.release()
        return True
    try:
        header = os.pread(fd, HEADER_BYTES, 0)
        closing = parse_closing(header)
        if closing is not None and closing.is_final:
            segment.release()
            _continue_from(left, closing.last_seq, closing.digest)
            return False
        _recover_open(left, segment, segment_bytes, boot)
    except OSError:
        segment.release()
        raise
    return True


def _recover_open(left: Leftovers, segment: SegmentFile, segment_bytes: int, boot: bytes) -> None:
    data = _read(segment)
    fixed = parse_fixed(data[:HEADER_BYTES])
    gap = _replay(segment, data)
    if gap is None and fixed is not None and _lost_power(fixed, boot):
        gap = _gap_detail(segment, "not closed before the machine went down")
    if gap is None and fixed is None and any(data[:HEADER_BYTES]):
        gap = _gap_detail(segment, "its header is torn")
    if gap is not None:
        left.gaps.insert(0, gap)
    if segment.records or segment.used > HEADER_BYTES:
        segment.finish(State.RECOVERED)
        _continue_from(left, segment.last_seq, segment.digest)
    elif segment.size == segment_bytes and len(left.spares) < 2:
        left.spares.insert(0, SegmentFile(segment.fd, segment.path, segment.name, segment.size))
    else:
        segment.discard()


def _replay(segment: SegmentFile, data: bytes) -> str | None:
    """Counts the frames of a segment as if they had just been appended; says if some are damaged."""
    segment.take_over(data[:FIXED_BYTES])
    gap = None
    for span in walk(data):
        chunk = data[span.start : span.end]
        segment.count_found(chunk, valid=span.valid, is_gap=span.valid and is_gap_frame(chunk))
        if not span.valid:
            gap = gap or _gap_detail(segment, "torn record", offset=span.start)
    return gap


def _lost_power(fixed: FixedPart, boot: bytes) -> bool:
    known = any(boot) and any(fixed.boot_id)
    return known and fixed.sync is Sync.INTERVAL and fixed.boot_id != boot


def _gap_detail(segment: SegmentFile, cause: str, **numbers: int) -> str:
    return json.dumps({"segment": segment.path.name, "cause": cause, **numbers})


def _continue_from(left: Leftovers, last_seq: int, digest: bytes) -> None:
    left.last_seq = max(left.last_seq, last_seq)
    if left.previous_digest == NO_DIGEST:
        left.previous_digest = digest


def _read(segment: SegmentFile) -> bytes:
    with open(segment.fd, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()
