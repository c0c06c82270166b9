"""Administrative rows (names, principals, policies, requests, erasures): body | mac 16.

The MAC is keyed by the vault's `row-mac` secret and covers vault id | table | 0 | key | 0 | body, so
a row that was changed, moved to another key or copied from another vault is refused: one flipped
bit never grants a permission.
"""

from typing import Protocol

from vault.core.secrets import VaultSecrets
from vault.crypto.hazmat import constant_time_equal
from vault.errors import IntegrityFailedError

MAC_BYTES = 16


class RowReader(Protocol):
    """A snapshot or a write session."""

    def row(self, table: str, key: bytes) -> bytes | None:
        """The bytes at `key` of a table."""


class RowWriter(RowReader, Protocol):
    """A write session."""

    def put_row(self, table: str, key: bytes, value: bytes) -> None:
        """Writes one row."""


class Rows:
    """Reads and writes administrative rows."""

    def __init__(self, secrets: VaultSecrets, vault_id: bytes) -> None:
        self._secrets = secrets
        self._vault_id = vault_id

    def get(self, reader: RowReader, table: str, key: bytes) -> bytes | None:
        """The body of a row, or None where there is none.

        Raises:
            IntegrityFailedError: the row fails its MAC.
        """
        row = reader.row(table, key)
        return None if row is None else self.open(table, key, row)

    def open(self, table: str, key: bytes, row: bytes) -> bytes:
        """The body of a row that was read by a scan.

        Raises:
            IntegrityFailedError: the row fails its MAC.
        """
        body, mac = row[:-MAC_BYTES], row[-MAC_BYTES:]
        if not constant_time_equal(mac, self._mac(table, key, body)):
            raise IntegrityFailedError
        return body

    def put(self, writer: RowWriter, table: str, key: bytes, body: bytes) -> None:
        """Writes a row with its MAC."""
        writer.put_row(table, key, body + self._mac(table, key, body))

    def _mac(self, table: str, key: bytes, body: bytes) -> bytes:
        return self._secrets.row_mac(self._vault_id + table.encode() + b"\0" + key + b"\0" + body)
