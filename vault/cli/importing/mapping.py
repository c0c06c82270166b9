"""Builds the plan from a preset, a mapping file and options; the later of them wins.

A mapping file is TOML, every key optional:

    id = "Record ID"
    jurisdiction = "DE"                  # or: jurisdiction_column = "Country Code"
    unmapped = "refuse"                  # or "keep", "drop"
    keep = ["Lifecycle Stage"]           # columns to copy as they are
    tokenize_id = false

    [columns]
    "Email" = "email"
    "Mobile Phone Number" = "phone:mobile"
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from customervault.tables.plan import Place, Plan, Unmapped

from vault.cli.exits import UsageError
from vault.cli.importing.plan import checked_jurisdiction, parse_maps, parse_place
from vault.cli.importing.presets import PRESETS

_KEYS = {
    "id": str,
    "jurisdiction": str,
    "jurisdiction_column": str,
    "unmapped": str,
    "keep": list,
    "tokenize_id": bool,
    "columns": dict,
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line said; empty where it said nothing."""

    id_column: str = ""
    maps: Sequence[str] = ()
    jurisdiction: str = ""
    jurisdiction_column: str = ""
    unmapped: Unmapped | None = None
    tokenize_id: bool = False
    preset: str = ""
    mapping_file: Path | None = None


def make_plan(choices: Choices) -> Plan:
    """Joins preset, mapping file and options.

    Raises:
        UsageError: Something is malformed, contradicts itself, or no id column is named.
    """
    preset = _preset(choices.preset)
    document = _read(choices.mapping_file) if choices.mapping_file else {}
    explicit = _columns(document) | parse_maps(choices.maps)
    chosen_id = choices.id_column or str(document.get("id", ""))
    id_columns = (chosen_id,) if chosen_id else preset.id_columns
    if not id_columns:
        raise UsageError("name the column that holds your own id of a customer: --id COLUMN")
    jurisdiction, jurisdiction_column = _jurisdiction(choices, document)
    return Plan(
        id_columns=id_columns,
        columns={**preset.columns, **explicit},
        optional=frozenset(preset.columns.keys() - explicit.keys()),
        kept=(preset.kept | frozenset(_names(document, "keep"))) - explicit.keys(),
        unmapped=choices.unmapped or _unmapped(document),
        jurisdiction=jurisdiction,
        jurisdiction_column=jurisdiction_column,
        tokenize_id=choices.tokenize_id or bool(document.get("tokenize_id", False)),
    )


def _preset(name: str) -> Plan:
    if name and name not in PRESETS:
        raise UsageError(f"no preset of that name; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name] if name else Plan((), {})


def _read(path: Path) -> Mapping[str, object]:
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the mapping file {path} cannot be read") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    for key, content in document.items():
        if key not in _KEYS:
            raise UsageError(f"{path}: unknown key {key!r}; known: {', '.join(sorted(_KEYS))}")
        if not isinstance(content, _KEYS[key]):
            raise UsageError(f"{path}: {key} has the wrong type")
    return document


def _columns(document: Mapping[str, object]) -> dict[str, Place]:
    table = document.get("columns", {})
    columns = {}
    for column, place in table.items() if isinstance(table, dict) else ():
        if not isinstance(place, str):
            raise UsageError(f'columns.{column}: has to be text, "CLASS" or "CLASS:LABEL"')
        columns[column] = parse_place(place)
    return columns


def _jurisdiction(choices: Choices, document: Mapping[str, object]) -> tuple[str, str]:
    given = (choices.jurisdiction, choices.jurisdiction_column)
    fixed, column = (
        given
        if any(given)
        else (str(document.get("jurisdiction", "")), str(document.get("jurisdiction_column", "")))
    )
    if fixed and column:
        raise UsageError("a jurisdiction for every row or a column that holds it: give one of them")
    return checked_jurisdiction(fixed), column


def _unmapped(document: Mapping[str, object]) -> Unmapped:
    text = document.get("unmapped", Unmapped.REFUSE.value)
    try:
        return Unmapped(text)
    except ValueError:
        raise UsageError('unmapped has to be "refuse", "keep" or "drop"') from None


def _names(document: Mapping[str, object], key: str) -> list[str]:
    names = document.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{key} has to be a list of column names")
    return names
