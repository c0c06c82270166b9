"""What a caller wants stored, where it comes in columns: checked before any lock is taken.

What is checked, and what comes of it, is what `fieldinput.prepare_entry` makes of each entry; that is the
reference. A column of names or addresses is prepared as one text, and an entry without anything unusual keeps
its values in lists, with nothing made for each of them.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from vault.config import Limits
from vault.core.fieldinput import (
    PlainFields,
    PreparedEntry,
    PreparedField,
    Shape,
    class_of_field,
    named_entry,
    prepare_text,
    refuse_repeated,
)
from vault.core.turn import Turn
from vault.errors import VaultError
from vault.fields.columns import prepare_column
from vault.fields.field_class import FieldCatalog, FieldClass
from vault.model.columns import APART, EntryColumns
from vault.model.requests import CustomerRef
from vault.model.secret import Secret

_VALUES_A_TURN: Final = 128
_NOTHING: Final = b""

_Form = bytes | VaultError
"""Stored form of a value, or what refuses it."""


def prepare_columns(
    columns: EntryColumns, catalog: FieldCatalog, limits: Limits, turn: Turn
) -> list[PreparedEntry]:
    """Validates all entries; what is wrong is kept with the entry or the field that it concerns."""
    jurisdictions = columns.jurisdictions.split(APART)
    hints = _hints(columns, jurisdictions)
    stored, normalized = list[list[_Form]](), list[list[bytes]]()
    for place, joined, hint in zip(columns.places, columns.columns, hints, strict=True):
        forms, compared = _Column(place, catalog, limits, turn).prepare(joined, hint)
        stored.append(forms)
        normalized.append(compared)
    with turn.ordinary():
        entries = _Entries(columns, columns.ordered(stored), columns.ordered(normalized))
    names = zip(columns.external_ids.split(APART), jurisdictions, columns.spans, strict=True)
    return turn.each(entries.entry, list(names))


def _hints(columns: EntryColumns, jurisdictions: Sequence[str]) -> Sequence[Sequence[str] | None]:
    """The jurisdiction of each value of each column; None where no entry has any."""
    if not any(jurisdictions):
        return [None] * len(columns.places)
    hints: list[list[str]] = [[] for _ in columns.places]
    for jurisdiction, (start, end) in zip(jurisdictions, columns.spans, strict=True):
        for place in columns.at[start:end]:
            hints[place].append(jurisdiction)
    return hints


class _Column:
    """Prepares the values of one place."""

    def __init__(self, place: tuple[str, str], catalog: FieldCatalog, limits: Limits, turn: Turn) -> None:
        self._limits = limits
        self._turn = turn
        self._error: VaultError | None = None
        self._class: FieldClass | None = None
        try:
            self._class = class_of_field(*place, catalog)
        except VaultError as error:
            self._error = error

    def prepare(self, joined: str, hints: Sequence[str] | None) -> tuple[list[_Form], list[bytes]]:
        """Stored and normalized forms; of an empty value nothing."""
        with self._turn.ordinary():
            count = joined.count(APART) + 1
            if self._error is not None:
                return [self._error] * count, [_NOTHING] * count
            assert self._class is not None  # noqa: S101 - one of the two
            texts = joined.split(APART)
        stored, normalized, left = list[_Form](), list[bytes](), list[int]()
        for start in range(0, count, _VALUES_A_TURN):
            with self._turn.ordinary():
                made = prepare_column(
                    self._class, texts[start : start + _VALUES_A_TURN], self._limits.value_bytes
                )
            stored += made.stored
            normalized += made.normalized
            left += [start + at for at in made.left]
        if left:
            given = [(texts[at], hints[at] if hints else "") for at in left]
            alone = self._turn.each(self._prepare_one, given)
            for at, (form, compared) in zip(left, alone, strict=True):
                stored[at], normalized[at] = form, compared
        return stored, normalized

    def _prepare_one(self, given: tuple[str, str]) -> tuple[_Form, bytes]:
        assert self._class is not None  # noqa: S101 - see `prepare`
        try:
            stored, normalized = prepare_text(self._class, *given, self._limits)
        except VaultError as error:
            return error, _NOTHING
        return stored.encode(), normalized


class _Entries:
    """Puts entries together from their fields' forms."""

    def __init__(self, columns: EntryColumns, stored: list[_Form], normalized: list[bytes]) -> None:
        self._columns = columns
        self._stored = stored
        self._normalized = normalized
        self._all_plain = all(map(_is_plain, stored))
        self._shapes: dict[bytes, Shape | None] = {}

    def entry(self, named: tuple[str, str, tuple[int, int]]) -> PreparedEntry:
        """One entry: its external id, its jurisdiction, and which fields are its."""
        external_id, jurisdiction, (start, end) = named
        made = named_entry(CustomerRef(external_id=Secret(external_id)), jurisdiction)
        if made.error is not None:
            return made
        places = self._columns.at[start:end]
        shape = self._shapes[places] if places in self._shapes else self._shape(places)
        stored, normalized = self._stored[start:end], self._normalized[start:end]
        if shape is not None and (self._all_plain or all(map(_is_plain, stored))):
            made.plain = PlainFields(shape, stored, normalized)  # type: ignore[arg-type]  # none is an error
        else:
            made.fields = self._apart(places, stored, normalized)
        return made

    def _shape(self, places: bytes) -> Shape | None:
        """What entries with these places have in common; None where one stands twice."""
        shape = None
        if len(set(places)) == len(places):
            named = [self._columns.places[place] for place in places]
            numbered = combinations(enumerate(named), 2)
            alike = [(one, other) for (one, (a, _)), (other, (b, _)) in numbered if a == b]
            shape = Shape(named, alike)
        self._shapes[places] = shape
        return shape

    def _apart(
        self, places: bytes, stored: Sequence[_Form], normalized: Sequence[bytes]
    ) -> list[PreparedField]:
        fields = []
        for place, form, compared in zip(places, stored, normalized, strict=True):
            name, label = self._columns.places[place]
            if isinstance(form, VaultError):
                fields.append(PreparedField(label, error=form))
            else:
                fields.append(PreparedField(label, name, form, compared, None, form == _NOTHING))
        refuse_repeated(fields)
        return fields


def _is_plain(form: _Form) -> bool:
    return type(form) is bytes and form != _NOTHING
