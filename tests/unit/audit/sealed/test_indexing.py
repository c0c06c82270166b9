"""The compiled indexer and its reference find the same in bundles, and put entries in the same order."""

import gc
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.audit.layout import SegmentName
from vault.audit.records import ActRecord, encode_act, encode_read
from vault.audit.sealed import indexing_native as native
from vault.audit.sealed.index import entries_of
from vault.audit.sealed.indexing import ENTRY_BYTES, MAX_RUNS, Indexer, PortableIndexer
from vault.audit.sealed.leaves import FIRST, MIDDLE, WHOLE, content_of, locators_of, segment_head
from vault.audit.sealed.traits import row_of
from vault.errors import IntegrityFailedError
from vault.tlog.tiles import join_entries

INDEXERS: list[Indexer] = [
    PortableIndexer(),
    *([native.NativeIndexer(native.load())] if native.LIBRARY.exists() else []),
]
HEADS = [segment_head(SegmentName(worker, 1_700_000_000_000, 1)) for worker in ("w", "worker-12", "x" * 61)]
numbers = st.sampled_from([0, 1, 63, 64, 255, 2**32 - 1])
outcomes = st.sampled_from([0, 2, 3, 16, 52, 255])
locators = st.sampled_from([bytes(16), b"\xff" * 16, b"alice" + bytes(11), b"alice" + bytes(10) + b"\1"])
items = st.lists(
    st.tuples(st.binary(min_size=3, max_size=3), st.integers(0, 255), outcomes).map(
        lambda item: item[0] + bytes(item[1:])
    ),
    max_size=4,
)
groups = st.lists(
    st.tuples(locators, items).map(lambda one: one[0] + len(one[1]).to_bytes(2, "big") + b"".join(one[1])),
    max_size=5,
)
unknown = st.lists(st.tuples(outcomes, st.binary(min_size=4, max_size=4)), max_size=3)
reads = st.builds(
    lambda call, purpose, found, told: encode_read(
        7, 8, 9, call, purpose, b"".join(found), b"".join(bytes([each]) + count for each, count in told)
    )[8:],
    st.integers(0, 255),
    numbers,
    groups,
    unknown,
)
acts = st.builds(
    lambda of, outcome: encode_act(
        ActRecord(1, 2, 3, "Act", outcome=outcome, locators=tuple(of), detail='{"purpose":"p"}')
    )[8:],
    st.lists(locators, max_size=3),
    outcomes,
)
damaged = st.tuples(reads, st.integers(1, 30)).map(lambda read: read[0][: -read[1]] or b"R")
leaves = st.builds(
    lambda head, body: b"\0" + head + bytes(4) + body,
    st.sampled_from(HEADS),
    st.one_of(reads, reads, acts, damaged, st.binary(min_size=1, max_size=40)),
)
bundles = st.lists(leaves, max_size=12)
entries = st.lists(
    st.tuples(locators, st.integers(0, 2**40 - 1) | st.integers(0, 3)).map(
        lambda one: entries_of([one[0]], one[1])
    ),
    max_size=60,
)


def mentioned(indexer: Indexer, content: Sequence[bytes], first: int) -> bytes:
    bundle = join_entries(content)
    found, others = indexer.mentions(bundle, first)
    parts = [found]
    for place in others:
        try:
            of = locators_of(content_of(content[place]))
        except ValueError:
            of = []
        parts.append(entries_of(of, first + place))
    return bytes(indexer.ordered(parts))


@pytest.mark.parametrize("indexer", INDEXERS)
def test_what_was_returned_rests_on_nothing_that_is_gone(indexer: Indexer) -> None:
    chance = random.Random(2)
    groups = [chance.randbytes(16) + b"\0\0" for _ in range(2000)]
    bundle = join_entries([b"\0" + HEADS[0] + bytes(4) + encode_read(1, 2, 3, 1, 4, b"".join(groups))[8:]])
    found = indexer.mentions(bundle, 5)
    if found.others:  # the reference leaves all to the caller
        found = found._replace(entries=entries_of([group[:16] for group in groups], 5))
    expected = b"".join(sorted({entries_of([group[:16]], 5) for group in groups}))
    del bundle
    gc.collect()
    made = indexer.ordered([found.entries])
    del found
    gc.collect()
    others = [bytearray(b"\xff" * len(expected)) for _ in range(20)]  # would be where it was
    assert made == expected
    assert others


