"""A log's tree as it grows: root, inclusion and consistency proofs, for every size it has had.

Rules:
- Kept in memory: the frontier, and the roots of complete subtrees of 2^8, 2^16, 2^24 … leaves ("tiles" of
  height 8): 32 bytes for every 256 leaves, 1.3 MB for ten million.
- Kept, too: the newest 256 to 511 leaf hashes, so that nothing is read again while a log grows.
- Everything else is computed when asked for, from at most 256 hashes a level of tiles. Of older leaves, at
  most two runs of 256 are read for a proof; whoever owns the log reads them.
- How nodes become proofs: `proving`.
"""

from collections.abc import Callable, Sequence

from vault.tlog.merkle import HASH_BYTES, Frontier
from vault.tlog.proving import TILE_HEIGHT, TILE_LEAVES, Prover

__all__ = ["TILE_HEIGHT", "TILE_LEAVES", "ReadLeaves", "Tree"]

ReadLeaves = Callable[[int, int], Sequence[bytes]]
"""Leaf hashes from an index up to, not including, another."""


class Tree(Prover):
    """The tree of one log. `leaves` reads the log's leaf hashes again."""

    def __init__(self, leaves: ReadLeaves) -> None:
        self._leaves = leaves
        self._frontier = Frontier()
        self._tiles: list[bytearray] = []
        self._newest: list[bytes] = []

    def copy(self, leaves: ReadLeaves) -> "Tree":
        """A tree of its own with the same content, for another reader of the same log."""
        twin = Tree(leaves)
        twin._frontier = self._frontier.copy()
        twin._tiles = [bytearray(level) for level in self._tiles]
        twin._newest = list(self._newest)
        return twin

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._frontier.size

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash."""
        completed = self._frontier.append(leaf)
        self._newest.append(leaf)
        if len(self._newest) == 2 * TILE_LEAVES:
            del self._newest[:TILE_LEAVES]
        for level, height in enumerate(range(TILE_HEIGHT, len(completed), TILE_HEIGHT)):
            if level == len(self._tiles):
                self._tiles.append(bytearray())
            self._tiles[level] += completed[height]

    def frontier(self) -> Frontier:
        """A copy of the frontier, to go back to with `rewind`."""
        return self._frontier.copy()

    def rewind(self, frontier: Frontier) -> None:
        """Forgets every leaf that was appended after `frontier` was taken."""
        del self._newest[max(len(self._newest) - (self.size - frontier.size), 0) :]
        self._frontier = frontier.copy()
        for level, tiles in enumerate(self._tiles, 1):
            del tiles[(frontier.size >> TILE_HEIGHT * level) * HASH_BYTES :]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves; of all of them without one."""
        return self._frontier.root() if size is None or size == self.size else super().root(size)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """See `Prover`; older leaves are read again."""
        if level == 0:
            return self._read(first, first + count)
        tiles = self._tiles[level - 1]
        ends = range(first * HASH_BYTES, (first + count) * HASH_BYTES, HASH_BYTES)
        return [bytes(tiles[at : at + HASH_BYTES]) for at in ends]

    def _read(self, start: int, end: int) -> Sequence[bytes]:
        known_from = self.size - len(self._newest)
        if start < known_from:
            return self._leaves(start, end)
        return self._newest[start - known_from : end - known_from]
