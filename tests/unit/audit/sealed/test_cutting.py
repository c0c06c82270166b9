"""The compiled cutter and its reference find the same frames, and make the same leaves of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.audit.layout import SegmentName
from vault.audit.records import ActRecord, encode_act, encode_read, gap_act, read_body_chunk, read_item
from vault.audit.sealed import cutting_native as native
from vault.audit.sealed.cutting import Cut, Cutter, PortableCutter, Stretch
from vault.audit.sealed.leaves import leaves_of, segment_head
from vault.tlog.tiles import join_entries, split_entries

CUTTERS: list[Cutter] = [
    PortableCutter(),
    *([native.NativeCutter(native.load())] if native.LIBRARY.exists() else []),
]
HEADS = [segment_head(SegmentName(worker, 1_700_000_000_000, 1)) for worker in ("w", "x" * 61)]
LONGEST = [65_535 - 5 - len(head) for head in HEADS]  # of a body that is one leaf

times = st.sampled_from([0, 1, 1_700_000_000_000, 2**63])
principals = st.sampled_from([0, 1, 63, 64, 127, 2**32 - 1])
reads = st.builds(
    lambda time_ms, principal, groups: encode_read(
        7, time_ms, principal, 1, 9, read_body_chunk(b"a" * 16, read_item(1, 2, 3)) * groups
    ),
    times,
    principals,
    st.integers(0, 40),
)
acts = st.builds(
    lambda time_ms, detail: encode_act(ActRecord(1, time_ms, 2, "Act", detail=detail)),
    times,
    st.sampled_from(["", "AuditGap", "AAuditGa", "AuditAuditGap", "A" * 30]),
)
gaps = st.builds(gap_act, st.integers(0, 9), times, st.sampled_from(["", "{}"]))
frames = st.lists(st.one_of(reads, reads, acts, gaps), max_size=12)
tails = st.one_of(
    st.just(b""), st.binary(max_size=40), st.just(bytes(100)), reads.map(lambda frame: frame[:-1]),
    st.tuples(reads, st.integers(4, 30)).map(lambda one: flipped(*one)),
)  # fmt: skip


def flipped(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def is_gap(frame: bytes) -> bool:
    return frame[8:9] == b"A" and frame[31:40] == b"\x08AuditGap"


def padded(size: int) -> bytes:
    """A frame whose body has a size."""
    return encode_act(ActRecord(1, 2, 3, "Act", detail="d" * (size - 29)))


@given(given_frames=frames, tail=tails)
def test_whole_frames_are_found(given_frames: list[bytes], tail: bytes) -> None:
    data = b"".join(given_frames)
    for cutter in CUTTERS:
        found = cutter.find(data + tail)
        assert found == (len(data), len(given_frames), sum(map(is_gap, given_frames)))


@pytest.mark.parametrize("cutter", CUTTERS)
@given(
    given_frames=frames,
    offset=st.integers(0, 2**31),
    skipped=st.integers(0, 3),
    limit=st.integers(0, 14),
    held=st.binary(max_size=9),
    head=st.sampled_from(HEADS),
)
def test_leaves_are_those_of_the_description(
    cutter: Cutter, given_frames: list[bytes], offset: int, skipped: int, limit: int, held: bytes, head: bytes
) -> None:
    skipped = min(skipped, len(given_frames))
    at = len(b"".join(given_frames[:skipped]))
    taken, leaves, place = given_frames[skipped : skipped + limit], [], offset + at
    for frame in taken:
        leaves += leaves_of(head, place, frame[8:])
        place += len(frame)
    out = bytearray(held)
    cut = cutter.cut(head, Stretch(offset, b"".join(given_frames)), at, out, len(held), limit)
    assert (cut.used, cut.leaves) == (place - offset - at, len(leaves))
    assert out[: len(held) + cut.size] == held + join_entries(leaves)
    stamps = [
        (int.from_bytes(frame[18:26], "big"), int.from_bytes(frame[26:30], "big") % 64) for frame in taken
    ]
    if taken:
        assert (cut.first_ms, cut.last_ms) == (min(stamps)[0], max(stamps)[0])
    assert cut.principals == sum(1 << principal for principal in {stamp[1] for stamp in stamps})


@pytest.mark.parametrize("cutter", CUTTERS)
@pytest.mark.parametrize("number", [0, 1])
def test_a_record_of_several_leaves_is_left_to_the_caller(cutter: Cutter, number: int) -> None:
    head, longest, out = HEADS[number], padded(LONGEST[number]), bytearray()
    frames = padded(40) + longest + padded(LONGEST[number] + 1) + padded(40)
    cut = cutter.cut(head, Stretch(256, frames), 0, out, 0, 10)
    assert (cut.leaves, cut.used) == (2, 48 + len(longest))
    assert [len(each) for each in split_entries(bytes(out[: cut.size]))][1] == 65_535
    assert cutter.cut(head, Stretch(256, frames), cut.used, out, 0, 10) == Cut(0, 0, 0)


@pytest.mark.parametrize("cutter", CUTTERS)
def test_one_buffer_takes_one_stretch_after_the_other(cutter: Cutter) -> None:
    frames, out, size, at, made = padded(100) * 30, bytearray(), 0, 0, 0
    while at < len(frames):
        cut = cutter.cut(HEADS[0], Stretch(0, frames), at, out, size, 7)
        at, size, made = at + cut.used, size + cut.size, made + cut.leaves
    whole = bytearray()
    assert made == 30
    assert cutter.cut(HEADS[0], Stretch(0, frames), 0, whole, 0, 256).size == size
    assert out[:size] == whole[:size]


def test_a_library_that_is_not_there_or_is_another_one_is_not_used(tmp_path: Path) -> None:
    assert native.load(tmp_path / "absent.so") is None
    (tmp_path / "other.so").write_bytes(b"\x7fELF and nothing else")
    assert native.load(tmp_path / "other.so") is None
