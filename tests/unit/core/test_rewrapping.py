"""One customer's rows on their way to the next epoch's keyring."""

from collections.abc import Iterator

import pytest

from vault.core.indexkeys import external_hash, search_hash, surrogate_hash
from vault.core.rewrapping import Rewrapping
from vault.core.searchindex import SearchIndex
from vault.crypto import hazmat
from vault.errors import DataLossError, IntegrityFailedError
from vault.fields.config import load_field_classes
from vault.fields.searching import load_searchable
from vault.keys.keyring import Keyring
from vault.model.ids import Epoch, Region
from vault.store.layout import CustomerRow, RowState, customer_key, dek_key, tombstone, value_key
from vault.store.sheet import SheetSurrogate

VAULT_ID = bytes(range(16))
REGION, NUMBER = 1, 7
CUSTOMER = customer_key(REGION, NUMBER)
ROW = CustomerRow(
    state=RowState.ACTIVE, dek_generation=2, row_version=1, next_counter=1, counter_incarnation=0
)  # fmt: skip


DIGEST = bytes(range(16))


class NumberedNames:
    """The table of names: every field class has number 3."""

    def get(self, reader: object, table: str, key: bytes) -> bytes:
        assert (table, key) == ("names", b"femail")
        return bytes((0, 0, 0, 3))


INDEX = SearchIndex(
    load_searchable({}, load_field_classes({"email": {"searchable": True}})),
    NumberedNames(),  # type: ignore[arg-type]
    None,  # type: ignore[arg-type]  # the keys of an index in use; here there is only one in the making
    Region(REGION),
)


class Held:
    """A customer row and the keyring, as readers see them; the sheet is opened by `indexed`."""

    def __init__(self, row: bytes | None) -> None:
        self.row = row
        self.wrapped: dict[tuple[int, int, int], bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        assert key == CUSTOMER + bytes(3)
        return self.row

    def dek(self, *names: int) -> bytes | None:
        return self.wrapped.get(names)  # type: ignore[arg-type]

    def indexed(
        self, reader: object, number: int, sheet_key: object, opener: object
    ) -> tuple[bytes, tuple[SheetSurrogate, ...], list[tuple[int, bytes]]]:
        if self.row is None:
            raise DataLossError("the sheet is missing")
        return f"customer {number}".encode(), (SheetSurrogate(5, 2, b"KD-1"),), [(3, DIGEST)]

    @property
    def search(self) -> SearchIndex:
        return INDEX

    def value_key(self, number: int, value_no: int) -> bytes:
        return value_key(REGION, number, value_no)


class Keys:
    """Two epochs, and two generations of one customer in the first."""

    def __init__(self) -> None:
        self.memory = hazmat.GuardedMemory(6 * 32)
        self.memory.fill_random(0, 6 * 32)
        edks = [hazmat.GuardedMemory(32) for _ in range(2)]
        for edk in edks:
            edk.fill_random(0, 32)
        self.old, self.new = [Keyring(edk, VAULT_ID, Epoch(n)) for n, edk in enumerate(edks, 1)]
        self.rows = [
            (dek_key(REGION, NUMBER, n), self.old.wrap_dek(self.memory.pointer(32 * n), REGION, NUMBER, n))  # type: ignore[arg-type]
            for n in (1, 2)
        ]

    def opened(self, keyring: Keyring, row: bytes, generation: int) -> bytes:
        keyring.unwrap_dek(row, REGION, NUMBER, generation, self.memory.pointer(160))  # type: ignore[arg-type]
        return bytes(self.memory.view(160, 32))


@pytest.fixture
def keys() -> Iterator[Keys]:
    made = Keys()
    yield made
    for memory in (made.memory, made.old.edk, made.new.edk):
        memory.free()


def rewrapping(keys: Keys, held: Held) -> Rewrapping:
    made = Rewrapping(held, keys.old, keys.new)  # type: ignore[arg-type]
    made.use_index_key(bytes(32))
    return made


def test_every_generation_is_carried_and_the_index_hash_made_anew(keys: Keys) -> None:
    held = Held(ROW.pack())
    customer, rows, hashed, surrogates, search = rewrapping(keys, held).carried(held, CUSTOMER, keys.rows)  # type: ignore[arg-type]
    assert customer == CUSTOMER
    assert [key for key, _ in rows] == [key for key, _ in keys.rows]
    for (_, new), (_, old), generation in zip(rows, keys.rows, (1, 2), strict=True):
        assert keys.opened(keys.new, new, generation) == keys.opened(keys.old, old, generation)
        with pytest.raises(IntegrityFailedError):
            keys.opened(keys.old, new, generation)
    keys.memory.zero(160, 32)
    assert hashed == external_hash(keys.memory.pointer(160), b"customer 7")
    made = surrogate_hash(keys.memory.pointer(160), 2, b"KD-1")
    assert surrogates == [(made, value_key(REGION, NUMBER, 5))]
    message = b"value\0" + bytes((3,)) + DIGEST
    assert search == [search_hash(keys.memory.pointer(160), message) + bytes((3,)) + CUSTOMER]


@pytest.mark.parametrize("row", [None, tombstone(ROW, 3).pack()])
def test_of_a_shredded_customer_nothing_is_carried(keys: Keys, row: bytes | None) -> None:
    held = Held(row)
    assert rewrapping(keys, held).carried(held, CUSTOMER, keys.rows) == (CUSTOMER, [], b"", [], [])  # type: ignore[arg-type]


def test_a_damaged_row_is_not_carried(keys: Keys) -> None:
    held = Held(ROW.pack())
    for at in (1, 20, 80):
        key, row = keys.rows[0]
        damaged = row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :]
        with pytest.raises(IntegrityFailedError):
            rewrapping(keys, held).carried(held, CUSTOMER, [(key, damaged)])  # type: ignore[arg-type]


def test_verifying_compares_with_the_old_row(keys: Keys) -> None:
    held = Held(ROW.pack())
    work = rewrapping(keys, held)
    _, rows, *_ = work.carried(held, CUSTOMER, keys.rows)  # type: ignore[arg-type]
    (first, new), (_, other) = rows
    work.verify(held, first, new)  # type: ignore[arg-type]  # the old one is gone meanwhile
    held.wrapped = {(REGION, NUMBER, n): row for n, (_, row) in enumerate(keys.rows, 1)}
    work.verify(held, first, new)  # type: ignore[arg-type]
    held.wrapped[REGION, NUMBER, 1] = keys.rows[1][1]
    with pytest.raises(IntegrityFailedError):
        work.verify(held, first, new)  # type: ignore[arg-type]
    with pytest.raises(IntegrityFailedError):
        work.verify(held, first, other)  # type: ignore[arg-type]
