"""Every row and payload: what is packed is unpacked, and what cannot have been packed is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailedError, StorageFormatError
from vault.store import entries, layout
from vault.store.aliases import AliasState
from vault.store.layout import CustomerRow, RowState, ValueHeader, ValueRecord, WrappedKey
from vault.store.meta import META_HOT_BYTES, Meta, VerifiedMeta
from vault.store.sheet import SealedSheet, Sheet, SheetField, SheetSurrogate, external_id_of, indexed_part

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
u64 = st.integers(0, 2**64 - 1)
customer_nos = st.integers(1, 2**40 - 1)
value_nos = st.integers(0, 2**24 - 1)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


headers = st.builds(ValueHeader, st.sampled_from([1, 2, 3]), u8, u8, u32, u16, u32)
customer_rows = st.builds(
    CustomerRow,
    state=st.sampled_from(RowState),
    dek_generation=u16,
    row_version=u32,
    next_counter=u16,
    counter_incarnation=u8,
    created_ms=u64,
    jurisdiction=st.sampled_from(["", "DE", "FR", "BR"]),
    flags=u8,
    consents=u64,
    restrictions=u64,
    mac=exactly(16),
)
metas = st.builds(Meta, u8, u32, u8, u64, u64, u32, u64, u64, u64)
labels = st.lists(st.sampled_from(["", "mobile", "work", "x" * 32]), max_size=3).map(tuple)
sheets = st.builds(
    Sheet,
    st.binary(max_size=256),
    st.lists(
        st.builds(SheetField, value_nos, u8, exactly(16), st.binary(max_size=32), labels), max_size=5
    ).map(tuple),
)
payloads = st.one_of(
    st.builds(entries.Genesis, exactly(16), exactly(32)),
    st.builds(entries.NumbersReserved, u8, u64),
    st.builds(entries.Shred, exactly(16), u8, customer_nos, st.lists(u16).map(tuple), u32, exactly(32), u32),
    st.builds(entries.ValuesDeleted, u8, st.lists(st.tuples(customer_nos, value_nos), min_size=1).map(tuple)),
    st.builds(
        entries.ValuesCorrected, u8, st.lists(st.tuples(customer_nos, value_nos, u32), min_size=1).map(tuple)
    ),
    st.builds(entries.GenerationReplaced, u8, customer_nos, u16, u16),
    st.builds(entries.GenerationShredded, u8, customer_nos, u16),
    st.builds(entries.Void, u64),
    st.builds(entries.KeyringVerified, u32, u64),
    st.builds(entries.NamesNumbered, st.sampled_from([b"d", b"f", b"p"]), u32),
    st.builds(entries.EpochIntent, u32, u32, st.text(max_size=40)),
    st.builds(entries.EpochCurrent, u32),
    st.builds(entries.PrincipalRevoked, u32),
    st.builds(
        entries.TermsNarrowed,
        u8,
        customer_nos,
        st.sampled_from(entries.TermsKind),
        u32,
        st.lists(st.tuples(u32, u8), max_size=5).map(tuple),
        u64,
        st.text(max_size=40),
        exactly(32),
    ),
    st.builds(
        entries.ErasureWaits, exactly(16), u8, customer_nos, st.lists(u16).map(tuple), u32, exactly(32), u32
    ),
    st.builds(
        entries.TokensEnded,
        u8,
        st.sampled_from(AliasState),
        st.lists(st.tuples(customer_nos, value_nos), min_size=1).map(tuple),
        exactly(32),
    ),
)


@given(u8, customer_nos, value_nos, u16)
def test_keys_split_into_what_they_were_made_of(
    region: int, number: int, value_no: int, generation: int
) -> None:
    assert layout.split_value_key(layout.value_key(region, number, value_no)) == (region, number, value_no)
    assert layout.split_customer_key(layout.customer_key(region, number)) == (region, number)
    assert layout.split_dek_key(layout.dek_key(region, number, generation)) == (region, number, generation)
    assert layout.value_key(region, number, value_no).startswith(layout.customer_key(region, number))


@given(st.lists(st.tuples(u8, customer_nos, value_nos)))
def test_keys_sort_by_region_customer_and_value(parts: list[tuple[int, int, int]]) -> None:
    assert [
        layout.split_value_key(key) for key in sorted(layout.value_key(*each) for each in parts)
    ] == sorted(parts)


def test_the_layout_of_every_row_is_the_documented_one() -> None:
    assert layout.value_key(1, 2, 3).hex() == "010000000002000003"
    assert layout.dek_key(1, 2, 3).hex() == "0100000000020003"
    assert layout.value_no(2, 5) == 0x020005
    assert ValueHeader(1, 2, 3, 4, 5, 6).pack().hex() == "01020300000004000500000006"
    row = CustomerRow(RowState.ACTIVE, 2, 3, 4, 5, 6, "DE", 1, 7, 8, b"m" * 16).pack()
    assert row.hex() == (
        "01" "11" "01" "4445" "0002" "00000003" "0004" "05"
        "0000000000000006" "0000000000000007" "0000000000000008" + "6d" * 16
    )  # fmt: skip
    assert len(row) == 54
    assert WrappedKey(b"k" * 8, b"n" * 24, b"c" * 48).pack() == b"\1" + b"k" * 8 + b"n" * 24 + b"c" * 48
    meta = Meta(1, 2, 3, 4, 5, 6, 7, 8, 9).pack(bytes(16))
    assert meta[:META_HOT_BYTES].hex() == "00010103000000020000000000000004"
    assert len(meta) == 64
    assert entries.Shred(b"s" * 16, 1, 2, (3, 4), 5, b"c" * 32, 6).pack() == (
        b"s" * 16 + bytes.fromhex("01" "0000000002" "00000006" "00000005")
        + b"c" * 32 + bytes.fromhex("0002" "0003" "0004")
    )  # fmt: skip


@given(headers, st.binary(max_size=40))
def test_value_records_round_trip(header: ValueHeader, plain: bytes) -> None:
    made = ValueRecord(header, bytes(layout.NONCE_BYTES[header.suite]), plain + bytes(16))
    assert ValueRecord.unpack(made.pack()) == made
    assert header.deleted == bool(header.flags & 1)


@given(customer_rows)
def test_customer_rows_round_trip(row: CustomerRow) -> None:
    assert CustomerRow.unpack(row.pack()) == row
    assert row.authenticated() + row.mac == row.pack()
    assert layout.live_generation(row.pack()) == (None if row.shredded else row.dek_generation)


@given(customer_rows, u64)
def test_a_tombstone_keeps_numbers_only(row: CustomerRow, seq: int) -> None:
    live = replace(row, row_version=1)
    left = CustomerRow.unpack(layout.tombstone(live, seq).pack())
    assert left.shredded
    assert left.shred_seq == seq
    assert (left.jurisdiction, left.created_ms, left.restrictions, left.flags) == ("", 0, 0, 0)
    assert (left.next_counter, left.counter_incarnation) == (row.next_counter, row.counter_incarnation)


def test_no_single_flipped_bit_turns_one_state_into_another() -> None:
    for state in RowState:
        for bit in range(8):
            assert state ^ (1 << bit) not in set(RowState)


@given(metas)
def test_meta_rows_round_trip(meta: Meta) -> None:
    assert Meta.unpack(meta.pack(bytes(16)), bytes(16)) == meta


@given(metas, st.integers(0, 60 * 8 - 1))
def test_a_flipped_bit_of_the_meta_row_is_found(meta: Meta, bit: int) -> None:
    row = bytearray(meta.pack(bytes(16)))
    row[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityFailedError):
        Meta.unpack(bytes(row), bytes(16))


@given(metas, metas, st.integers(0, 60 * 8 - 1))
def test_only_the_row_verified_last_is_not_verified_again(meta: Meta, other: Meta, bit: int) -> None:
    verified, rows = VerifiedMeta(bytes(16)), [each.pack(bytes(16)) for each in (meta, other)]
    damaged = bytearray(rows[0])
    damaged[bit // 8] ^= 1 << bit % 8
    for row, expected in [(rows[0], meta), (rows[0], meta), (rows[1], other), (rows[0], meta)]:
        assert verified.unpack(bytes(row)) == expected
        with pytest.raises(IntegrityFailedError):
            verified.unpack(bytes(damaged))


def test_a_meta_row_of_another_vault_is_refused() -> None:
    with pytest.raises(IntegrityFailedError):
        Meta.unpack(Meta(1, 1).pack(b"a" * 16), b"b" * 16)


def test_a_meta_row_of_a_later_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.store.meta.META_FORMAT", 2)
    row = Meta(1, 1).pack(bytes(16))
    monkeypatch.undo()
    with pytest.raises(StorageFormatError):
        Meta.unpack(row, bytes(16))


@given(sheets)
def test_sheets_round_trip(sheet: Sheet) -> None:
    assert Sheet.unpack(sheet.pack()) == sheet
    assert external_id_of(sheet.pack()) == sheet.external_id


@given(sheets, st.data())
def test_a_sheet_cut_short_or_with_more_behind_it_is_refused(sheet: Sheet, data: st.DataObject) -> None:
    packed = sheet.pack()
    with pytest.raises(IntegrityFailedError):
        Sheet.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])
    with pytest.raises(IntegrityFailedError):
        Sheet.unpack(packed + b"\0")


@given(
    sheets,
    st.lists(
        st.builds(
            SheetSurrogate,
            st.integers(0, 2**24 - 1),
            st.integers(1, 255),
            st.binary(min_size=1, max_size=255),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_sheets_with_surrogates_round_trip(sheet: Sheet, surrogates: list[SheetSurrogate]) -> None:
    given = replace(sheet, surrogates=tuple(surrogates))
    assert given.version == 2
    assert Sheet.unpack(given.pack(), 2) == given
    with pytest.raises(IntegrityFailedError):
        Sheet.unpack(given.pack()[: -1 - len(given.terms.pack())], 2)


def test_a_sheet_shows_nothing_personal_when_printed() -> None:
    sheet = Sheet(b"crm-4711", (SheetField(1, 2, b"f" * 16, b"i" * 16, ("work",)),))
    assert "4711" not in repr(sheet)
    assert "fff" not in repr(sheet)
    assert "iii" not in repr(sheet)


@given(u16, exactly(24), st.binary(min_size=16, max_size=60))
def test_sealed_sheets_and_wrapped_keys_round_trip(generation: int, nonce: bytes, sealed: bytes) -> None:
    sheet = SealedSheet(generation, nonce, sealed)
    assert SealedSheet.unpack(sheet.pack()) == sheet
    assert sheet.pack().startswith(sheet.header())
    key = WrappedKey(nonce[:8], nonce, sealed)
    assert WrappedKey.unpack(key.pack()) == key


@given(payloads)
def test_ledger_payloads_round_trip(payload: entries.AnyPayload) -> None:
    assert entries.unpack_payload(payload.TYPE, payload.pack()) == payload


@given(payloads, st.data())
def test_a_payload_of_another_length_is_refused(payload: entries.AnyPayload, data: st.DataObject) -> None:
    packed = payload.pack()
    for wrong in (packed[: data.draw(st.integers(0, len(packed) - 1))], packed + b"\0"):
        with pytest.raises(IntegrityFailedError):
            entries.unpack_payload(payload.TYPE, wrong)


def test_an_entry_of_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(StorageFormatError):
        entries.unpack_payload(200, b"")


def test_values_of_two_regions_in_one_entry_are_refused() -> None:
    rows = layout.value_key(1, 1, 1) + layout.value_key(2, 1, 1)
    with pytest.raises(IntegrityFailedError):
        entries.ValuesDeleted.unpack((2).to_bytes(4, "big") + rows)


_ROW = CustomerRow(RowState.ACTIVE, 1, 1, 1, 0).pack()


@pytest.mark.parametrize(
    ("unpack", "row"),
    [
        (ValueRecord.unpack, b""),
        (ValueRecord.unpack, b"\x04" + bytes(60)),  # an unknown suite
        (ValueRecord.unpack, b"\x01" + bytes(12 + 24 + 15)),  # no room for a tag
        (ValueHeader.unpack, b"\x01" + bytes(11)),
        (CustomerRow.unpack, _ROW[:-1]),
        (CustomerRow.unpack, b"\x02" + _ROW[1:]),
        (CustomerRow.unpack, _ROW[:1] + b"\x12" + _ROW[2:]),
        (CustomerRow.unpack, _ROW[:3] + b"d?" + _ROW[5:]),
        (WrappedKey.unpack, b"\x02" + bytes(80)),
        (WrappedKey.unpack, b"\x01" + bytes(32 + 15)),
        (SealedSheet.unpack, b"\x03" + bytes(80)),
        (SealedSheet.unpack, b"\x01" + bytes(2 + 24 + 15)),
        (layout.live_generation, bytes(54)),
        (layout.live_generation, b"\x01\x11" + bytes(51)),
        (layout.split_value_key, bytes(8)),
        (layout.split_customer_key, bytes(7)),
        (layout.split_dek_key, bytes(9)),
    ],
)
def test_bytes_that_nobody_packed_are_refused(unpack: Callable[[bytes], object], row: bytes) -> None:
    with pytest.raises(IntegrityFailedError):
        unpack(row)


@given(sheets)
def test_what_is_indexed_is_read_without_the_rest(sheet: Sheet) -> None:
    pairs = [(line.field_class, line.index_hash) for line in sheet.fields if line.index_hash]
    assert indexed_part(sheet.pack()) == (sheet.external_id, pairs)


def test_a_sheet_that_ends_within_its_lines_is_damaged() -> None:
    whole = Sheet(b"customer", (SheetField(1, 2, bytes(16), b"d" * 16, ("a", "b")),)).pack()
    for size in range(len(whole) - 4):
        with pytest.raises(IntegrityFailedError):
            indexed_part(whole[:size])
