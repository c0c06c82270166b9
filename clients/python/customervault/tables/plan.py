"""A plan: which column of a file becomes what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Unmapped(Enum):
    """What happens to columns that the plan does not name."""

    REFUSE = "refuse"
    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the values of a column go."""

    field_class: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.field_class}:{self.label}" if self.label else self.field_class


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what becomes of a row whose values are stored.

    Attributes:
        id_columns: Candidates for the column of external ids; the first that the file has is used.
        columns: Columns whose cells are stored and replaced by tokens.
        optional: Those of `columns` that the file may lack.
        kept: Columns known to hold no personal data; copied as they are.
        unmapped: What happens to all other columns.
        jurisdiction: ISO 3166-1 alpha-2, for every row.
        jurisdiction_column: Holds it row by row instead; copied as it is.
        tokenize_id: Put the customer's token in place of the external id.
    """

    id_columns: tuple[str, ...]
    columns: Mapping[str, Place]
    optional: frozenset[str] = frozenset()
    kept: frozenset[str] = field(default_factory=frozenset)
    unmapped: Unmapped = Unmapped.REFUSE
    jurisdiction: str = ""
    jurisdiction_column: str = ""
    tokenize_id: bool = False

    def describe(self) -> dict[str, object]:
        """The plan as JSON; the same plan always gives the same."""
        return {
            "id": list(self.id_columns),
            "columns": {name: str(place) for name, place in sorted(self.columns.items())},
            "kept": sorted(self.kept),
            "unmapped": self.unmapped.value,
            "jurisdiction": self.jurisdiction,
            "jurisdiction_column": self.jurisdiction_column,
            "tokenize_id": self.tokenize_id,
        }


@dataclass(frozen=True, slots=True)
class TokenColumns:
    """A plan of reading: the columns whose cells are tokens. All others are copied as they are."""

    columns: tuple[str, ...]
