"""Tiles (c2sp.org/tlog-tiles): a log's hashes and entries in files that never change once they are full.

    tile/<level>/<index>[.p/<width>]   up to 256 hashes, 32 bytes each: roots of complete subtrees of
                                       2^(8 * level) leaves
    tile/entries/<index>[.p/<width>]   up to 256 entries, each with its length before it (u16)
    index                              in groups of three digits, all but the last with an "x": x001/234

Rules:
- A tile of fewer than 256 hashes is partial: its name says how many. A wider one begins with the same bytes.
- `Edge` is the right edge of a growing tree: the partial tile of each level, and with them its root.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from vault.errors import IntegrityFailedError
from vault.tlog.merkle import EMPTY_ROOT, HASH_BYTES, node_hash
from vault.tlog.proving import TILE_HEIGHT, TILE_LEAVES

TILE_BYTES: Final = TILE_LEAVES * HASH_BYTES
MAX_ENTRY_BYTES: Final = 2**16 - 1

Content = TypeVar("Content", bytes, memoryview)
_PAIR: Final = struct.Struct(f"{2 * HASH_BYTES}s")


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile's place and its hashes, joined."""

    level: int
    index: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it has."""
        return len(self.hashes) // HASH_BYTES

    @property
    def path(self) -> str:
        """Relative to the log's directory."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int, index: int, width: int = TILE_LEAVES) -> str:
    """Where the hash tile lies."""
    return _path(f"tile/{level}", index, width)


def entries_path(index: int, width: int = TILE_LEAVES) -> str:
    """Where the bundle of entries lies."""
    return _path("tile/entries", index, width)


def tile_root(hashes: bytes) -> bytes:
    """The root over a full tile."""
    sha256, pairs = hashlib.sha256, _PAIR.iter_unpack
    while len(hashes) > HASH_BYTES:
        hashes = b"".join([sha256(b"\x01" + pair).digest() for (pair,) in pairs(hashes)])
    return hashes


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over equally high complete subtrees, of which the last may be smaller and incomplete."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(subtree_root(hashes[:middle]), subtree_root(hashes[middle:]))


def join_entries(entries: Sequence[bytes]) -> bytes:
    """A bundle. Entries have at most 65,535 bytes each."""
    return b"".join([part for each in entries for part in (len(each).to_bytes(2, "big"), each)])


def split_entries(bundle: Content) -> list[Content]:
    """The entries of a bundle; views of it, if it is one.

    Raises:
        IntegrityFailedError: it ends within one, or has more than a bundle can.
    """
    entries, at, size = list[Content](), 0, len(bundle)
    while at + 2 <= size:
        start = at + 2
        at = start + (bundle[at] << 8 | bundle[at + 1])
        entries.append(bundle[start:at])
    if at != size or len(entries) > TILE_LEAVES:
        raise IntegrityFailedError(file="entries")
    return entries


class Entries:
    """A bundle, or a stretch of one, whose entries are found one by one.

    The first look-up of an entry walks over those before it.
    """

    __slots__ = ("_content", "_starts")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._starts = [0]

    def start(self, at: int) -> int:
        """Where the entry at a place, from 0, begins with its length; behind the last one, where that ends.

        Raises:
            IntegrityFailedError: there are not so many.
        """
        content, starts = self._content, self._starts
        start = starts[-1]
        try:
            for _ in range(len(starts), at + 1):
                start += 2 + (content[start] << 8 | content[start + 1])
                starts.append(start)
        except IndexError as error:
            raise IntegrityFailedError(file="entries") from error
        if starts[at] > len(content):
            raise IntegrityFailedError(file="entries")
        return starts[at]

    def __getitem__(self, at: int) -> bytes:
        """The entry at a place, from 0.

        Raises:
            IntegrityFailedError: it is not there.
        """
        end = self.start(at + 1)
        return self._content[self._starts[at] + 2 : end]


class Edge:
    """The right edge of a growing tree."""

    __slots__ = ("_levels", "size")

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[bytearray] = []

    @classmethod
    def of(cls, size: int, partials: Sequence[bytes]) -> "Edge":
        """The edge of a tree of `size` leaves from its partial tiles, level 0 first; empty where full.

        Raises:
            IntegrityFailedError: they are not as wide as the size says.
        """
        edge = cls()
        edge.size = size
        edge._levels = [bytearray(each) for each in partials]
        widths = [len(each) // HASH_BYTES for each in partials]
        if widths != edge_widths(size):
            raise IntegrityFailedError(file="tile")
        return edge

    def append(self, hashes: bytes, level: int = 0) -> list[Tile]:
        """Adds leaf hashes, joined; returns the tiles that they fill.

        With a level, they are the roots of complete subtrees of 2^(8 * level) leaves, and the size so far is
        a multiple of that.
        """
        filled: list[Tile] = []
        before = self.size
        self.size += len(hashes) // HASH_BYTES << TILE_HEIGHT * level
        self._levels += [bytearray() for _ in range(len(self._levels), level)]
        while hashes:
            if level == len(self._levels):
                self._levels.append(bytearray())
            edge = self._levels[level]
            edge += hashes
            number = before >> TILE_HEIGHT * (level + 1)
            full = len(edge) // TILE_BYTES
            tiles = [
                Tile(level, number + at, bytes(edge[at * TILE_BYTES : (at + 1) * TILE_BYTES]))
                for at in range(full)
            ]
            del edge[: full * TILE_BYTES]
            filled += tiles
            hashes, level = b"".join([tile_root(tile.hashes) for tile in tiles]), level + 1
        return filled

    def partials(self) -> list[Tile]:
        """The partial tiles."""
        return [
            Tile(level, self.size >> TILE_HEIGHT * (level + 1), bytes(edge))
            for level, edge in enumerate(self._levels)
            if edge
        ]

    def root(self) -> bytes:
        """The root of the tree."""
        root = b""
        for edge in self._levels:
            hashes = [bytes(edge[at : at + HASH_BYTES]) for at in range(0, len(edge), HASH_BYTES)]
            if root:
                hashes.append(root)
            root = subtree_root(hashes) if hashes else b""
        return root or EMPTY_ROOT


def edge_widths(size: int) -> list[int]:
    """The widths of the partial tiles of a tree, level 0 first."""
    widths = []
    while size:
        widths.append(size % TILE_LEAVES)
        size >>= TILE_HEIGHT
    return widths


def _path(kind: str, index: int, width: int) -> str:
    digits = f"{index:03d}"
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    *groups, last = (digits[at : at + 3] for at in range(0, len(digits), 3))
    path = "/".join([kind, *(f"x{group}" for group in groups), last])
    return path if width == TILE_LEAVES else f"{path}.p/{width}"
