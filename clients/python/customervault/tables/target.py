"""Where rows go. Everything else of a table job knows only this."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from customervault.tables.plan import Place
from customervault.tables.source import Record

# What became of one value: what storing did (unknown: a newer vault says), or how it was opened.
Outcome = Literal["created", "unchanged", "updated", "empty", "refused", "unknown", "plain", "masked"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row or a value was not stored; texts of the vault, which never hold the value."""

    reason: str
    message: str


class StoredField(NamedTuple):
    """What became of one cell; `token`, or the opened value, takes its place."""

    outcome: Outcome
    token: str = ""
    refusal: Refusal | None = None

    def __repr__(self) -> str:
        return f"<{self.outcome} cell>"


class PlainCells(NamedTuple):
    """What became of the cells of a row of which none was refused; rows alike share the outcomes."""

    outcomes: tuple[Outcome, ...]
    tokens: Sequence[str]

    def __repr__(self) -> str:
        return f"<{len(self.outcomes)} cells>"


class StoredRow(NamedTuple):
    """What became of one row.

    Attributes:
        customer_token: Empty when the row was refused.
        created: The customer is new.
        fields: One for each value of the record, unless `plain` says it.
        refusal: Set when the row as a whole was refused.
        plain: What became of all values of a row that was stored without a refusal.
    """

    customer_token: str = ""
    created: bool = False
    fields: Sequence[StoredField] = ()
    refusal: Refusal | None = None
    plain: PlainCells | None = None

    def __repr__(self) -> str:
        return "<stored row>" if self.refusal is None else "<refused row>"


class Target(Protocol):
    """Stores rows. Called from several threads at once, never with one customer in two calls."""

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Stores all records and answers in their order.

        The same `request_id` always comes with the same records, and may come again.
        """
