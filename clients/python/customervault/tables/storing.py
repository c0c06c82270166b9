"""Rows go to the vault.

A batch may travel as several requests at the same time. The rows of one customer then always go in the
same request, in their order, and each request has an id of its own that derives from the batch's: a
batch that is repeated repeats its requests to the byte.
"""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from customervault.tables.plan import Place
from customervault.tables.source import Record
from customervault.tables.target import StoredRow

if TYPE_CHECKING:
    from customervault import Vault

_MOST_ROWS = 1000  # entries that the vault takes in one request by default


class Storing:
    """Stores rows through a client."""

    def __init__(self, vault: "Vault", domain: str, requests: int = 1) -> None:
        self._vault = vault
        self._domain = domain
        self._requests = requests

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Sends the values that are there; empty cells are not sent.

        Raises:
            customervault.VaultError: A request failed as a whole.
        """
        if self._requests == 1:
            return self._send(records, places, request_id)
        shares: list[list[int]] = [[] for _ in range(self._requests)]
        for at, record in enumerate(records):
            shares[zlib.crc32(record.external_id.encode()) % self._requests].append(at)

        def send(number: int) -> list[StoredRow]:
            """One share, in as many requests as the vault's limit asks for, one after the other."""
            rows: list[StoredRow] = []
            for piece in range(0, len(shares[number]), _MOST_ROWS):
                chosen = [records[at] for at in shares[number][piece : piece + _MOST_ROWS]]
                rows += self._send(chosen, places, str(uuid5(UUID(request_id), f"{number}/{piece}")))
            return rows

        with ThreadPoolExecutor(self._requests, thread_name_prefix="storing") as pool:
            answers = list(pool.map(send, range(self._requests)))
        placed = {
            at: row
            for share, rows in zip(shares, answers, strict=True)
            for at, row in zip(share, rows, strict=True)
        }
        return [placed[at] for at in range(len(records))]

    def _send(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        from customervault.tables.rows import row_exchanges

        vault = self._vault
        return vault._run_in_turn(
            row_exchanges(
                records,
                places,
                domain=self._domain or vault._config.domain,
                request_id=request_id,
                max_batch=vault._config.max_batch,
            )
        )
