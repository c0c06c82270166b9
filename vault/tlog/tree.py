"""A log's tree as it grows: root, inclusion and consistency proofs, for every size it has had.

Rules:
- Kept in memory: the frontier, and the roots of complete subtrees of 2^8, 2^16, 2^24 … leaves ("tiles" of
  height 8): 32 bytes for every 256 leaves, 1.3 MB for ten million.
- Kept, too: the newest 256 to 511 leaf hashes, so that nothing is read again while a log grows.
- Everything else is computed when asked for, from at most 256 hashes a level of tiles. Of older leaves, at
  most two runs of 256 are read for a proof; whoever owns the log reads them.
- Proofs are those of RFC 6962, sections 2.1.1 and 2.1.2.
"""

from collections.abc import Callable, Sequence
from typing import Final

from vault.tlog.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, node_hash

TILE_HEIGHT: Final = 8
TILE_LEAVES: Final = 1 << TILE_HEIGHT

ReadLeaves = Callable[[int, int], Sequence[bytes]]
"""Leaf hashes from an index up to, not including, another."""


class Tree:
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
        if size is None or size == self.size:
            return self._frontier.root()
        self._check(0, size)
        return self._hash(0, size) if size else EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """The leaf hash at `index`, from 0."""
        self._check(index + 1, self.size)
        return self._read(index, index + 1)[0]

    def inclusion_proofs(self, indexes: Sequence[int], size: int) -> list[list[bytes]]:
        """For each index, from 0, the hashes that lead from its leaf to the root of the first `size` leaves.

        Neighbours share most of them; each is made once.
        """
        for index in indexes:
            self._check(index + 1, size)
            if index < 0:
                raise ValueError("no such leaf")
        made: dict[tuple[int, int], bytes] = {}
        return [self._inclusion(index, size, made) for index in indexes]

    def _inclusion(self, index: int, size: int, made: dict[tuple[int, int], bytes]) -> list[bytes]:
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            sibling = (middle, end) if index < middle else (start, middle)
            if sibling not in made:
                made[sibling] = self._hash(*sibling)
            proof.append(made[sibling])
            start, end = (start, middle) if index < middle else (middle, end)
        return proof[::-1]

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Hashes that show the first `old_size` leaves, at least one, to begin the first `new_size`."""
        self._check(old_size, new_size)
        if old_size < 1:
            raise ValueError("nothing is to be shown for an empty tree")
        proof: list[bytes] = []
        start, end = 0, new_size
        while end != old_size:
            middle = start + _split(end - start)
            if old_size <= middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start = middle
        if start:  # else the subtree reached is the old tree itself, whose root the verifier has
            proof.append(self._hash(start, end))
        return proof[::-1]

    def _check(self, small: int, large: int) -> None:
        if not small <= large <= self.size:
            raise ValueError("the log has not got so many leaves")

    def _hash(self, start: int, end: int) -> bytes:
        """The hash of a subtree; `start` is a multiple of the power of two that holds its leaves."""
        parts: list[bytes] = []
        while start < end:
            level = (end - start).bit_length() - 1
            parts.append(self._complete(level, start >> level))
            start += 1 << level
        hashed = parts.pop()
        while parts:
            hashed = node_hash(parts.pop(), hashed)
        return hashed

    def _complete(self, level: int, index: int) -> bytes:
        """The root of the complete subtree `index`, from 0, among those of 2^level leaves."""
        below = level // TILE_HEIGHT
        first, count = index << level % TILE_HEIGHT, 1 << level % TILE_HEIGHT
        hashes: Sequence[bytes]
        if below == 0:
            hashes = self._read(first, first + count)
        else:
            tiles = self._tiles[below - 1]
            ends = range(first * HASH_BYTES, (first + count) * HASH_BYTES, HASH_BYTES)
            hashes = [bytes(tiles[at : at + HASH_BYTES]) for at in ends]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def _read(self, start: int, end: int) -> Sequence[bytes]:
        known_from = self.size - len(self._newest)
        if start < known_from:
            return self._leaves(start, end)
        return self._newest[start - known_from : end - known_from]


def _split(leaves: int) -> int:
    """The largest power of two below a number of leaves greater than one."""
    return 1 << (leaves - 1).bit_length() - 1
