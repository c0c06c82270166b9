"""Looks through a sealed log part by part, each on its own: hashes every entry, and tells what follows what.

A part is the leaves under one full tile of level 1, 65,536, or what the tree has of them. Whoever puts the
parts together, in order, has the tree and the sequence of its records. Parts do not know of each other, so
they may be looked through at once; see `shares`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vault.audit.sealed.files import TreeFiles
from vault.audit.sealed.following import Link, links_of
from vault.errors import IntegrityFailedError
from vault.tlog.merkle import HASH_BYTES, leaf_hashes
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import split_entries, tile_root

PART_LEAVES: Final = TILE_LEAVES * TILE_LEAVES
_PART_BUNDLES: Final = PART_LEAVES // TILE_LEAVES


@dataclass(slots=True)
class Part:
    """What a part holds.

    Attributes:
        end: the leaf behind it.
        roots: of its full tiles of level 0, joined.
        hashes: of the leaves behind them, joined.
        links: of the bundles that are held: the leaf behind a bundle, and its entries' links.
        errors: what is wrong, in words, in the order of the leaves.
        is_cut: nothing is known from the last error on.
    """

    end: int
    roots: bytes = b""
    hashes: bytes = b""
    links: list[tuple[int, list[Link]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    is_cut: bool = False


def count_parts(size: int) -> int:
    """How many parts a tree of so many leaves has."""
    return -(-size // PART_LEAVES)


def each_part(files: TreeFiles, size: int, held: int, start: int = 0, step: int = 1) -> Iterator[Part]:
    """Every `step`th part from number `start` on, up to one that is cut.

    Args:
        files: of the log.
        size: of the tree.
        held: the first leaf whose entry is held.
        start: the first part's number.
        step: from a part's number to the next one's.

    Raises:
        OSError: a file cannot be read.
    """
    for number in range(start, count_parts(size), step):
        part = _look_through(files, size, held, number)
        yield part
        if part.is_cut:
            return


def _look_through(files: TreeFiles, size: int, held: int, number: int) -> Part:
    part = Part(min((number + 1) * PART_LEAVES, size))
    roots = []
    for index in range(number * _PART_BUNDLES, -(-part.end // TILE_LEAVES)):
        first = index * TILE_LEAVES
        width = min(TILE_LEAVES, size - first)
        try:
            hashes = files.hashes(0, index, width)
            if first >= held:
                hashes = _look_at_entries(files, index, hashes, part)
        except IntegrityFailedError as error:
            part.errors.append(f"missing or damaged: {error.details.get('file')}, {_leaves(first, width)}")
            part.is_cut = True
            break
        if width == TILE_LEAVES:
            roots.append(tile_root(hashes))
        else:
            part.hashes = hashes
    part.roots = b"".join(roots)
    return part


def _look_at_entries(files: TreeFiles, index: int, hashes: bytes, part: Part) -> bytes:
    """Adds a bundle's links; returns the hashes of its entries, which should be those given."""
    first, width = index * TILE_LEAVES, len(hashes) // HASH_BYTES
    entries = split_entries(files.bundle(index, width))[:width]
    made = leaf_hashes(entries)
    if made != hashes:
        part.errors.append(f"an entry is not the one that was sealed: {_leaves(first, width)}")
    part.links.append((first + len(entries), links_of(first, entries)))
    return made.ljust(len(hashes), b"\x00")


def _leaves(first: int, width: int) -> str:
    return f"leaves {first} to {first + width - 1}"
