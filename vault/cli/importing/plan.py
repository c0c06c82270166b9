"""A plan: which column of a file becomes what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from vault.cli.exits import UsageError
from vault.model.ids import is_jurisdiction, is_label, is_name


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
    """Everything that decides what an import does with a row.

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


def parse_place(text: str) -> Place:
    """Reads `CLASS` or `CLASS:LABEL`.

    Raises:
        UsageError: Either is not a name.
    """
    field_class, _, label = text.partition(":")
    if not is_name(field_class):
        raise UsageError(f"{text!r} is not CLASS or CLASS:LABEL: a class is written like birth_date")
    if not is_label(label):
        raise UsageError(f"{text!r}: a label is at most 32 of a-z, 0-9, _ and -")
    return Place(field_class, label)


def parse_maps(texts: Iterable[str]) -> dict[str, Place]:
    """Reads `--map COLUMN=CLASS[:LABEL]` options. The column may itself hold `=`.

    Raises:
        UsageError: One is malformed, or a column stands there twice.
    """
    columns: dict[str, Place] = {}
    for text in texts:
        column, separator, place = text.rpartition("=")
        if not separator or not column:
            raise UsageError(f"--map {text!r} is not COLUMN=CLASS[:LABEL]")
        if column in columns:
            raise UsageError(f"--map names the column {column!r} twice")
        columns[column] = parse_place(place)
    return columns


def checked_jurisdiction(text: str) -> str:
    """An ISO 3166-1 alpha-2 code in capitals, or the empty text.

    Raises:
        UsageError: It has another form.
    """
    code = text.upper()
    if code and not is_jurisdiction(code):
        raise UsageError("a jurisdiction is a country code of two letters, such as DE")
    return code
