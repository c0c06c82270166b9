"""A customer at work in a write session: what its row and sheet say, changed in memory until `Book.save`."""

from dataclasses import dataclass, field, replace

from vault.errors import LimitExceededError
from vault.keys.opendek import OpenDek
from vault.model.consent import ConsentState
from vault.model.ids import CustomerNo
from vault.store.layout import CustomerRow, RowState
from vault.store.sheet import Sheet, SheetField, SheetSurrogate
from vault.store.terms import NO_TERMS, ROW_PURPOSES, Terms, with_row_consent

LAST_COUNTER = 2**16 - 1


@dataclass(slots=True)
class OpenCustomer:
    """One customer at work: its row as read, and the lines of its sheet, by value number."""

    number: CustomerNo
    row: CustomerRow
    external_id: bytes = field(repr=False)
    lines: dict[int, SheetField] = field(repr=False)
    past_locators: tuple[bytes, ...]
    dek: OpenDek
    counter: tuple[int, int]  # incarnation, and the next value counter in it
    terms: Terms = field(default=NO_TERMS, repr=False)
    surrogates: tuple[SheetSurrogate, ...] = ()
    before: tuple[SheetField, ...] = ()  # the lines as they were read
    created: bool = False
    changed: bool = False

    @classmethod
    def of(cls, number: CustomerNo, row: CustomerRow, sheet: Sheet, dek: OpenDek) -> "OpenCustomer":
        """A customer as it was read."""
        lines = {line.value_no: line for line in sheet.fields}
        counter = (row.counter_incarnation, row.next_counter)
        return cls(
            number,
            row,
            sheet.external_id,
            lines,
            sheet.past_locators,
            dek,
            counter,
            sheet.terms,
            sheet.surrogates,
            sheet.fields,
        )

    @property
    def sheet(self) -> Sheet:
        """The sheet as it is to be written, by ascending value number."""
        lines = tuple([self.lines[number] for number in sorted(self.lines)])
        return Sheet(self.external_id, lines, self.past_locators, self.terms, self.surrogates)

    def entry(self, value_no: int) -> SheetField | None:
        """The sheet's line of a value."""
        return self.lines.get(value_no)

    def put_entry(self, entry: SheetField) -> None:
        """Adds or replaces the line of a value."""
        self.lines[entry.value_no] = entry
        self.changed = True

    def drop_entry(self, value_no: int) -> None:
        """Removes the line of a value."""
        del self.lines[value_no]
        self.changed = True

    def set_terms(self, terms: Terms) -> None:
        """Replaces the terms; the row's state follows from them."""
        self.terms = terms
        self.row = replace(self.row, state=RowState.RESTRICTED if terms.closes else RowState.ACTIVE)
        self.changed = True

    def set_consent(self, purpose: int, state: ConsentState, expires_ms: int = 0) -> None:
        """What the customer says of a purpose from now on; with an end, or beyond the row, in the terms.

        Raises:
            LimitExceededError: the terms hold as many as they can.
        """
        in_row = purpose <= ROW_PURPOSES and not expires_ms
        self.terms = self.terms.with_consent(purpose, ConsentState.NONE if in_row else state, expires_ms)
        if purpose <= ROW_PURPOSES:
            said = state if in_row else ConsentState.NONE
            self.row = replace(self.row, consents=with_row_consent(self.row.consents, purpose, said))
        self.changed = True

    def take_counter(self, incarnation: int) -> int:
        """The next counter of this incarnation; `Book.save` writes how far it went.

        Raises:
            LimitExceededError: the customer's counters are used up.
        """
        if self.counter[0] != incarnation:
            self.counter = (incarnation, 1)
        counter = self.counter[1]
        if counter > LAST_COUNTER:
            raise LimitExceededError("the customer's value numbers are used up", limit="values_ever")
        self.counter = (incarnation, counter + 1)
        return counter
