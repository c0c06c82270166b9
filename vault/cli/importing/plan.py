"""Reads the parts of a plan from a command line."""

from collections.abc import Iterable

from customervault.tables.plan import Place

from vault.cli.exits import UsageError
from vault.model.ids import is_jurisdiction, is_label, is_name


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
