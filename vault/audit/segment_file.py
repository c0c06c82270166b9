"""One segment on disk while it is written: preallocated, locked, begun, appended to, closed.

- The space is taken from the file system before the first record needs it.
- An exclusive `flock` says that a process still writes the segment; it ends with the process.
- A frame is either whole or not there: what a failed write may have left is overwritten by the
  next frame, padded with zeros so far as the remains reach.
- What was written is counted when it is digested, later and many at a time.
- Nothing here is thread-safe; `SegmentWriter` holds the locks.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from vault.audit.digests import Digest
from vault.audit.layout import (
    FIXED_BYTES,
    FOREVER_MS,
    HEADER_BYTES,
    ClosingPart,
    FixedPart,
    SegmentName,
    State,
    pack_closing,
    pack_fixed,
)
from vault.audit.records import STAMP, STAMP_OFFSET


class SegmentFile:
    """A segment that this process may write.

    Every method raises OSError where the disk refuses.
    """

    def __init__(self, fd: int, path: Path, name: SegmentName, size: int) -> None:
        self.fd = fd
        self.path = path
        self.name = name
        self.size = size
        self.used = HEADER_BYTES
        self.records = 0
        self.gaps = 0
        self.first_ms = FOREVER_MS
        self.last_ms = 0
        self.last_seq = 0
        self.given_up_for = ""  # the error for which its records may be lost
        self._remains_until = 0
        self._digest = Digest(b"", name)
        self._undigested: list[bytes] = []

    @classmethod
    def create(cls, directory: Path, name: SegmentName, size: int) -> "SegmentFile":
        """A new spare of `size` bytes, on the disk when this returns.

        Raises:
            FileExistsError: the name is taken.
            OSError: no space, or the directory cannot be written.
        """
        path = directory / str(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
            sync_directory(directory)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):  # the first error is the one to tell
                path.unlink()
            raise
        return cls(fd, path, name, size)

    def begin(self, fixed: FixedPart) -> None:
        """Writes the header: from now on frames may be appended."""
        header = pack_fixed(fixed)
        _write_all(self.fd, header + pack_closing(ClosingPart(State.OPEN)), 0)
        self._digest = Digest(header, self.name)

    def write(self, frame: bytes) -> None:
        """Appends a frame, which must fit; it is the kernel's when this returns."""
        used = self.used
        end = used + len(frame)
        data = frame if end >= self._remains_until else frame + bytes(self._remains_until - end)
        try:
            written = os.pwrite(self.fd, data, used)
            if written != len(data):
                _write_all(self.fd, data[written:], used + written)
        except OSError:
            self._remains_until = max(self._remains_until, end)
            self._clear_remains()
            raise
        self._remains_until = 0
        self.used = end
        self._undigested.append(frame)

    def take_over(self, fixed: bytes) -> None:
        """Begins to count a segment found on disk, from the 160 bytes of its fixed part."""
        self._digest = Digest(fixed, self.name)

    def count_found(self, chunk: bytes, *, valid: bool, is_gap: bool) -> None:
        """Counts the next bytes of a segment found on disk: a frame, or damage."""
        self.used += len(chunk)
        self.gaps += is_gap
        if valid:
            self._digest.add_frame(chunk)
            self._count(chunk)
        else:
            self._digest.add_damage(chunk)

    def _count(self, frame: bytes) -> None:
        self.records += 1
        seq, time_ms, _ = STAMP.unpack_from(frame, STAMP_OFFSET)
        if seq > self.last_seq:
            self.last_seq = seq
        if time_ms > self.last_ms:
            self.last_ms = time_ms
        if time_ms < self.first_ms:
            self.first_ms = time_ms

    def _clear_remains(self) -> None:
        # Blocks may be missing from `used` on: then nothing was written there, or the next frame covers it.
        with contextlib.suppress(OSError):
            _write_all(self.fd, bytes(self._remains_until - self.used), self.used)

    def digest_pending(self) -> None:
        """Digests and counts what was appended. May run beside `write`, but not beside itself."""
        frames = self._undigested[:]
        del self._undigested[: len(frames)]
        for frame in frames:
            self._digest.add_frame(frame)
            self._count(frame)

    @property
    def is_given_up(self) -> bool:
        """Whether its records may be lost."""
        return self.given_up_for != ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was appended."""
        return self.used == HEADER_BYTES

    @property
    def digest(self) -> bytes:
        """The segment's digest, if `digest_pending` ran since the last write."""
        return self._digest.digest()

    def sync(self) -> None:
        """Everything that was appended is on the disk when this returns."""
        os.fdatasync(self.fd)

    @property
    def is_removed(self) -> bool:
        """Whether the file lost its name: what is written to it would vanish with the process."""
        return os.fstat(self.fd).st_nlink == 0

    def finish(self, state: State) -> None:
        """Cuts the segment to its used length, states how it ended, and lets go of it."""
        try:
            self.digest_pending()
            self.sync()
            os.ftruncate(self.fd, self.used)
            _write_all(self.fd, pack_closing(self._closing(state)), FIXED_BYTES)
            os.fsync(self.fd)
        finally:
            self.release()

    def _closing(self, state: State) -> ClosingPart:
        first_ms = self.first_ms if self.records else 0
        return ClosingPart(
            state, self.used, self.records, self.gaps, first_ms, self.last_ms, self.last_seq, self.digest
        )

    def discard(self) -> None:
        """Removes a segment without records."""
        self.release()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def release(self) -> None:
        """Lets go of the file as it is."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def sync_directory(directory: Path) -> None:
    """The directory's entries are on the disk when this returns."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
