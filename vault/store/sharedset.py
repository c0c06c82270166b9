r"""A bounded set of 8-byte members in one file, shared by processes.

    header   64 bytes: magic "cvset\0\0\1" | count u64 | flags u64 (1 being changed, 2 and 4 the caller's)
             | 10 x slots u32, one for each region in use
    region   slots x member 8; zeros for none (a member of zeros counts as 00..01)

Rules:
- Open addressing by the member's own low bits: members are outputs of a PRF, so they are spread already.
- A region is twice as large as the limit that it was made for. A higher limit appends a region, members
  stay where they are; looked for is in all of them, added is to the last one.
- Changes are made under flock, all of a call's or none. The flag "being changed" is set before and cleared
  with the new count; whoever finds it set counts anew, so a killed process loses no member.
- Read through a map, written through the descriptor and only where the disk is allocated: a full disk is an
  error then and never a signal.
- Nothing is synced: the set outlives its processes, but not a loss of power.
"""

import array
import errno
import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.errors import StorageFullError, StorageStoppedError

MEMBER_BYTES: Final = 8
FIRST_FLAG: Final = 2
SECOND_FLAG: Final = 4
MAX_MEMBERS: Final = 2**22

_MAGIC: Final = b"cvset\0\0\1"
_CHANGING: Final = 1
_HEADER: Final = struct.Struct(">8sQQ10I")
_COUNT_AND_FLAGS: Final = struct.Struct(">QQ")
_COUNT_AT: Final = len(_MAGIC)
_SMALLEST_REGION: Final = 64
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class SetState:
    """How many members there are, and which of the caller's flags are set."""

    count: int = 0
    flags: int = 0


class SharedSet:
    """One process's handle. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Opens the set, or makes it.

        Raises:
            StorageFullError, StorageStoppedError: it cannot be opened or made.
        """
        self._lock = threading.Lock()
        with _translated():
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._map = mmap.mmap(-1, mmap.PAGESIZE)
            self._mapped = 0

    def add(self, members: Collection[bytes], limit: int, react: Callable[[SetState], int]) -> bool:
        """Adds all of `members`, or none if there would be more than `limit` then.

        Args:
            members: 8 bytes each.
            limit: At most `MAX_MEMBERS`.
            react: Called with what the set would come to, or has refused to; returns the flags to be set.
                What it raises leaves the set as it was.

        Returns:
            Whether they are in the set.

        Raises:
            StorageFullError, StorageStoppedError: the file cannot be written; nothing was added.
        """
        with self._locked():
            count, flags, regions = self._header()
            new = {each for member in members if not self._holds(each := _member(member), regions)}
            if added := count + len(new) <= limit:
                count += len(new)
            flags |= react(SetState(count if added else count + len(new), flags))
            if added and new:
                regions = self._with_room(regions, limit)
                self._write(_COUNT_AND_FLAGS.pack(count - len(new), flags | _CHANGING), _COUNT_AT)
                self._insert(new, regions)
            self._write(_COUNT_AND_FLAGS.pack(count, flags), _COUNT_AT)
            return added

    def state(self) -> SetState:
        """As of now."""
        with self._locked():
            count, flags, _ = self._header()
        return SetState(count, flags)

    def close(self) -> None:
        """Gives map and descriptor back."""
        self._map.close()
        os.close(self._descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # flock excludes other processes; threads of this one share its descriptor.
        with self._lock, _translated():
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _header(self) -> tuple[int, int, list[int]]:
        """Count, flags and regions; makes the header, or counts anew, where that was interrupted."""
        raw = os.pread(self._descriptor, _HEADER.size, 0)
        if len(raw) < _HEADER.size or not raw.startswith(_MAGIC):
            os.posix_fallocate(self._descriptor, 0, _HEADER.size)
            self._write(_HEADER.pack(_MAGIC, 0, 0, *[0] * 10), 0)
            return 0, 0, []
        _, count, flags, *slots = _HEADER.unpack(raw)
        regions = [each for each in slots if each]
        size = _HEADER.size + sum(regions) * MEMBER_BYTES
        if size != self._mapped and regions:
            self._map.close()
            self._map = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
            self._mapped = size
        if flags & _CHANGING:
            members = array.array("Q", self._map[_HEADER.size : size])
            count, flags = len(members) - members.count(0), flags & ~_CHANGING
        return count, flags, regions

    def _with_room(self, regions: list[int], limit: int) -> list[int]:
        """The regions, with one more at the end if the last was made for a lower limit."""
        if regions and regions[-1] >= 2 * limit:
            return regions
        # At least four times the last one, so that ten regions are enough for every limit there can be.
        slots = max(1 << (2 * limit - 1).bit_length(), 4 * regions[-1] if regions else _SMALLEST_REGION)
        made = [*regions, slots]
        size = _HEADER.size + sum(made) * MEMBER_BYTES
        os.posix_fallocate(self._descriptor, 0, size)
        table = made + [0] * (10 - len(made))
        self._write(struct.pack(">10I", *table), _COUNT_AT + _COUNT_AND_FLAGS.size)
        self._map.close()
        self._map = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
        self._mapped = size
        return made

    def _holds(self, member: bytes, regions: list[int]) -> bool:
        start = _HEADER.size
        for slots in regions:
            if self._find(member, start, slots)[1]:
                return True
            start += slots * MEMBER_BYTES
        return False

    def _insert(self, members: Collection[bytes], regions: list[int]) -> None:
        start = _HEADER.size + sum(regions[:-1]) * MEMBER_BYTES
        for member in members:
            at, held = self._find(member, start, regions[-1])
            if not held:
                self._write(member, at)

    def _find(self, member: bytes, start: int, slots: int) -> tuple[int, bool]:
        """Where a member stands in a region, or would; and whether it does."""
        slot, view = int.from_bytes(member, "big") & (slots - 1), self._map
        while True:
            at = start + slot * MEMBER_BYTES
            found = view[at : at + MEMBER_BYTES]
            if found == member:
                return at, True
            if found == _NONE:
                return at, False
            slot = (slot + 1) & (slots - 1)

    def _write(self, data: bytes, at: int) -> None:
        os.pwrite(self._descriptor, data, at)


_NONE: Final = bytes(MEMBER_BYTES)
_FOR_ZEROS: Final = bytes(MEMBER_BYTES - 1) + b"\1"


def _member(member: bytes) -> bytes:
    return member if member != _NONE else _FOR_ZEROS


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("no space is left to count in") from error
        raise StorageStoppedError("a count cannot be read or written") from error
