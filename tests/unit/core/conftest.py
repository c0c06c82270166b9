"""The vault's own secrets, and tables in memory for what needs rows but no store."""

from collections.abc import Iterator

import pytest

from vault.core.rows import Rows
from vault.core.secrets import CA_KEY, REQUEST_MAC, ROW_MAC, SIGNING_KEY, VaultSecrets

VAULT_ID = bytes(range(16))
NAMES = ("token-key/1", SIGNING_KEY, ROW_MAC, REQUEST_MAC)
RAW_SECRETS = {name: bytes([number]) * 32 for number, name in enumerate(NAMES, 1)} | {CA_KEY: b"pem"}


class Tables:
    """Rows in a dictionary; what `Rows` asks of a write session."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, bytes], bytes] = {}

    def row(self, table: str, key: bytes) -> bytes | None:
        return self.held.get((table, key))

    def put_row(self, table: str, key: bytes, value: bytes) -> None:
        self.held[table, key] = value


@pytest.fixture
def secrets() -> Iterator[VaultSecrets]:
    made = VaultSecrets(RAW_SECRETS)
    yield made
    made.close()


@pytest.fixture
def rows(secrets: VaultSecrets) -> Rows:
    return Rows(secrets, VAULT_ID)


@pytest.fixture
def tables() -> Tables:
    return Tables()
