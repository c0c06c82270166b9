import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.audit.records import (
    FIRST_REASON_CODE,
    FRAME,
    REASON_CODES,
    ActRecord,
    Group,
    Item,
    MalformedRecordError,
    ReadRecord,
    decode,
    encode_act,
    encode_read,
    gap_act,
    is_gap_frame,
    read_body_chunk,
    read_item,
    reason_code,
    reason_of,
    unknown_counts,
)
from vault.errors import Reason
from vault.model.consent import LawfulBasis

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
u8 = st.integers(0, 255)
locators = st.binary(min_size=16, max_size=16)
items = st.builds(Item, st.integers(0, 2**24 - 1), u8, u8)
short_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def body_of(frame: bytes) -> bytes:
    length, crc = FRAME.unpack_from(frame)
    body = frame[FRAME.size :]
    assert (length, crc) == (len(body), zlib.crc32(body))
    return body


@given(
    u64,
    u64,
    u32,
    st.integers(0, 31),
    u32,
    st.lists(st.tuples(locators, st.lists(items, max_size=300)), max_size=8),
    st.dictionaries(st.sampled_from(Reason), u32),
    st.none() | st.sampled_from(LawfulBasis),
)
def test_a_read_comes_back(seq, time_ms, principal_id, action, purpose_id, customers, unknown, basis):
    body = b"".join(
        read_body_chunk(locator, b"".join(read_item(i.value_no, i.field_class, i.outcome) for i in held))
        for locator, held in customers
    )
    frame = encode_read(seq, time_ms, principal_id, action, purpose_id, body, unknown_counts(unknown), basis)

    record = decode(body_of(frame))

    assert isinstance(record, ReadRecord)
    assert (record.seq, record.time_ms, record.principal_id) == (seq, time_ms, principal_id)
    assert (record.action, record.purpose_id, record.basis) == (action, purpose_id, basis)
    assert [(group.locator, list(group)) for group in record.groups] == customers
    assert {reason_of(outcome): count for outcome, count in record.unknown} == unknown


@given(
    st.builds(
        ActRecord,
        u64,
        u64,
        u32,
        short_text,
        short_text,
        u8,
        st.lists(locators, max_size=5).map(tuple),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_an_act_comes_back(act):
    assert decode(body_of(encode_act(act))) == act


def test_the_layout_of_a_read_is_the_documented_one():
    frame = encode_read(
        1, 2, 3, 4, 5, read_body_chunk(b"L" * 16, read_item(0x010203, 6, 2)), b"\x16\0\0\0\x09"
    )
    assert frame[8:].hex() == (
        "52" "04" "0000000000000001" "0000000000000002" "00000003" "00000005"
        "01" "16" "00000009" + "4c" * 16 + "0001" "010203" "06" "02"
    )  # fmt: skip


def test_names_too_long_are_cut_at_a_character():
    record = decode(body_of(encode_act(ActRecord(1, 2, 0, "é" * 200, "\ud800"))))
    assert isinstance(record, ActRecord)
    assert record.action == "é" * 127
    assert record.principal == "\\ud800"


def test_groups_count_without_decoding_items():
    group = Group(b"L" * 16, read_item(1, 5, 2) + read_item(70_000, 6, 3))
    assert list(group.field_classes) == [5, 6]
    assert list(group.outcomes) == [2, 3]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_malformed(body):
    for kind in (b"", b"R", b"A"):
        try:
            decode(kind + body)
        except MalformedRecordError:
            continue


@pytest.mark.parametrize("kind", ["read", "act"])
def test_every_shorter_body_is_malformed_or_another_record(kind):
    chunk = read_body_chunk(b"L" * 16, read_item(1, 2, 2))
    whole = {
        "read": encode_read(1, 2, 3, 1, 5, chunk),
        "act": encode_act(ActRecord(1, 2, 3, "a", "", 0, (b"L" * 16,))),
    }
    body = body_of(whole[kind])
    for length in range(len(body)):
        try:
            assert decode(body[:length]) != decode(body)
        except MalformedRecordError:
            continue


def test_every_reason_has_its_own_lasting_code():
    assert set(REASON_CODES) == set(Reason)
    assert len(set(REASON_CODES.values())) == len(Reason)
    assert min(REASON_CODES.values()) >= FIRST_REASON_CODE
    assert max(REASON_CODES.values()) <= 255
    assert (REASON_CODES[Reason.INTERNAL], REASON_CODES[Reason.SHREDDED]) == (16, 60)
    assert all(reason_of(reason_code(reason)) is reason for reason in Reason)
    assert [reason_of(outcome) for outcome in (0, 2, 3)] == [None] * 3
    assert reason_of(255) is Reason.INTERNAL


def test_a_gap_is_told_from_acts_that_mention_one():
    assert is_gap_frame(gap_act(1, 2, "{}"))
    assert not is_gap_frame(encode_act(ActRecord(1, 2, 0, "Other", detail="AuditGap")))


def test_a_record_beyond_16_mib_is_refused():
    with pytest.raises(ValueError, match="16 MiB"):
        encode_read(1, 2, 3, 1, 5, bytes(2**24))
