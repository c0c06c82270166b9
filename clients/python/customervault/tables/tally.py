"""Counts of a job, kept across interruptions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from customervault.tables.errors import TableError
from customervault.tables.target import Outcome, Refusal, StoredRow

_COUNTED: dict[Outcome, str] = {
    "created": "values_created",
    "updated": "values_updated",
    "unchanged": "values_unchanged",
    "refused": "values_refused",
    "plain": "values_plain",
    "masked": "values_masked",
}


@dataclass(slots=True)
class Tally:
    """What happened to rows, customers and values so far."""

    rows: int = 0
    rows_rejected: int = 0
    customers_created: int = 0
    values_created: int = 0
    values_updated: int = 0
    values_unchanged: int = 0
    values_refused: int = 0
    values_plain: int = 0
    values_masked: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def values(self) -> int:
        """Values that the vault holds now, or held before; of a reading, those that were opened."""
        stored = self.values_created + self.values_updated + self.values_unchanged
        return stored + self.values_plain + self.values_masked

    @property
    def clean(self) -> bool:
        """Whether nothing was rejected or refused."""
        return not (self.rows_rejected or self.values_refused)

    def add_bad_row(self, reason: str) -> None:
        """Counts a row that was rejected as a whole."""
        self.rows += 1
        self.rows_rejected += 1
        self.reasons[reason] += 1

    def add_stored(self, row: StoredRow) -> None:
        """Counts a row that was stored, at least in part, but for its values."""
        self.rows += 1
        self.customers_created += row.created

    def add_values(self, outcomes: Iterable[Outcome], refusals: Iterable[Refusal], rows: int = 1) -> None:
        """Counts what became of the values of so many rows alike, and why some were refused."""
        for outcome, count in Counter(outcomes).items():
            name = _COUNTED.get(outcome)
            if name is not None:
                setattr(self, name, getattr(self, name) + count * rows)
        self.reasons.update([each.reason for each in refusals])

    def as_json(self) -> dict[str, object]:
        """All counts by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, document: object) -> "Tally":
        """The counts of a state file.

        Raises:
            TableError: They are damaged.
        """
        names: Sequence[str] = [each.name for each in fields(cls)]
        if not isinstance(document, dict) or set(document) != set(names):
            raise TableError("the state of the interrupted run is damaged; start over with --no-resume")
        counts = {name: document[name] for name in names if name != "reasons"}
        return cls(**counts, reasons=Counter(document["reasons"]))
