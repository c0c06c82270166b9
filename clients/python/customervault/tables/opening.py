"""Tokens go to the vault, what they stand for comes back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from customervault.tables.plan import Place
from customervault.tables.source import Record
from customervault.tables.target import Refusal, StoredField, StoredRow

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.values import Reveal, Value

_EMPTY = StoredField("empty")


class Opening:
    """Opens tokens through a client, which sends a batch as several requests over its connections."""

    def __init__(self, vault: "Vault", purpose: str | None, reveal: "Reveal") -> None:
        self._vault = vault
        self._purpose = purpose
        self._reveal = reveal

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Opens every token that is there; empty cells stay empty.

        Raises:
            customervault.VaultError: The call as a whole failed.
        """
        del places, request_id  # a token says what it stands for, and reading changes nothing
        tokens = [token for record in records for token in record.values if token]
        if not tokens:
            return [StoredRow(fields=[_EMPTY] * len(record.values)) for record in records]
        values = iter(self._vault.detokenize(tokens, purpose=self._purpose, reveal=self._reveal))
        return [
            StoredRow(fields=[_opened(next(values)) if token else _EMPTY for token in record.values])
            for record in records
        ]


def _opened(value: "Value") -> StoredField:
    if value.error is not None:
        return StoredField("refused", refusal=Refusal(value.error.reason, value.error.message))
    return StoredField(value.reveal_level or "masked", value.get())
