"""The compiled loop and its reference in Python answer alike, whatever they are given."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.crypto import batches, hazmat
from vault.crypto.batches import MASKED, PLAIN, RUN, NativeBatchOpener, PortableBatchOpener, batch_opener
from vault.crypto.suites import AEGIS_256, AES_256_GCM, SUITES, XCHACHA20_POLY1305
from vault.errors import IntegrityFailedError

VAULT_ID = b"v" * 16
CUSTOMERS = 4
built = pytest.mark.skipif(not batches.LIBRARY.exists(), reason="no C compiler was there at installation")


@pytest.fixture(scope="module")
def memory() -> Iterator[hazmat.GuardedMemory]:
    memory = hazmat.GuardedMemory(32 * CUSTOMERS)
    memory.fill_random(0, 32 * CUSTOMERS)
    yield memory
    memory.free()


def native(suite: int) -> NativeBatchOpener:
    opener = batch_opener(suite, VAULT_ID)
    assert isinstance(opener, NativeBatchOpener)
    return opener


def key_of(customer: int, value_no: int) -> bytes:
    return bytes((1,)) + customer.to_bytes(5, "big") + value_no.to_bytes(3, "big")


def record(
    memory: hazmat.GuardedMemory,
    customer: int,
    value_no: int,
    text: bytes,
    *,
    suite: int = XCHACHA20_POLY1305,
    field_class: int = 1,
    flags: int = 0,
    generation: int = 1,
    expires_s: int = 0,
) -> bytes:
    header = bytes((suite, field_class, flags)) + (1).to_bytes(4, "big") + generation.to_bytes(2, "big")
    header += expires_s.to_bytes(4, "big")
    aad = VAULT_ID + key_of(customer, value_no) + header
    return header + hazmat.seal(suite, memory.pointer(32 * customer), text, aad)


def run(
    memory: hazmat.GuardedMemory, customer: int, end: int, *, generation: int = 1, table: int = 0
) -> bytes:
    return RUN.pack(hazmat.address_of(memory.pointer(32 * customer)), end, generation, table)


TABLE = bytes((0, PLAIN, MASKED, 45)) + bytes(252)


@built
@pytest.mark.parametrize("suite", SUITES)
def test_a_batch_opens(memory: hazmat.GuardedMemory, suite: int) -> None:
    if suite == AES_256_GCM and not hazmat.AES_GCM_AVAILABLE:
        pytest.skip("this CPU has no AES instructions")
    keys = [key_of(0, 1), key_of(0, 2), key_of(1, 1)]
    texts = [b"Ada", "Zoë".encode(), b""]
    sealed = [
        record(memory, key[5], key[8], text, suite=suite, field_class=number % 2 + 1)
        for number, (key, text) in enumerate(zip(keys, texts, strict=True))
    ]
    runs = run(memory, 0, 2) + run(memory, 1, 3)
    items, plain = native(suite).open(keys, sealed, runs, TABLE)
    assert plain == b"Ada\0Zo\xc3\xab\0"
    assert items == bytes((0, 0, 1, 1, PLAIN, 0, 0, 2, 2, MASKED, 0, 0, 1, 1, PLAIN))
    assert PortableBatchOpener(suite, VAULT_ID).open(keys, sealed, runs, TABLE) == (items, plain)


ODD_RECORDS = st.sampled_from(
    (
        "good",
        "missing",
        "short",
        "flipped",
        "suite",
        "flags",
        "generation",
        "expiry",
        "denied",
        "zero",
        "moved",
    )
)


@built
@given(
    kinds=st.lists(
        st.tuples(ODD_RECORDS, st.integers(0, CUSTOMERS - 1), st.binary(max_size=40)), max_size=30
    ),
    at=st.integers(0, 2**16),
)
def test_both_loops_agree_on_records_of_every_kind(
    memory: hazmat.GuardedMemory, kinds: list[tuple[str, int, bytes]], at: int
) -> None:
    keys, sealed, runs = [], [], []
    for number, (kind, customer, text) in enumerate(kinds, 1):
        changes = {
            "suite": {"suite": AEGIS_256},
            "flags": {"flags": 1},
            "generation": {"generation": 2},
            "expiry": {"expires_s": 1},
            "denied": {"field_class": 3},
        }.get(kind, {})
        text = text.replace(b"\0", b" ") + b"\0" * (kind == "zero")
        made = record(memory, customer, number + (kind == "moved"), text, **changes)
        if kind == "missing":
            made = b""
        elif kind == "short":
            made = made[: at % 53]
        elif kind == "flipped":
            bit = at % (8 * len(made))
            made = bytearray(made)
            made[bit // 8] ^= 1 << bit % 8
            made = bytes(made)
        keys.append(key_of(customer, number))
        sealed.append(made)
        runs.append(run(memory, customer, number, table=number % 2))
    given_ = keys, sealed, b"".join(runs), TABLE + bytes((MASKED,)) * 256
    items, plain = native(XCHACHA20_POLY1305).open(*given_)
    assert PortableBatchOpener(XCHACHA20_POLY1305, VAULT_ID).open(*given_) == (items, plain)
    for (kind, _, text), opened, outcome in zip(kinds, plain.split(b"\0"), items[4::5], strict=False):
        assert bool(outcome) == (kind == "good" or (kind == "denied" and outcome == MASKED))
        if kind == "good":
            assert opened == text.replace(b"\0", b" ")


@built
def test_a_batch_larger_than_the_buffers(memory: hazmat.GuardedMemory) -> None:
    text = os.urandom(60_000).replace(b"\0", b"1")
    keys = [key_of(0, number) for number in range(1, 21)]
    sealed = [record(memory, 0, number, text) for number in range(1, 21)]
    items, plain = native(XCHACHA20_POLY1305).open(keys, sealed, run(memory, 0, 20), TABLE)
    assert plain.split(b"\0") == [text] * 20
    assert len(items) == 100


@built
def test_runs_that_do_not_fit_the_records_are_refused(memory: hazmat.GuardedMemory) -> None:
    keys, sealed = [key_of(0, 1)], [record(memory, 0, 1, b"Ada")]
    for end in (0, 2):
        with pytest.raises(IntegrityFailedError):
            native(XCHACHA20_POLY1305).open(keys, sealed, run(memory, 0, end), TABLE)


def test_without_the_library_the_reference_is_used(tmp_path: Path) -> None:
    assert isinstance(batch_opener(XCHACHA20_POLY1305, VAULT_ID, tmp_path / "none.so"), PortableBatchOpener)
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"\x7fELF")
    assert isinstance(batch_opener(XCHACHA20_POLY1305, VAULT_ID, damaged), PortableBatchOpener)
