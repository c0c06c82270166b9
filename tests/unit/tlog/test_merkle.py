"""Hashing and verification against published answers, and against the RFC's own definitions."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tlog.samples import mth, numbered, path, subproof
from vault.errors import IntegrityFailedError
from vault.tlog.merkle import EMPTY_ROOT, Frontier, leaf_hash, verify_consistency, verify_inclusion

VECTORS = Path(__file__).parents[2] / "vectors"
TREE = json.loads((VECTORS / "rfc6962_tree.json").read_text(encoding="utf-8"))
PROOFS = json.loads((VECTORS / "rfc6962_proofs.json").read_text(encoding="utf-8"))["tests"]

sizes = st.integers(1, 70)


def frontier_of(entries: list[bytes]) -> Frontier:
    frontier = Frontier()
    for entry in entries:
        frontier.append(leaf_hash(entry))
    return frontier


@pytest.mark.parametrize("case", TREE["tests"], ids=lambda case: case["comment"])
def test_published_roots(case: dict[str, Any]) -> None:
    entries = [bytes.fromhex(entry) for entry in TREE["entries"][: case["size"]]]
    assert frontier_of(entries).root().hex() == case["root"]
    assert mth(entries).hex() == case["root"]


@pytest.mark.parametrize("case", PROOFS, ids=lambda case: case["comment"])
def test_published_proofs(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(each) for each in case["proof"]]

    def check() -> None:
        if case["kind"] == "inclusion":
            leaf, root = bytes.fromhex(case["leaf"]), bytes.fromhex(case["root"])
            verify_inclusion(case["index"], case["size"], leaf, proof, root)
        else:
            roots = [bytes.fromhex(case[name]) for name in ("old_root", "new_root")]
            verify_consistency(case["old_size"], case["new_size"], *roots, proof)

    if case["result"] == "valid":
        check()
    else:
        with pytest.raises(IntegrityFailedError):
            check()


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_the_frontier_has_the_root_of_the_definition(entries: list[bytes]) -> None:
    frontier = frontier_of(entries)
    assert frontier.size == len(entries)
    assert frontier.root() == mth(entries)
    again = Frontier.unpack(frontier.pack())
    assert again.root() == frontier.root()
    again.append(leaf_hash(b"more"))
    assert again.root() == mth([*entries, b"more"])
    assert frontier.root() == mth(entries)


def test_a_copy_of_a_frontier_grows_by_itself() -> None:
    frontier = frontier_of(numbered(5))
    twin = frontier.copy()
    twin.append(leaf_hash(b"x"))
    assert (frontier.size, twin.size) == (5, 6)
    assert frontier.root() == mth(numbered(5))


@pytest.mark.parametrize(
    "packed", [b"", bytes(7), bytes(9), bytes(7) + b"\x01", bytes(7) + b"\x03" + bytes(33)]
)
def test_what_is_no_frontier_is_refused(packed: bytes) -> None:
    with pytest.raises(IntegrityFailedError):
        Frontier.unpack(packed)


def test_the_empty_frontier_has_the_empty_root() -> None:
    assert Frontier().root() == EMPTY_ROOT == mth([])


@given(sizes, st.data())
def test_inclusion_holds_for_the_leaf_and_for_nothing_else(size: int, data: st.DataObject) -> None:
    entries = numbered(size)
    index = data.draw(st.integers(0, size - 1))
    proof, leaf, root = path(index, entries), leaf_hash(entries[index]), mth(entries)
    verify_inclusion(index, size, leaf, proof, root)
    other = data.draw(st.integers(0, size + 1).filter(lambda at: at != index))
    wrong: list[tuple[int, int, bytes, list[bytes], bytes]] = [
        (other, size, leaf, proof, root),
        (index, size, leaf_hash(b"other"), proof, root),
        (index, size, leaf, [*proof, root], root),
        (index, size, leaf, proof, leaf_hash(b"other")),
        (-1, size, leaf, proof, root),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        wrong.append((index, size, leaf, proof[:at] + proof[at + 1 :], root))
        wrong.append((index, size, leaf, [*proof[:at], leaf_hash(b"other"), *proof[at + 1 :]], root))
    for arguments in wrong:
        with pytest.raises(IntegrityFailedError):
            verify_inclusion(*arguments)


@given(sizes, st.data())
def test_consistency_holds_for_a_beginning_and_for_nothing_else(new: int, data: st.DataObject) -> None:
    entries = numbered(new)
    old = data.draw(st.integers(1, new))
    proof, roots = subproof(old, entries, True), (mth(entries[:old]), mth(entries))
    verify_consistency(old, new, *roots, proof)
    forked = mth([*entries[: old - 1], b"other"])
    wrong = [
        (old, new, forked, roots[1], proof),
        (old, new, roots[0], forked, proof),
        (old, new, *roots, [*proof, roots[1]]),
        (0, new, EMPTY_ROOT, roots[1], proof),
        (new + 1, new, *roots, proof),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        wrong.append((old, new, *roots, proof[:at] + proof[at + 1 :]))
        wrong.append((old, new, *roots, [*proof[:at], leaf_hash(b"other"), *proof[at + 1 :]]))
    for arguments in wrong:
        with pytest.raises(IntegrityFailedError):
            verify_consistency(*arguments)