def bodies(content: Sequence[bytes], places: Sequence[int]) -> Iterator[bytes]:
    return (content_of(content[place]) for place in places)


@given(content=bundles, first=st.integers(0, 2**39))
def test_what_is_mentioned_is_the_same(content: list[bytes], first: int) -> None:
    assert len({mentioned(indexer, content, first) for indexer in INDEXERS}) == 1


@given(content=bundles)
def test_traits_are_the_same(content: list[bytes]) -> None:
    rows = set()
    for indexer in INDEXERS:
        seen, others = indexer.sight(join_entries(content))
        rows.add(row_of(bodies(content, others), seen))
    assert len(rows) == 1


@pytest.mark.parametrize("indexer", INDEXERS)
@pytest.mark.parametrize("form", [FIRST, MIDDLE])
def test_parts_of_records_are_left_to_the_caller(indexer: Indexer, form: int) -> None:
    body = encode_read(1, 2, 3, 1, 4, bytes(16) + b"\0\0")[8:]
    content = [bytes([each]) + HEADS[1] + bytes(4) + body for each in (WHOLE, form)]
    assert 1 in indexer.mentions(join_entries(content), 0).others
    assert 1 in indexer.sight(join_entries(content)).others


@pytest.mark.parametrize("indexer", INDEXERS)
@given(content=bundles.filter(bool))
def test_a_bundle_that_is_cut_is_refused(indexer: Indexer, content: list[bytes]) -> None:
    bundle = join_entries(content)[:-1]
    with pytest.raises(IntegrityFailedError):
        indexer.mentions(bundle, 0)
    with pytest.raises(IntegrityFailedError):
        indexer.sight(bundle)


@pytest.mark.parametrize("indexer", INDEXERS)
@given(given_entries=entries)
def test_entries_are_put_in_order_and_each_kept_once(indexer: Indexer, given_entries: list[bytes]) -> None:
    assert indexer.ordered(given_entries) == b"".join(sorted(set(given_entries)))


@pytest.mark.parametrize("indexer", INDEXERS)
@pytest.mark.parametrize("key", ["random", "alike", "falling", "of two", "equal"])
def test_many_entries_are_put_in_order_whatever_their_keys_are(indexer: Indexer, key: str) -> None:
    chance = random.Random(1)
    keys = {
        "random": lambda _: chance.randbytes(8),
        "alike": lambda _: bytes(5) + chance.randbytes(3),
        "falling": lambda number: (10**9 - number).to_bytes(8, "big"),
        "of two": lambda number: bytes(7) + bytes([number % 2]),
        "equal": lambda _: bytes(8),
    }[key]
    found = [keys(number) + (number // 3).to_bytes(5, "big") for number in range(5000)]
    for given_parts in (found, found[::-1], [b"".join(found)], [memoryview(bytearray().join(found))]):
        assert indexer.ordered(given_parts) == b"".join(sorted(set(found)))


@pytest.mark.parametrize("indexer", INDEXERS)
@given(runs=st.lists(entries, max_size=MAX_RUNS))
def test_runs_are_merged(indexer: Indexer, runs: list[list[bytes]]) -> None:
    with indexer.merged([b"".join(sorted(run)) for run in runs]) as blocks:
        assert b"".join(blocks) == b"".join(sorted(entry for run in runs for entry in run))


@pytest.mark.skipif(not native.LIBRARY.exists(), reason="no C compiler was there at installation")
def test_a_merge_goes_on_where_a_block_ended() -> None:
    count = 3 * native.BLOCK_BYTES // ENTRY_BYTES
    every = [number.to_bytes(ENTRY_BYTES, "big") for number in range(count)]
    with native.NativeIndexer(native.load()).merged([b"".join(every[at::3]) for at in range(3)]) as blocks:
        made = list(blocks)
    assert len(made) == 3
    assert b"".join(made) == b"".join(every)


def test_a_library_that_is_not_there_or_is_another_one_is_not_used(tmp_path: Path) -> None:
    assert native.load(tmp_path / "absent.so") is None
    (tmp_path / "other.so").write_bytes(b"\x7fELF and nothing else")
    assert native.load(tmp_path / "other.so") is None
