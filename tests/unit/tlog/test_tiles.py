import random

import pytest

from tests.unit.tlog.samples import mth, numbered
from vault.errors import IntegrityFailedError
from vault.tlog.merkle import leaf_hash
from vault.tlog.tiles import (
    Edge,
    edge_widths,
    entries_path,
    join_entries,
    split_entries,
    tile_path,
    tile_root,
)


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "000"),
        (999, "999"),
        (1000, "x001/000"),
        (1234067, "x001/x234/067"),
    ],  # the last is the specification's
)
def test_paths_are_those_of_the_specification(index, path):
    assert tile_path(2, index) == f"tile/2/{path}"
    assert entries_path(index, 5) == f"tile/entries/{path}.p/5"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 70_000])
def test_the_edge_has_the_root_of_the_definition_however_it_grew(size):
    entries, edge, rng = numbered(size), Edge(), random.Random(size)
    hashes, tiles = [leaf_hash(entry) for entry in entries], {}
    at = 0
    while at < size:
        to = min(size, at + rng.randrange(1, 3000))
        for tile in edge.append(b"".join(hashes[at:to])):
            tiles[tile.path] = tile.hashes
        at = to
    assert edge.root() == mth(entries)
    assert len([path for path in tiles if path.startswith("tile/0/")]) == size // 256
    for index in range(min(size // 256, 3)):
        assert tiles[tile_path(0, index)] == b"".join(hashes[256 * index : 256 * index + 256])
        assert tile_root(tiles[tile_path(0, index)]) == mth(entries[256 * index : 256 * index + 256])
    partials = {tile.level: tile.hashes for tile in edge.partials()}
    again = Edge.of(size, [partials.get(level, b"") for level in range(len(edge_widths(size)))])
    assert again.root() == edge.root()
    if size:
        with pytest.raises(IntegrityFailedError):
            Edge.of(size + 1, [partials.get(level, b"") for level in range(len(edge_widths(size)))])


def test_a_bundle_is_split_as_it_was_joined_and_a_cut_one_is_refused():
    entries = [b"", b"a", bytes(65_535), b"xyz"]
    bundle = join_entries(entries)
    assert split_entries(bundle) == entries
    for cut in (1, 3, 4, len(bundle) - 1):
        with pytest.raises(IntegrityFailedError):
            split_entries(bundle[:cut])
