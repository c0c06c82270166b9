"""Binds a plan to the columns that one file really has.

Rule: nothing personal may slip through. Every column is either stored, known, or explicitly kept or
dropped; a mapped column that the file lacks is a misspelling until shown otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from customervault.tables.errors import TableError
from customervault.tables.plan import Place, Plan, TokenColumns, Unmapped

_SHOWN = 20  # column names in a message


@dataclass(frozen=True, slots=True)
class Layout:
    """A plan for one file.

    Attributes:
        id_column: Where the external id stands; empty when tokens are opened.
        columns: The stored columns, or those of tokens, in the order of the file.
        places: Where each of them goes.
        jurisdiction: For every row.
        jurisdiction_column: Holds it row by row; empty if none does.
        dropped: Columns that the copy leaves out.
        known: All columns seen.
        unmapped: What happens to a column that was not seen when the layout was made.
        tokenize_id: The copy holds the customer's token in place of the external id.
    """

    id_column: str
    columns: tuple[str, ...]
    places: tuple[Place, ...]
    jurisdiction: str
    jurisdiction_column: str
    dropped: frozenset[str]
    known: frozenset[str]
    unmapped: Unmapped
    tokenize_id: bool


def bind(plan: Plan | TokenColumns, header: Sequence[str]) -> Layout:
    """Fits `plan` to a file whose columns are `header`.

    Raises:
        TableError: A column is missing or unaccounted for, or two go to the same place.
    """
    if isinstance(plan, TokenColumns):
        return _bind_tokens(plan, header)
    present = frozenset(header)
    id_column = next((name for name in plan.id_columns if name in present), "")
    if not id_column:
        raise TableError(f"the file has no column {_any_of(plan.id_columns)} for the id of the customer")
    missing = [name for name in plan.columns if name not in present and name not in plan.optional]
    if plan.jurisdiction_column and plan.jurisdiction_column not in present:
        missing.append(plan.jurisdiction_column)
    if missing:
        raise TableError(f"the file has no column {_listed(missing)}; it has {_listed(header)}")
    columns = tuple(name for name in header if name in plan.columns)
    if not columns:
        raise TableError("no column is mapped to a field class: give --map COLUMN=CLASS")
    places = tuple(plan.columns[name] for name in columns)
    _refuse_shared_places(columns, places)
    accounted = {id_column, plan.jurisdiction_column, *columns, *plan.kept}
    unmapped = [name for name in header if name not in accounted]
    if unmapped and plan.unmapped is Unmapped.REFUSE:
        raise TableError(
            f"{_listed(unmapped)}: not mapped, and may hold personal data; map them with --map, "
            "or choose --keep-unmapped or --drop-unmapped"
        )
    return Layout(
        id_column=id_column,
        columns=columns,
        places=places,
        jurisdiction=plan.jurisdiction,
        jurisdiction_column=plan.jurisdiction_column,
        dropped=frozenset(unmapped if plan.unmapped is Unmapped.DROP else ()),
        known=present,
        unmapped=plan.unmapped,
        tokenize_id=plan.tokenize_id,
    )


def _bind_tokens(plan: TokenColumns, header: Sequence[str]) -> Layout:
    if not plan.columns:
        raise TableError("no column of tokens is named")
    missing = [name for name in plan.columns if name not in header]
    if missing:
        raise TableError(f"the file has no column {_listed(missing)}; it has {_listed(header)}")
    return Layout(
        id_column="",
        columns=tuple(name for name in header if name in plan.columns),
        places=(),
        jurisdiction="",
        jurisdiction_column="",
        dropped=frozenset(),
        known=frozenset(header),
        unmapped=Unmapped.KEEP,
        tokenize_id=False,
    )


def _refuse_shared_places(columns: Sequence[str], places: Sequence[Place]) -> None:
    first: dict[Place, str] = {}
    for column, place in zip(columns, places, strict=True):
        if place in first:
            raise TableError(
                f"{first[place]!r} and {column!r} both go to {place}; give each a label of its own, "
                f"for example {place.field_class}:second"
            )
        first[place] = column


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(repr(name) for name in names)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:64]) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
