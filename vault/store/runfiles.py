"""What the processes of a running vault tell each other through files in `run/`. Nothing here is durable.

    lock-holder      a slot for each process: pid u32 | its start u64 (clock ticks since boot)
                     | since u64 (CLOCK_MONOTONIC, ns; 0 while it does not hold the write lock)
    writes-stopped   JSON: reason, time_ms. While it exists, no write session begins in any process.

A slot is its process's own, so striking out one's entry after a commit cannot strike out the next holder's.
The start time tells a process from a later one with the same id, so that nobody ends an innocent process.
"""

import contextlib
import fcntl
import json
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.errors import StorageStoppedError
from vault.store.files import RUN

HOLDER_FILE: Final = "lock-holder"
STOPPED_FILE: Final = "writes-stopped"
_SLOT = struct.Struct(">IQQ")
_SINCE_AT = 12
_FILE_BYTES = 4096
_VACANT = bytes(_SLOT.size)


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The living process that holds the write lock, and since when (`time.monotonic_ns`)."""

    pid: int
    since_ns: int

    @property
    def held_seconds(self) -> float:
        """How long it has held the lock."""
        return (time.monotonic_ns() - self.since_ns) / 1e9


class HolderFile:
    """This process's slot of `lock-holder`."""

    def __init__(self, root: Path) -> None:
        self._descriptor = os.open(root / RUN / HOLDER_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self._descriptor, 0, _FILE_BYTES)  # a full disk must not keep anyone from the lock
        me = _SLOT.pack(os.getpid(), _started(os.getpid()) or 0, 0)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            slots = self._slots()
            free = [at for at, slot in enumerate(slots) if slot == _VACANT or not _lives(slot)]
            # A slot whose owner died holding the lock is kept, as the next holder's warning.
            free = [at for at in free if not _SLOT.unpack(slots[at])[2]] or [len(slots)]
            self._at = free[0] * _SLOT.size
            os.pwrite(self._descriptor, me, self._at)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def take(self) -> bool:
        """Enters this process, which has the lock; returns whether a holder before it died in its session."""
        left_behind = False
        for at, slot in enumerate(self._slots()):
            if _SLOT.unpack(slot)[2] and not _lives(slot):
                os.pwrite(self._descriptor, _VACANT, at * _SLOT.size)
                left_behind = True
        self._since(time.monotonic_ns())
        return left_behind

    def clear(self) -> None:
        """Strikes this process out."""
        self._since(0)

    def close(self) -> None:
        """Gives the slot back."""
        os.pwrite(self._descriptor, _VACANT, self._at)
        os.close(self._descriptor)

    def _since(self, since_ns: int) -> None:
        os.pwrite(self._descriptor, since_ns.to_bytes(8, "big"), self._at + _SINCE_AT)

    def _slots(self) -> list[bytes]:
        return _split(os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0))


def lock_holder(root: Path) -> LockHolder | None:
    """Who holds the write lock of the vault in `root`, the longest if two overlap; None if nobody does."""
    try:
        slots = _split((root / RUN / HOLDER_FILE).read_bytes())
    except FileNotFoundError:
        return None
    holding = []
    for slot in slots:
        pid, _, since_ns = _SLOT.unpack(slot)
        if since_ns and _lives(slot):
            holding.append(LockHolder(pid, since_ns))
    return min(holding, key=lambda holder: holder.since_ns, default=None)


def stop_writes(root: Path, reason: str, time_ms: int) -> None:
    """Tells every process to begin no write session. Raises OSError if even that cannot be written."""
    path = root / RUN / STOPPED_FILE
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # The file's existence is the signal; a disk without room for its content still gives that.
            with contextlib.suppress(OSError):
                os.write(descriptor, json.dumps({"reason": reason, "time_ms": time_ms}).encode())
        finally:
            os.close(descriptor)


def resume_writes(root: Path) -> None:
    """Lets write sessions begin again; for whoever has checked the stores."""
    (root / RUN / STOPPED_FILE).unlink(missing_ok=True)


def stopped_reason(root: Path) -> str | None:
    """Why writes are stopped, or None while they are not."""
    try:
        content = (root / RUN / STOPPED_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return str(json.loads(content)["reason"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def require_writes(root: Path) -> None:
    """Raises StorageStoppedError while writes are stopped."""
    reason = stopped_reason(root)
    if reason is not None:
        raise StorageStoppedError("writes are stopped until the stores are checked", cause=reason)


def _split(content: bytes) -> list[bytes]:
    """The slots up to the last one in use."""
    used = -(-len(content.rstrip(b"\0")) // _SLOT.size)
    slots = [content[at * _SLOT.size : (at + 1) * _SLOT.size] for at in range(used)]
    return [slot.ljust(_SLOT.size, b"\0") for slot in slots]


def _lives(slot: bytes) -> bool:
    pid, started, _ = _SLOT.unpack(slot)
    return bool(pid) and bool(_started(pid) == started)


def _started(pid: int) -> int | None:
    """Start time of a process (field 22 of proc_pid_stat(5)); None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(b")")[2].split()[19])
