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
from customervault.tables.target import Refusal, StoredField, StoredRow

if TYPE_CHECKING:
    from customervault import Vault, VaultError
    from customervault.results import Tokenized

_EMPTY = StoredField("empty")
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
        from customervault import Entry, Field

        entries = [
            Entry(
                record.external_id,
                [
                    Field(place.field_class, value, place.label)
                    for place, value in zip(places, record.values, strict=True)
                    if value
                ],
                record.jurisdiction,
            )
            for record in records
        ]
        answers = self._vault.tokenize_many(entries, domain=self._domain or None, request_id=request_id)
        return [_stored(record, answer) for record, answer in zip(records, answers, strict=True)]


def _stored(record: Record, answer: "Tokenized") -> StoredRow:
    if answer.error is not None:
        return StoredRow(refusal=_refusal(answer.error))
    results = iter(answer.results)
    fields = []
    for value in record.values:
        if not value:
            fields.append(_EMPTY)
            continue
        _, _, outcome, token, error = next(results)
        fields.append(StoredField(outcome, token, None if error is None else _refusal(error)))
    return StoredRow(answer.customer_token, answer.created, fields)


def _refusal(error: "VaultError") -> Refusal:
    return Refusal(error.reason, error.message)
