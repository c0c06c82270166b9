"""Rows go nowhere: every value is checked as the vault would check it."""

from collections.abc import Mapping, Sequence

from customervault.tables.plan import Place
from customervault.tables.source import Record
from customervault.tables.target import Refusal, StoredField, StoredRow

from vault.cli.exits import UsageError, message_of
from vault.errors import InvalidValueError
from vault.fields import EXTERNAL_ID, FieldCatalog, FieldClass, prepare

_EMPTY = StoredField("empty")
_ACCEPTED = StoredField("created")


class DryRun:
    """Checks values against a catalog of field classes."""

    def __init__(self, catalog: FieldCatalog, places: Sequence[Place]) -> None:
        """Looks up the classes.

        Raises:
            UsageError: One is not declared.
        """
        known = [name for name in catalog.names if name != EXTERNAL_ID]
        for place in places:
            if place.field_class not in known:
                raise UsageError(f"no field class {place.field_class}; there are {', '.join(known)}")
        self._classes: Mapping[Place, FieldClass] = {
            place: catalog.get(place.field_class) for place in places
        }

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Checks the values of all records."""
        del request_id  # nothing is written that could be repeated
        return [StoredRow(fields=self._check(record, places)) for record in records]

    def _check(self, record: Record, places: Sequence[Place]) -> list[StoredField]:
        fields = []
        for place, value in zip(places, record.values, strict=True):
            if not value:
                fields.append(_EMPTY)
                continue
            try:
                prepare(self._classes[place], value, record.jurisdiction)
            except InvalidValueError as error:
                refusal = Refusal(error.reason.value, message_of(error))
                fields.append(StoredField("refused", refusal=refusal))
            else:
                fields.append(_ACCEPTED)
        return fields
