"""Rows of tokens of another vault: each becomes one field whose surrogate is that token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from customervault.tables.plan import Place
from customervault.tables.source import Record
from customervault.tables.target import Refusal, StoredField, StoredRow

from vault.cli.exits import UsageError
from vault.core.surrogates import check_brought
from vault.errors import CallerError
from vault.fields import EXTERNAL_ID, FieldCatalog, prepare

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import Tokenized

_WITH_VALUE: Final = StoredField("empty")  # the token's cell counts with that of its value
_INCOMPLETE: Final = StoredRow(refusal=Refusal("INVALID_REQUEST", "value or token is empty"))


@dataclass(frozen=True, slots=True)
class ForeignToken:
    """Where a row's value and token stand among its values, and what the value is."""

    value_at: int
    token_at: int
    place: Place

    @classmethod
    def among(cls, columns: Sequence[str], value: str, token: str, place: Place) -> Self:
        """The two columns by name."""
        return cls(columns.index(value), columns.index(token), place)

    def of(self, record: Record) -> tuple[str, str]:
        """A row's value and token."""
        return record.values[self.value_at], record.values[self.token_at]

    def fields(self, stored: StoredField) -> list[StoredField]:
        """The answers for a row's two cells."""
        fields = [_WITH_VALUE, _WITH_VALUE]
        fields[self.value_at] = stored
        return fields


class ForeignCheck:
    """Rows go nowhere: each is checked as far as it can be without the vault."""

    def __init__(self, catalog: FieldCatalog, foreign: ForeignToken) -> None:
        """Looks up the class.

        Raises:
            UsageError: it is not declared.
        """
        name = foreign.place.field_class
        if name == EXTERNAL_ID or name not in catalog:
            raise UsageError(f"no field class {name}")
        self._class = catalog.get(name)
        self._foreign = foreign

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Checks the rows."""
        del places, request_id  # nothing is written
        return [self._check(record) for record in records]

    def _check(self, record: Record) -> StoredRow:
        value, token = self._foreign.of(record)
        if not value or not token:
            return _INCOMPLETE
        try:
            prepare(self._class, value, record.jurisdiction)
            check_brought(token)
        except CallerError as error:
            return StoredRow(refusal=Refusal(error.reason.value, str(error)))
        return StoredRow(fields=self._foreign.fields(StoredField("created")))


class ForeignTarget:
    """Stores rows through a client, one request a batch."""

    def __init__(self, vault: "Vault", domain: str, foreign: ForeignToken) -> None:
        self._vault = vault
        self._domain = domain
        self._foreign = foreign

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        """Sends the rows that have a value and a token.

        Raises:
            customervault.VaultError: The batch as a whole failed.
        """
        del places
        from customervault import Entry, Field

        place, whole = self._foreign.place, [record for record in records if all(self._foreign.of(record))]
        entries = []
        for record in whole:
            value, token = self._foreign.of(record)
            field = Field(place.field_class, value, place.label, token)
            entries.append(Entry(record.external_id, [field], record.jurisdiction))
        answers = iter(
            self._vault.tokenize_many(entries, domain=self._domain or None, request_id=request_id)
            if entries
            else ()
        )
        return [
            self._stored(next(answers)) if all(self._foreign.of(record)) else _INCOMPLETE
            for record in records
        ]

    def _stored(self, answer: "Tokenized") -> StoredRow:
        error = answer.error or answer.results[0].error
        if error is not None:
            return StoredRow(refusal=Refusal(error.reason, error.message))
        stored = StoredField(answer.results[0].outcome, answer.results[0].token)
        return StoredRow(answer.customer_token, answer.created, self._foreign.fields(stored))
