"""RFC 6962 Merkle trees: hashing, the frontier of a growing tree, and the verification of proofs.

    leaf hash    SHA-256(0x00 | entry)
    node hash    SHA-256(0x01 | left | right)
    empty tree   SHA-256 of nothing

- The two prefixes keep an inner node from being presented as an entry (RFC 6962 section 2.1).
- A tree of n leaves is split at the largest power of two below n; its left half is complete.
- The frontier holds the roots of the complete subtrees of which the tree consists, one for each bit
  set in n, the largest first. That is all it takes to append, and to know the root.
- Proofs are lists of hashes. They are verified by the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from vault.errors import IntegrityFailedError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
_SIZE_BYTES = 8


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes | memoryview]) -> bytes:
    """The hashes of entries, joined; none of them is copied."""
    begun, hashes = hashlib.sha256(b"\x00"), []
    for entry in entries:
        hashed = begun.copy()
        hashed.update(entry)
        hashes.append(hashed.digest())
    return b"".join(hashes)


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: 8 + 32 bytes a bit set in its size."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> list[bytes]:
        """Adds a leaf hash; returns the roots of the complete subtrees that it ends, itself first."""
        completed, rest = [leaf], self.size
        while rest & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            completed.append(leaf)
            rest >>= 1
        self._peaks.append(leaf)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree."""
        if not self._peaks:
            return EMPTY_ROOT
        *others, root = self._peaks
        for peak in reversed(others):
            root = node_hash(peak, root)
        return root

    def copy(self) -> "Frontier":
        """A frontier of its own with the same content."""
        twin = Frontier()
        twin.size, twin._peaks = self.size, list(self._peaks)
        return twin

    def pack(self) -> bytes:
        """The size (u64), and a hash for each bit set in it."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self._peaks)

    @classmethod
    def unpack(cls, packed: bytes) -> "Frontier":
        """Reads what `pack` wrote; whoever keeps it must protect it, for any hashes make a frontier.

        Raises:
            IntegrityFailedError: `pack` cannot have written it.
        """
        frontier = cls()
        frontier.size = int.from_bytes(packed[:_SIZE_BYTES], "big")
        if len(packed) != _SIZE_BYTES + HASH_BYTES * frontier.size.bit_count():
            raise IntegrityFailedError
        frontier._peaks = [packed[at : at + HASH_BYTES] for at in range(_SIZE_BYTES, len(packed), HASH_BYTES)]
        return frontier


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Checks that the tree of `size` leaves with this root has the leaf hash at `index`, from 0.

    Raises:
        IntegrityFailedError: the proof does not show it.
    """
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        raise IntegrityFailedError
    at, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise IntegrityFailedError
        if at & 1 or at == last:
            reached = node_hash(sibling, reached)
            while at and not at & 1:  # levels at which this subtree has no sibling
                at, last = at >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or reached != root:
        raise IntegrityFailedError


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Checks that the tree of `new_size` leaves begins with the one of `old_size`, which is not empty.

    Raises:
        IntegrityFailedError: the proof does not show it.
    """
    if not 0 < old_size <= new_size:
        raise IntegrityFailedError
    if old_size == new_size:
        if proof or old_root != new_root:
            raise IntegrityFailedError
        return
    # A tree whose size is a power of two is a node of the new one, so the proof leaves its root out.
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        raise IntegrityFailedError
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_reached = new_reached = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise IntegrityFailedError
        if at & 1 or at == last:
            old_reached = node_hash(sibling, old_reached)
            new_reached = node_hash(sibling, new_reached)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new_reached = node_hash(new_reached, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or old_reached != old_root or new_reached != new_root:
        raise IntegrityFailedError
