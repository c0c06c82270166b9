"""Where rows go. Everything else of an import knows only this."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vault.cli.importing.plan import Place
from vault.cli.importing.source import Record
from vault.model.requests import Outcome


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row or a value was not stored; texts of the vault, which never hold the value."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class StoredField:
    """What became of one value; the token is empty unless it is held now."""

    outcome: Outcome
    token: str = ""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class StoredRow:
    """What became of one row.

    Attributes:
        customer_token: Empty when the row was refused.
        created: The customer is new.
        fields: One for each value of the record.
        refusal: Set when the row as a whole was refused.
    """

    customer_token: str = ""
    created: bool = False
    fields: Sequence[StoredField] = ()
    refusal: Refusal | None = None


class ImportTarget(Protocol):
    """Stores rows. Called from several threads at once, never with one customer in two calls."""

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Stores all records and answers in their order.

        The same `request_id` always comes with the same records, and may come again.
        """
