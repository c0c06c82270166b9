import pytest

from tests.unit.core.conftest import RAW_SECRETS, VAULT_ID
from vault.core.rows import MAC_BYTES, Rows
from vault.core.secrets import ROW_MAC, VaultSecrets
from vault.errors import IntegrityFailedError

BODY = b'{"id":1,"revoked_ms":0}'


@pytest.fixture
def stored(rows, tables) -> bytes:
    rows.put(tables, "principals", b"crm", BODY)
    return tables.held["principals", b"crm"]


def test_a_row_comes_back_as_it_was(rows, tables, stored):
    assert rows.get(tables, "principals", b"crm") == BODY
    assert rows.get(tables, "principals", b"other") is None


def test_one_flipped_bit_anywhere_is_found(rows, stored):
    for bit in range(len(stored) * 8):
        changed = bytearray(stored)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityFailedError):
            rows.open("principals", b"crm", bytes(changed))


@pytest.mark.parametrize(
    "place", [("principals", b"crn"), ("names", b"crm"), ("", b"crm"), ("principals", b"")]
)
def test_a_row_moved_to_another_key_or_table_is_found(rows, stored, place):
    with pytest.raises(IntegrityFailedError):
        rows.open(*place, stored)


@pytest.mark.parametrize("length", [0, 1, MAC_BYTES - 1, MAC_BYTES])
def test_a_row_too_short_to_be_one_is_found(rows, stored, length):
    with pytest.raises(IntegrityFailedError):
        rows.open("principals", b"crm", stored[:length])


def test_a_row_of_another_vault_is_found(secrets, stored):
    with pytest.raises(IntegrityFailedError):
        Rows(secrets, VAULT_ID[::-1]).open("principals", b"crm", stored)


def test_a_row_made_without_the_vaults_secret_is_found(stored):
    stranger = VaultSecrets(RAW_SECRETS | {ROW_MAC: bytes(32)})
    with pytest.raises(IntegrityFailedError):
        Rows(stranger, VAULT_ID).open("principals", b"crm", stored)
    stranger.close()
