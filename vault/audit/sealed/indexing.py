"""What a bundle's records mention, taken apart many at a time; and entries of the index in order.

    entry   locator's first 8 bytes | leaf u40

Whole reads are most of what is sealed, so `indexing.c` takes them apart, and sorts and merges entries,
without the lock of the interpreter. Other records (acts, parts of long ones, damaged ones) are left to the
caller, who knows how to read them all: without a C compiler, everything is. So this is the reference, with
`index` and `traits`.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final, NamedTuple, Protocol

from vault.tlog.tiles import split_entries

KEY_BYTES: Final = 8
LEAF_BYTES: Final = 5
ENTRY_BYTES: Final = KEY_BYTES + LEAF_BYTES
MAX_RUNS: Final = 8
_ENTRIES: Final = struct.Struct(f"{ENTRY_BYTES}s")
_SLICES: Final = 256  # of the key space, by first byte

Content = bytes | mmap


@dataclass(slots=True)
class Seen:
    """What records are about: numbers of calls, purposes (modulo 64), field classes and outcomes."""

    calls: set[int] = field(default_factory=set)
    purposes: set[int] = field(default_factory=set)
    classes: set[int] = field(default_factory=set)
    outcomes: set[int] = field(default_factory=set)


class Mentions(NamedTuple):
    """Entries of a bundle's reads, joined, in any order; and the places of leaves that were not looked at."""

    entries: bytes | memoryview
    others: Sequence[int]


class Sight(NamedTuple):
    """What a bundle's reads are about; and the places of leaves that were not looked at."""

    seen: Seen
    others: Sequence[int]


class Indexer(Protocol):
    """Takes bundles apart, and puts entries in order."""

    def mentions(self, bundle: bytes, first: int) -> Mentions:
        """What is mentioned in a bundle, the number of the first leaf of which is given.

        Raises:
            IntegrityFailedError: it ends within an entry, or has too many.
        """

    def sight(self, bundle: bytes) -> Sight:
        """What a bundle is about.

        Raises:
            IntegrityFailedError: it ends within an entry, or has too many.
        """

    def ordered(self, parts: Sequence[bytes | memoryview]) -> bytes | memoryview:
        """All entries in ascending order, each once. Parts that can be written to may be overwritten."""

    def merged(self, runs: Sequence[Content]) -> AbstractContextManager[Iterator[bytes]]:
        """The entries of up to `MAX_RUNS` runs, each in ascending order, as one; in blocks.

        Holds on to the runs until the context ends.
        """


class PortableIndexer:
    """The reference: it leaves all records to the caller."""

    def mentions(self, bundle: bytes, first: int) -> Mentions:  # noqa: ARG002 - leaves all to the caller
        """See `Indexer`."""
        return Mentions(b"", _places(bundle))

    def sight(self, bundle: bytes) -> Sight:
        """See `Indexer`."""
        return Sight(Seen(), _places(bundle))

    def ordered(self, parts: Sequence[bytes | memoryview]) -> bytes | memoryview:
        """See `Indexer`."""
        return b"".join(sorted({each for part in parts for (each,) in _ENTRIES.iter_unpack(part)}))

    def merged(self, runs: Sequence[Content]) -> AbstractContextManager[Iterator[bytes]]:
        """See `Indexer`."""
        return nullcontext(self._merged(runs))

    def _merged(self, runs: Sequence[Content]) -> Iterator[bytes]:
        """A block for each first byte, as long as entries begin with it."""
        starts = [0] * len(runs)
        for number in range(_SLICES):
            merged: list[bytes] = []
            for at, content in enumerate(runs):
                size = len(content) // ENTRY_BYTES
                end = size if number == _SLICES - 1 else _position(content, bytes([number + 1]))
                part = content[starts[at] * ENTRY_BYTES : end * ENTRY_BYTES]
                merged += [each for (each,) in _ENTRIES.iter_unpack(part)]
                starts[at] = end
            merged.sort()  # a few ascending stretches: nearly a merge
            yield b"".join(merged)


def _places(bundle: bytes) -> range:
    return range(len(split_entries(bundle)))


def _position(content: Content, key: bytes) -> int:
    """The number of the first entry that is not below a key."""
    low, high = 0, len(content) // ENTRY_BYTES
    while low < high:
        middle = (low + high) // 2
        start = middle * ENTRY_BYTES
        if content[start : start + ENTRY_BYTES] < key:
            low = middle + 1
        else:
            high = middle
    return low
