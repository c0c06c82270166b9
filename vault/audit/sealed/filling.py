"""The bundle at the end of the log while it is filled: its entries, and the span of its records.

One buffer takes bundle after bundle, so that none of them costs new memory.
"""

from collections.abc import Callable

from vault.audit.sealed.cutting import LENGTH_BYTES, NEVER_MS, PRINCIPALS, Cutter, Stretch
from vault.audit.sealed.files import Span
from vault.audit.sealed.leaves import FIRST, WHOLE, stamp_of
from vault.audit.sealed.pacing import at_once
from vault.tlog.merkle import leaf_hashes
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import split_entries

_HASHED_AT_ONCE = 1 << 16


class Filling:
    """A bundle that is not full yet, or just is."""

    def __init__(self, cutter: Cutter, index: int, entries: list[bytes]) -> None:
        """Begins behind entries that are in the tree already."""
        self._cutter = cutter
        self._content = bytearray()
        self.index, self.leaves = index, 0
        self._size = self._hashed = 0
        self._first_ms, self._last_ms, self._principals = NEVER_MS, 0, 0
        for entry in entries:
            self.add(entry)
        self._hashed = self._size

    @property
    def content(self) -> memoryview:
        """Its entries, joined. To be let go of before more are added."""
        return memoryview(self._content)[: self._size]

    @property
    def is_full(self) -> bool:
        """Whether the next entry belongs to the next bundle."""
        return self.leaves == TILE_LEAVES

    @property
    def span(self) -> Span:
        """The times of the records that begin in it, and whose they are."""
        return Span(min(self._first_ms, self._last_ms), self._last_ms, self._principals)

    def take(self, head: bytes, stretch: Stretch, at: int) -> int:
        """Adds records of a stretch from a frame on; returns how many bytes of it. 0: the record is long."""
        cut = self._cutter.cut(head, stretch, at, self._content, self._size, TILE_LEAVES - self.leaves)
        self._size += cut.size
        self.leaves += cut.leaves
        self._first_ms = min(self._first_ms, cut.first_ms)
        self._last_ms = max(self._last_ms, cut.last_ms)
        self._principals |= cut.principals
        return cut.used

    def add(self, entry: bytes) -> None:
        """Adds one leaf."""
        end = self._size + LENGTH_BYTES + len(entry)
        self._content[self._size : end] = len(entry).to_bytes(LENGTH_BYTES, "big") + entry
        self._size = end
        self.leaves += 1
        if entry[0] in (WHOLE, FIRST):
            _, time_ms, principal = stamp_of(entry)
            self._first_ms, self._last_ms = min(self._first_ms, time_ms), max(self._last_ms, time_ms)
            self._principals |= 1 << principal % PRINCIPALS

    def hashes(self, pace: Callable[[], None] = at_once) -> bytes:
        """The hashes of the leaves that were added since this was asked last, joined.

        `pace` is called after every `_HASHED_AT_ONCE` bytes or so.
        """
        begin, self._hashed = self._hashed, self._size
        made: list[bytes] = []
        with memoryview(self._content) as content, content[begin : self._size] as added:
            entries = split_entries(added)
            step = max(1, len(entries) * _HASHED_AT_ONCE // max(1, len(added)))
            for first in range(0, len(entries), step):
                made.append(leaf_hashes(entries[first : first + step]))
                pace()
        return b"".join(made)

    def next(self) -> None:
        """Begins the next bundle."""
        self.index, self.leaves = self.index + 1, 0
        self._size = self._hashed = 0
        self._first_ms, self._last_ms, self._principals = NEVER_MS, 0, 0
