"""A bounded pool of key slots in guarded memory.

Rules:
- Slots of one size lie in a few large slabs: guarded memory costs guard pages and a kernel mapping
  per allocation, and one allocation per key ends at about 16,000 keys.
- A slot is zeroed before it is given out again. Its owner releases it only when no thread still
  uses a pointer into it: cffi calls release the GIL, so a slot recycled in use would seal or open
  under another customer's key.
- Slabs are added as needed, never beyond the budget, and freed all at once by `close`.
"""

import resource
import sys
import threading
from typing import Final

from vault.crypto.hazmat import GuardedMemory, KeyPointer
from vault.errors import KeyUnavailableError

NO_LIMIT: Final = sys.maxsize


def lockable_bytes() -> int:
    """Bytes of memory that this process may lock, or `NO_LIMIT`.

    Raises RLIMIT_MEMLOCK as far as allowed: away for a process with CAP_SYS_RESOURCE, else from
    the soft limit to the hard one. The limit counts whole pages and everything that is locked.
    Call it at start: for an instant it lowers the limit, to find out whether it applies.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        exempt = _is_exempt(hard)
    else:
        exempt = True
    return NO_LIMIT if exempt or hard == resource.RLIM_INFINITY else hard


def _is_exempt(hard: int) -> bool:
    # CAP_IPC_LOCK lifts the limit, but not that of a user namespace: so try it, do not read it.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, hard))
    try:
        GuardedMemory(1).free()
    except KeyUnavailableError:
        return False
    else:
        return True
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))


class SlotPool:
    """Slots of `slot_bytes`, numbered from 0, in at most `max_bytes` of guarded memory.

    Each slab takes up to two pages beyond its slots. Any thread may call every method.
    """

    def __init__(self, slot_bytes: int, max_bytes: int, slab_slots: int = 4096) -> None:
        if slot_bytes <= 0 or slab_slots <= 0:
            raise ValueError("slots and slabs need a size")
        self._slot_bytes = slot_bytes
        self._slab_slots = slab_slots
        self._capacity = max_bytes // slot_bytes
        self._lock = threading.Lock()
        self._slabs: list[GuardedMemory] = []
        self._free: list[int] = []
        self._used: set[int] = set()
        self._closed = False

    @property
    def capacity(self) -> int:
        """Slots that the budget allows."""
        return self._capacity

    @property
    def in_use(self) -> int:
        """Slots given out and not released."""
        return len(self._used)

    def acquire(self) -> int:
        """A free slot, all zeros.

        Raises:
            KeyUnavailableError: the budget is used up, no more memory can be locked, or the pool
                is closed.
        """
        with self._lock:
            if not self._free:
                self._add_slab()
            slot = self._free.pop()
            self._used.add(slot)
            return slot

    def pointer(self, slot: int, offset: int = 0) -> KeyPointer:
        """The address of one byte of an acquired slot; valid until the slot is released."""
        if slot not in self._used or not 0 <= offset < self._slot_bytes:
            raise IndexError("not in an acquired slot")
        slab, index = divmod(slot, self._slab_slots)
        return self._slabs[slab].pointer(index * self._slot_bytes + offset)

    def release(self, slot: int) -> None:
        """Zeroes the slot and takes it back. No thread may still use a pointer into it."""
        with self._lock:
            if slot not in self._used:
                raise IndexError("the slot is not acquired")
            slab, index = divmod(slot, self._slab_slots)
            self._slabs[slab].zero(index * self._slot_bytes, self._slot_bytes)
            self._used.remove(slot)
            self._free.append(slot)

    def close(self) -> None:
        """Zeroes and frees all slots; every pointer becomes invalid. May be called again."""
        with self._lock:
            self._closed = True
            for slab in self._slabs:
                slab.free()
            self._slabs.clear()
            self._free.clear()
            self._used.clear()

    def _add_slab(self) -> None:
        first = len(self._slabs) * self._slab_slots
        count = min(self._slab_slots, self._capacity - first)
        if self._closed:
            raise KeyUnavailableError("the key slots are closed")
        if count <= 0:
            raise KeyUnavailableError("all key slots are in use", capacity=str(self._capacity))
        self._slabs.append(GuardedMemory(count * self._slot_bytes))
        self._free.extend(range(first + count - 1, first - 1, -1))

    def __repr__(self) -> str:
        return f"<{self.in_use} of {self._capacity} key slots>"
