"""Proofs of a growing tree: those of the RFC's definition, at every size, without reading it all again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tlog.samples import Log, mth, numbered, path, subproof
from vault.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from vault.tlog.tree import TILE_LEAVES

SEVERAL_TILES = 3 * TILE_LEAVES + 77


@given(st.integers(1, 40), st.data())
def test_proofs_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    entries = numbered(size)
    log = Log(entries)
    at = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, at - 1))
    assert log.tree.root(at) == mth(entries[:at])
    assert log.tree.inclusion_proofs([index], at)[0] == path(index, entries[:at])
    old = data.draw(st.integers(1, at))
    assert log.tree.consistency_proof(old, at) == subproof(old, entries[:at], True)


def test_every_size_of_a_small_tree() -> None:
    entries = numbered(20)
    log = Log(entries)
    for size in range(1, 21):
        for index in range(size):
            assert log.tree.inclusion_proofs([index], size)[0] == path(index, entries[:size])
            assert log.tree.consistency_proof(index + 1, size) == subproof(index + 1, entries[:size], True)


@settings(max_examples=40)
@given(st.data())
def test_proofs_across_tiles(data: st.DataObject) -> None:
    entries = numbered(SEVERAL_TILES)
    log = Log(entries)
    new = data.draw(st.integers(1, SEVERAL_TILES))
    old = data.draw(st.integers(1, new))
    assert log.tree.root(new) == mth(entries[:new])
    assert log.tree.inclusion_proofs([old - 1], new)[0] == path(old - 1, entries[:new])
    assert log.tree.consistency_proof(old, new) == subproof(old, entries[:new], True)


def test_a_large_tree_is_not_read_again() -> None:
    size = 2 * TILE_LEAVES**2 + 12_345  # tiles of two heights
    log = Log(numbered(size))
    root = log.tree.root()
    rng = random.Random(6962)
    for index in [0, 1, size - 1, TILE_LEAVES**2, *rng.sample(range(size), 20)]:
        log.read.clear()
        proof = log.tree.inclusion_proofs([index], size)[0]
        assert sum(end - start for start, end in log.read) <= 2 * TILE_LEAVES
        verify_inclusion(index, size, leaf_hash(log.entries[index]), proof, root)
    for old in rng.sample(range(1, size), 20):
        log.read.clear()
        old_root = log.tree.root(old)
        proof = log.tree.consistency_proof(old, size)
        assert sum(end - start for start, end in log.read) <= 4 * TILE_LEAVES
        verify_consistency(old, size, old_root, root, proof)


def test_a_growing_log_is_never_read_again() -> None:
    log = Log()
    for count in range(1, 1_000):
        log.extend(numbered(1, count))
        if count > 1:
            log.tree.consistency_proof(count - 1, count)
        log.tree.root()
    assert log.read == []


@given(st.integers(0, 700), st.integers(0, 700), st.integers(0, 300))
@settings(max_examples=30)
def test_what_was_rewound_never_was(kept: int, dropped: int, more: int) -> None:
    log = Log(numbered(kept))
    before = log.tree.frontier()
    log.extend(numbered(dropped, 10_000))
    log.tree.rewind(before)
    del log.entries[kept:]
    log.extend(numbered(more, 20_000))
    assert log.tree.size == kept + more
    assert log.tree.root() == mth(log.entries)
    for size in {1, kept, kept + more} - {0}:
        if size <= kept + more:
            assert log.tree.root(size) == mth(log.entries[:size])


def test_a_copy_grows_by_itself() -> None:
    log = Log(numbered(TILE_LEAVES + 3))
    twin = log.tree.copy(log.leaves)
    root = twin.root()
    log.extend(numbered(TILE_LEAVES, 5_000))
    assert (twin.size, twin.root()) == (TILE_LEAVES + 3, root)
    twin.append(leaf_hash(log.entries[TILE_LEAVES + 3]))
    assert twin.root() == log.tree.root(TILE_LEAVES + 4)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 6)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"lea[fv]"):
        Log(numbered(5)).tree.inclusion_proofs([index], size)[0]


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (1, 6)])
def test_there_is_no_proof_between_sizes_that_never_were(old: int, new: int) -> None:
    with pytest.raises(ValueError, match=r"empty|leaves"):
        Log(numbered(5)).tree.consistency_proof(old, new)
