"""Roots and RFC 6962 proofs (sections 2.1.1 and 2.1.2) from the nodes that a log keeps.

A log keeps its leaf hashes, and the roots of its complete subtrees of 2^8, 2^16, 2^24 … leaves ("tiles" of
height 8). Any other node is computed when asked for, from at most 256 hashes a level.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from vault.tlog.merkle import EMPTY_ROOT, node_hash

TILE_HEIGHT: Final = 8
TILE_LEAVES: Final = 1 << TILE_HEIGHT


class Prover(ABC):
    """What can be shown of a log of `size` leaves, for every size that it has had."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of leaves."""

    @abstractmethod
    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Hashes of `count` complete subtrees of 2^(8 * level) leaves, from number `first` on."""

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves; of all of them without one."""
        wanted = self.size if size is None else size
        self._check(0, wanted)
        return self._hash(0, wanted) if wanted else EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """The leaf hash at `index`, from 0."""
        self._check(index + 1, self.size)
        return self.nodes(0, index, 1)[0]

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
        hashes = self.nodes(below, first, count)
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]


def _split(leaves: int) -> int:
    """The largest power of two below a number of leaves greater than one."""
    return 1 << (leaves - 1).bit_length() - 1
