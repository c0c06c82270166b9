"""What is made of new customers opens as it was given, made by the compiled sealer or by its reference."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.core import newcomers_native as native
from vault.core.newcomers import FIRST, Newcomer, NewValue, Occasion, PortableSealer, Sealed, Sealer
from vault.crypto import hazmat, subkeys
from vault.crypto.slots import SlotPool
from vault.crypto.suites import AES_256_GCM, SUITES, XCHACHA20_POLY1305
from vault.errors import KeyUnavailableError
from vault.keys.keyring import Keyring
from vault.keys.opendek import SLOT_BYTES, DekOpener, FreshDeks
from vault.model.ids import CustomerNo, Epoch, Region
from vault.store.layout import (
    CustomerRow,
    RowState,
    ValueRecord,
    customer_key,
    dek_key,
    value_key,
)
from vault.store.sheet import MAX_LABELS, SealedSheet, Sheet, sheet_aad

built = pytest.mark.skipif(not native.LIBRARY.exists(), reason="no C compiler was there at installation")
VAULT_ID, REGION, EPOCH = bytes(range(16)), Region(7), Epoch(3)
HEADS = {number: f"class_{number}".encode() + b"\0" for number in (1, 2, 3, 255)}
USABLE = [suite for suite in SUITES if suite != AES_256_GCM or hazmat.AES_GCM_AVAILABLE]
INCARNATION, CREATED_MS = 2, 1_700_000_000_123


class Desk:
    """A keyring, and a slot for new keys."""

    def __init__(self) -> None:
        self.edk = hazmat.GuardedMemory(32)
        self.edk.fill_random(0, 32)
        self.pool = SlotPool(SLOT_BYTES, 16 * SLOT_BYTES)
        self.keyring = Keyring(self.edk, VAULT_ID, EPOCH)
        slot = self.pool.acquire()
        opener = DekOpener({EPOCH: self.keyring}, self.pool, 1)  # type: ignore[arg-type]
        self.pointers = opener._pointers_of(slot)

    def occasion(self, suite: int) -> Occasion:
        fresh = FreshDeks(self.pool, self.pointers, suite)
        return Occasion(fresh, self.keyring, INCARNATION, CREATED_MS)

    def close(self) -> None:
        self.pool.close()
        self.edk.free()


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def _values(
    given: list[tuple[int, bytes, bytes, bytes, tuple[str, ...]]], external_id: bytes
) -> list[NewValue]:
    own = NewValue(1, 1, external_id, external_id, b"", ("",))
    return [own, *[NewValue(at, *each) for at, each in enumerate(given, 2)]]


texts = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(bytes))
labels = st.lists(st.sampled_from(["", "work", "a" * 32]), max_size=4).map(tuple)
fields = st.tuples(st.sampled_from(sorted(HEADS)), texts, texts, st.sampled_from([b"", bytes(16)]), labels)
people = st.lists(
    st.tuples(
        st.sampled_from(["", "DE", "FR"]), st.binary(min_size=1, max_size=256), st.lists(fields, max_size=8)
    ),
    min_size=1,
    max_size=12,
)
numbers = st.integers(1, 2**40 - 20)


def newcomers(drawn: Sequence[Any]) -> list[Newcomer]:
    return [Newcomer.of(place, _values(values, external_id)) for place, external_id, values in drawn]


def sealed_by(sealer: Sealer, desk: "Desk", suite: int, first: int, given_: Sequence[Newcomer]) -> Sealed:
    numbers = [CustomerNo(first + at) for at in range(len(given_))]
    return sealer.pack(given_, HEADS).seal(numbers, desk.occasion(suite))


def sealers(suite: int) -> list[Sealer]:
    made: list[Sealer] = [PortableSealer(suite, VAULT_ID, REGION)]
    library = native.load()
    if library is not None:
        made.append(native.NativeSealer(library, suite, VAULT_ID, REGION))
    return made


def require_true(desk: Desk, suite: int, first: int, given: Sequence[Newcomer], sealed: Sealed) -> None:
    """Opens everything with the keys of the keyring, and compares it with what was given."""
    rows = dict(sealed.values)
    assert list(rows) == sorted(rows)
    assert len(rows) == sum(len(each.values) + 1 for each in given)
    fresh = desk.occasion(suite).fresh
    numbered = zip(given, sealed.deks, sealed.sheets, sealed.locators, strict=True)
    for at, (newcomer, (key, wrapped), (name, sheet_row), locator) in enumerate(numbered):
        number = CustomerNo(first + at)
        assert key == dek_key(REGION, number, FIRST)
        assert name == customer_key(REGION, number)
        dek = fresh.next(FIRST)
        desk.keyring.unwrap_dek(wrapped, REGION, number, FIRST, dek.pointer)
        opened = type(dek)(desk.pool, desk.pointers, FIRST, suite)  # derives the subkeys of this one
        assert locator == opened.locator(name)
        row_key = value_key(REGION, number)
        row = CustomerRow.unpack(rows[row_key])
        assert row.mac == opened.row_mac(VAULT_ID + row_key + row.authenticated())
        assert (row.state, row.jurisdiction, row.row_version) == (RowState.ACTIVE, newcomer.jurisdiction, 1)
        assert (row.counter_incarnation, row.next_counter) == (INCARNATION, len(newcomer.values) + 1)
        assert (row.created_ms, row.flags, row.consents, row.restrictions) == (CREATED_MS, 0, 0, 0)
        sealed_sheet = SealedSheet.unpack(sheet_row)
        aad = sheet_aad(VAULT_ID, name, sealed_sheet.header())
        opener = hazmat.Opener()
        plaintext = opener.open(
            XCHACHA20_POLY1305, opened.sheet_key, sealed_sheet.nonce, sealed_sheet.ciphertext, aad
        )
        sheet = Sheet.unpack(plaintext)
        assert sheet.external_id == newcomer.values[0].stored
        for value, line in zip(newcomer.values, sheet.fields, strict=True):
            print_ = opened.fingerprint(HEADS[value.field_class] + value.normalized)
            value_no = INCARNATION << 16 | value.counter
            assert line == (value_no, value.field_class, print_, value.index_hash, value.labels)
            at = value_key(REGION, number, value_no)  # type: ignore[arg-type]
            record = ValueRecord.unpack(rows[at])
            header = record.header
            assert (header.suite, header.field_class, header.version) == (suite, value.field_class, 1)
            assert (header.flags, header.expires_s, header.dek_generation) == (0, 0, FIRST)
            found = opened.open_value(
                opener, suite, record.nonce, record.ciphertext, VAULT_ID + at + header.pack()
            )
            assert found == value.stored


@pytest.mark.parametrize("suite", USABLE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=numbers, drawn=people)
def test_what_is_made_opens_as_it_was_given(desk: Desk, suite: int, first: int, drawn: Sequence[Any]) -> None:
    given_ = newcomers(drawn)
    for sealer in sealers(suite):
        require_true(desk, suite, first, given_, sealed_by(sealer, desk, suite, first, given_))


def test_one_value_may_stand_under_all_labels_and_a_customer_may_have_many_values(desk: Desk) -> None:
    every = tuple(f"l{number}" for number in range(MAX_LABELS))
    many = [(2, b"%d" % number, b"", b"", ("",)) for number in range(2000)]
    given_ = newcomers([("DE", b"a", [(2, b"x", b"x", b"", every)]), ("", b"b", many)])
    for sealer in sealers(XCHACHA20_POLY1305):
        require_true(desk, 1, 5, given_, sealed_by(sealer, desk, 1, 5, given_))


def test_no_two_customers_share_a_key_and_no_two_seals_a_nonce(desk: Desk) -> None:
    given_ = newcomers([("", b"same", [(2, b"same", b"same", b"", ("",))])] * 50)
    for sealer in sealers(XCHACHA20_POLY1305):
        packed = sealer.pack(given_, HEADS)
        twice = [
            packed.seal([CustomerNo(first + at) for at in range(50)], desk.occasion(1)) for first in (1, 99)
        ]
        deks = [row for sealed in twice for _, row in sealed.deks]
        assert len({row[1:9] for row in deks}) == 100  # key check values
        nonces = [row[9:33] for row in deks]
        nonces += [row[3:27] for sealed in twice for _, row in sealed.sheets]
        nonces += [row[13:37] for sealed in twice for key, row in sealed.values if not key.endswith(bytes(3))]
        assert len(set(nonces)) == len(nonces) == 400


@built
def test_as_many_numbers_as_customers(desk: Desk) -> None:
    packed = native.newcomer_sealer(1, VAULT_ID, REGION).pack(newcomers([("", b"a", [])]), HEADS)
    with pytest.raises(ValueError, match="one number"):
        packed.seal([CustomerNo(1), CustomerNo(2)], desk.occasion(1))


class Guarded:
    """The library, with each buffer that it writes between bytes that it must leave as they are."""

    GUARD = b"\xa5" * 64

    def __init__(self, library: Any) -> None:
        self._library = library
        self.refused = False

    def cv_seal_newcomers(self, tools: Any, job: Any) -> int:
        rows = job.values + job.customers
        sizes = {
            "nonces": job.nonces_size,
            "scratch": job.scratch_size,
            "keys": 9 * rows,
            "rows": job.rows_size,
            "sheets": job.sheets_size,
            "deks": 81 * job.customers,
            "locators": 16 * job.customers,
        }
        kept = {}
        for name, size in sizes.items():
            kept[name] = native._ffi.new("unsigned char[]", self.GUARD + bytes(size) + self.GUARD)
            setattr(job, name, kept[name] + len(self.GUARD))
        result = int(self._library.cv_seal_newcomers(tools, job))
        for name, buffer in kept.items():
            content = native._ffi.buffer(buffer)[:-1]
            assert content.startswith(self.GUARD), name
            assert content.endswith(self.GUARD), name
        self.refused = result == -1
        return result or -9  # what was written is not where the caller looks for it


@built
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    drawn=people,
    name=st.sampled_from(["fields", "counts", "numbers"]),
    at=st.integers(0, 2**16),
    number=st.one_of(st.integers(0, 300), st.sampled_from([2**16, 2**24, 2**31, 2**32 - 1])),
)
def test_sizes_that_do_not_fit_lead_neither_to_a_row_nor_beyond_a_buffer(
    desk: Desk, drawn: Sequence[Any], name: str, at: int, number: int
) -> None:
    guarded = Guarded(native.load())
    sealer = native.NativeSealer(guarded, XCHACHA20_POLY1305, VAULT_ID, REGION)
    packed = sealer.pack(newcomers(drawn), HEADS)
    customers = [CustomerNo(1 + each) for each in range(len(drawn))]
    if name == "numbers":
        customers[at % len(customers)] = CustomerNo((number % 2**24) << 40)
    else:
        damaged: array[int] = getattr(packed, name)
        damaged[at % len(damaged)] = number
    with pytest.raises(KeyUnavailableError):
        packed.seal(customers, desk.occasion(1))
    if number >= 2**16:
        assert guarded.refused or (name == "numbers" and number % 2**24 == 0)


@built
def test_a_process_without_a_fitting_library_seals_in_python(tmp_path: Path) -> None:
    assert native.load(tmp_path / "absent.so") is None
    (tmp_path / "other.so").write_bytes(b"\x7fELF and nothing else")
    assert native.load(tmp_path / "other.so") is None
    assert isinstance(native.newcomer_sealer(1, VAULT_ID, REGION), native.NativeSealer)


def test_the_subkeys_of_the_compiled_sealer_are_those_of_the_table() -> None:
    source = Path(native.__file__).with_name("newcomers.c").read_text()
    ids = (subkeys.ROW_MAC, subkeys.FINGERPRINT, subkeys.SHEET, subkeys.AUDIT_LOCATOR, subkeys.KEY_CHECK)
    assert "ROW_ID = {}, PRINT_ID = {}, SHEET_ID = {}, AUDIT_ID = {}, CHECK_ID = {}".format(*ids) in source
    assert f'CONTEXT[16] = "{subkeys.CONTEXT.decode()}"' in source
