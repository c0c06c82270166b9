"""The C loop really opens what it is asked for, and stops where something is missing or was changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest
from nacl import _sodium

from benchmarks.c_loop.loop import CLoop, CLoopError, Records, build, c_loop

VAULT_ID = bytes(range(16))
CUSTOMERS = 40
FIELDS = 5
ACTIVE, SHREDDED = 0x11, 0xEE
SEALS = {
    1: (_sodium.lib.crypto_aead_xchacha20poly1305_ietf_encrypt, 24, 16),
    3: (_sodium.lib.crypto_aead_aegis256_encrypt, 32, 32),
}
SEAL_KEYS = b"".join(bytes([number + 1]) * 32 for number in range(CUSTOMERS + 1))


def key(customer: int, value_no: int) -> bytes:
    return bytes(1) + customer.to_bytes(5, "big") + value_no.to_bytes(3, "big")


def text(customer: int, value_no: int) -> bytes:
    return f"value {customer}.{value_no}".encode()


def record(suite: int, customer: int, value_no: int) -> bytes:
    seal, nonce_bytes, tag_bytes = SEALS[suite]
    header = bytes((suite, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0))
    plain, nonce = text(customer, value_no), bytes([value_no]) * nonce_bytes
    aad = VAULT_ID + key(customer, value_no) + header
    out = _sodium.ffi.new("unsigned char[]", len(plain) + tag_bytes)
    own = SEAL_KEYS[32 * customer : 32 * (customer + 1)]
    null = _sodium.ffi.NULL
    assert seal(out, null, plain, len(plain), aad, len(aad), null, nonce, own) == 0
    return header + nonce + bytes(_sodium.ffi.buffer(out))


def row(state: int) -> bytes:
    return bytes((1, state)) + bytes(52)


def write(folder: Path, suite: int, changed: dict[bytes, bytes | None]) -> None:
    rows: dict[bytes, bytes | None] = {}
    for customer in range(1, CUSTOMERS + 1):
        rows[key(customer, 0)] = row(ACTIVE)
        rows |= {key(customer, number): record(suite, customer, number) for number in range(1, FIELDS + 1)}
    folder.mkdir()
    with lmdb.open(str(folder), map_size=1 << 24, max_dbs=16) as environment:
        table = environment.open_db(b"values")
        with environment.begin(write=True) as transaction:
            for at, held in (rows | changed).items():
                if held is not None:
                    transaction.put(at, held, db=table)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c-loop"))


@contextmanager
def loop(
    library: Path, folder: Path, suite: int = 1, changed: dict[bytes, bytes | None] | None = None
) -> Iterator[CLoop]:
    write(folder / "store", suite, changed or {})
    with c_loop(library, Records(folder / "store", VAULT_ID, suite, SEAL_KEYS)) as opened:
        yield opened


ALL = b"".join(
    key(customer, number) for customer in range(1, CUSTOMERS + 1) for number in range(1, FIELDS + 1)
)
BACKWARDS = b"".join(
    key(customer, number) for number in range(FIELDS, 0, -1) for customer in range(CUSTOMERS, 0, -1)
)


@pytest.mark.parametrize("suite", [1, 3])
@pytest.mark.parametrize("order", [ALL, BACKWARDS])
@pytest.mark.parametrize("batch", [1, 10, 200])
def test_every_value_is_opened_in_any_order(
    library: Path, tmp_path: Path, suite: int, order: bytes, batch: int
) -> None:
    with loop(library, tmp_path, suite) as opened:
        took = opened.read(order, batch)
    assert took.values == CUSTOMERS * FIELDS
    plain = [
        text(customer, number) for customer in range(1, CUSTOMERS + 1) for number in range(1, FIELDS + 1)
    ]
    assert took.plain_bytes == sum(map(len, plain))


def test_getting_alone_opens_nothing(library: Path, tmp_path: Path) -> None:
    with loop(library, tmp_path) as opened:
        took = opened.read(ALL, 10, opened=False)
    assert (took.values, took.plain_bytes) == (CUSTOMERS * FIELDS, 0)


def test_it_reads_over_and_over_for_as_long_as_it_is_told(library: Path, tmp_path: Path) -> None:
    with loop(library, tmp_path) as opened:
        took = opened.read(ALL, 10, seconds=0.05)
    assert took.values > CUSTOMERS * FIELDS
    assert took.seconds >= 0.05
    assert 0 < took.cpu_seconds <= took.seconds * 1.5


def test_a_later_call_goes_on_where_the_last_one_stopped(library: Path, tmp_path: Path) -> None:
    with loop(library, tmp_path) as opened:
        assert opened.read(ALL, 10, start=CUSTOMERS * FIELDS - 30).values == 30
        took = opened.read(ALL, 10, seconds=0.01, start=50)
        assert took.next == (50 + took.values) % (CUSTOMERS * FIELDS)


@pytest.mark.parametrize("place", [0, 9, 20, -1])
def test_a_changed_byte_of_a_record_stops_it(library: Path, tmp_path: Path, place: int) -> None:
    broken = bytearray(record(1, 7, 3))
    broken[place] ^= 1
    with loop(library, tmp_path, changed={key(7, 3): bytes(broken)}) as opened:
        with pytest.raises(CLoopError):
            opened.read(ALL, 10)
        assert opened.read(ALL, 10, opened=False).values == CUSTOMERS * FIELDS


def test_a_record_of_another_customer_does_not_open(library: Path, tmp_path: Path) -> None:
    with (
        loop(library, tmp_path, changed={key(7, 3): record(1, 8, 3)}) as opened,
        pytest.raises(CLoopError),
    ):
        opened.read(ALL, 10)


@pytest.mark.parametrize("changed", [{key(9, 0): None}, {key(9, 2): None}, {key(9, 0): row(SHREDDED)}])
def test_a_missing_value_or_customer_and_a_shredded_one_stop_it(
    library: Path, tmp_path: Path, changed: dict[bytes, bytes | None]
) -> None:
    with loop(library, tmp_path, changed=changed) as opened, pytest.raises(CLoopError):
        opened.read(ALL, 10, opened=False)


def test_a_store_that_is_not_there_is_an_error(library: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(CLoopError, match="cannot be opened"),
        c_loop(library, Records(tmp_path / "none", VAULT_ID, 1, SEAL_KEYS)),
    ):
        pass


def test_without_a_compiler_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CLoopError, match="C compiler"):
        build(tmp_path)
