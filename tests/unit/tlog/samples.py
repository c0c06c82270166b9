"""A naive tree, written from RFC 6962 section 2.1 word by word, and logs to try things on."""

import hashlib
from collections.abc import Sequence

from vault.crypto import hazmat
from vault.tlog.merkle import leaf_hash
from vault.tlog.notes import COSIGNATURE, ED25519, VerifierKey
from vault.tlog.tree import Tree

LOG_SEED, WITNESS_SEED, OTHER_SEED = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
ORIGIN = "example.org/log"
LOG_KEY = VerifierKey(ORIGIN, ED25519, hazmat.public_key(LOG_SEED))
WITNESS_KEY = VerifierKey("example.org/witness", COSIGNATURE, hazmat.public_key(WITNESS_SEED))


def sign_log(message: bytes) -> bytes:
    return hazmat.sign(LOG_SEED, message)


def sign_witness(message: bytes) -> bytes:
    return hazmat.sign(WITNESS_SEED, message)


def mth(entries: Sequence[bytes]) -> bytes:
    """The Merkle tree hash."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = largest_power_below(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """The Merkle audit path."""
    if len(entries) == 1:
        return []
    k = largest_power_below(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: Sequence[bytes], complete: bool) -> list[bytes]:
    """SUBPROOF; the Merkle consistency proof is that of `complete`."""
    if m == len(entries):
        return [] if complete else [mth(entries)]
    k = largest_power_below(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], complete), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Log:
    """Entries, and the tree over them; counts which leaves are read again."""

    def __init__(self, entries: Sequence[bytes] = ()) -> None:
        self.entries: list[bytes] = []
        self.read: list[tuple[int, int]] = []
        self.tree = Tree(self.leaves)
        self.extend(entries)

    def leaves(self, start: int, end: int) -> list[bytes]:
        self.read.append((start, end))
        return [leaf_hash(entry) for entry in self.entries[start:end]]

    def extend(self, entries: Sequence[bytes]) -> None:
        for entry in entries:
            self.entries.append(entry)
            self.tree.append(leaf_hash(entry))


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(first, first + count)]
