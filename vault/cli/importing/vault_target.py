"""Rows go to the vault."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vault.cli.exits import message_of, reason_of
from vault.cli.importing.plan import Place
from vault.cli.importing.source import Record
from vault.cli.importing.target import Refusal, StoredField, StoredRow
from vault.model.requests import Outcome

if TYPE_CHECKING:
    from customervault import Vault, VaultError
    from customervault.results import Tokenized

_EMPTY = StoredField(Outcome.EMPTY)
_OUTCOMES = {outcome.name.lower(): outcome for outcome in Outcome}


class VaultTarget:
    """Stores rows through a client, one request a batch."""

    def __init__(self, vault: "Vault", domain: str) -> None:
        self._vault = vault
        self._domain = domain

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Sends the values that are there; empty cells are not sent.

        Raises:
            customervault.VaultError: The batch as a whole failed.
        """
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
        result = next(results)
        refusal = _refusal(result.error) if result.error is not None else None
        fields.append(StoredField(_OUTCOMES[result.outcome], result.token, refusal))
    return StoredRow(answer.customer_token, answer.created, fields)


def _refusal(error: "VaultError") -> Refusal:
    return Refusal(reason_of(error), message_of(error))
