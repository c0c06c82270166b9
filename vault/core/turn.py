"""One thread of a process at a time does the heavy Python work of writes.

Threads that compete for the interpreter lock cost more than they gain: every call into libsodium or
LMDB offers the lock to a waiting thread, and the wake-ups alone double the CPU time of an import
(measured: 105 against 60 µs a value). The commit thread goes first, because while it works it holds
the vault's write lock and other processes wait for it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

_ITEMS_A_TURN: Final = 32
Item = TypeVar("Item")
Made = TypeVar("Made")


class Turn:
    """A lock with one urgent user, the commit thread, whom the ordinary ones let pass."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nobody_urgent = threading.Event()
        self._nobody_urgent.set()

    @contextmanager
    def ordinary(self) -> Iterator[None]:
        """For a short piece of work; long ones take a turn for each piece."""
        self._nobody_urgent.wait()
        with self._lock:
            yield

    def each(self, work: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
        """`work` of each item, with a turn for a few of them: what is urgent waits for no more."""
        made: list[Made] = []
        for start in range(0, len(items), _ITEMS_A_TURN):
            with self.ordinary():
                made += [work(item) for item in items[start : start + _ITEMS_A_TURN]]
        return made

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """For the commit thread."""
        self._nobody_urgent.clear()
        try:
            with self._lock:
                yield
        finally:
            self._nobody_urgent.set()
