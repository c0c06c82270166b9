import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.keys.conftest import VAULT_ID
from vault.crypto.hazmat import GuardedMemory
from vault.errors import IntegrityFailedError
from vault.keys.keyring import Keyring
from vault.model.ids import MAX_CUSTOMER_NO, Epoch

OWNER = (1, 7, 1)  # region, customer, generation
ROW_BYTES = 81


def opened(keyring: Keyring, row: bytes, owner: tuple[int, int, int] = OWNER) -> bytes:
    memory = GuardedMemory(32)
    try:
        keyring.unwrap_dek(row, *owner, memory.pointer())
        return bytes(memory.view(0, 32))
    finally:
        memory.free()


@pytest.fixture
def dek(guarded) -> GuardedMemory:
    return guarded()


@pytest.fixture
def row(keyring, dek) -> bytes:
    return keyring.wrap_dek(dek.pointer(), *OWNER)


def test_a_dek_comes_back_as_it_was(keyring, dek, row):
    assert len(row) == ROW_BYTES
    assert opened(keyring, row) == bytes(dek.view(0, 32))


def test_a_row_shows_nothing_of_the_dek(dek, row):
    assert bytes(dek.view(0, 8)) not in row


def test_wrapping_twice_gives_two_rows_that_both_open(keyring, dek, row):
    again = keyring.wrap_dek(dek.pointer(), *OWNER)
    assert again != row
    assert opened(keyring, again) == opened(keyring, row)


@pytest.mark.parametrize("other", [(2, 7, 1), (1, 8, 1), (1, 7, 2), (1, MAX_CUSTOMER_NO, 1)])
def test_a_row_of_another_region_customer_or_generation_does_not_open(keyring, row, other):
    with pytest.raises(IntegrityFailedError):
        opened(keyring, row, other)


def test_a_row_of_another_epoch_does_not_open_even_under_the_same_key(guarded, dek):
    edk = guarded()
    row = Keyring(edk, VAULT_ID, Epoch(1)).wrap_dek(dek.pointer(), *OWNER)
    with pytest.raises(IntegrityFailedError):
        opened(Keyring(edk, VAULT_ID, Epoch(2)), row)


def test_a_row_of_another_vault_does_not_open_even_under_the_same_key(guarded, dek):
    edk = guarded()
    row = Keyring(edk, VAULT_ID, Epoch(1)).wrap_dek(dek.pointer(), *OWNER)
    with pytest.raises(IntegrityFailedError):
        opened(Keyring(edk, bytes(16), Epoch(1)), row)


def test_a_row_under_another_key_does_not_open(guarded, row):
    with pytest.raises(IntegrityFailedError):
        opened(Keyring(guarded(), VAULT_ID, Epoch(1)), row)


def test_a_change_of_any_single_bit_is_found(keyring, row):
    for bit in range(len(row) * 8):
        changed = bytearray(row)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityFailedError):
            opened(keyring, bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 9, 33, ROW_BYTES - 1, ROW_BYTES + 1])
def test_a_row_of_another_length_is_found(keyring, row, length):
    with pytest.raises(IntegrityFailedError):
        opened(keyring, (row + b"x")[:length])


@given(name=st.text(max_size=20), secret=st.binary(max_size=200))
def test_secrets_come_back_under_their_own_name_only(name, secret):
    edk = GuardedMemory(32)
    edk.fill_random(0, 32)
    try:
        keyring = Keyring(edk, VAULT_ID, Epoch(1))
        row = keyring.wrap_secret(name, secret)
        assert keyring.unwrap_secret(name, row) == secret
        with pytest.raises(IntegrityFailedError):
            keyring.unwrap_secret(name + "x", row)
    finally:
        edk.free()


def test_a_dek_row_is_never_taken_for_a_secret(keyring, row):
    with pytest.raises(IntegrityFailedError):
        keyring.unwrap_secret("dek", row)
