"""Admits customers whom the vault does not know yet, each with all fields of an entry at once.

Nothing is held yet that a field could equal, rectify or be refused for. So what is to be stored of a customer
is only written down at first; the keys, seals and rows of all that a job admits are made together
(`newcomers`), and written together. What is stored and answered is what `tokenizing` would store and answer
field by field.

Rules:
- Customers wait until `flush`: before anything reads their rows, and before the job ends.
- Fields of one class are equal if their normalized forms are; that is what a fingerprint stands for.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vault.core.book import OpenCustomer
from vault.core.engine import Engine
from vault.core.fieldinput import EXTERNAL_ID, PreparedEntry, PreparedField, check_limit
from vault.core.newcomers import FIRST, Newcomer, NewValue, Occasion, new_value
from vault.errors import LimitExceededError, VaultError
from vault.fields.field_class import FieldClass
from vault.keys.opendek import FreshDeks
from vault.model.ids import CustomerNo
from vault.model.requests import Outcome
from vault.store.layout import customer_key
from vault.store.layout import value_no as value_no_of
from vault.store.session import WriteSession
from vault.store.sheet import MAX_LABELS, SheetField

_EMPTY: Final = int(Outcome.EMPTY)
_REFUSED: Final = int(Outcome.REFUSED)
_CREATED: Final = int(Outcome.CREATED)
_UNCHANGED: Final = int(Outcome.UNCHANGED)
_MOST_FIELDS: Final = 2**16 - 3  # beside the external id, by the value counter's two bytes
_OWN_LABELS: Final = ("",)


class _Known(NamedTuple):
    """A field class, its number, and whether anything is found by its values."""

    field_class: FieldClass
    number: int
    digested: bool


class Admitted(NamedTuple):
    """A new customer: its number, and for each field its outcome, and value number or reason."""

    number: CustomerNo
    fields: list[list[int | str]]


class Admitting:
    """The new customers of one job of one write session."""

    def __init__(
        self,
        engine: Engine,
        session: WriteSession,
        fresh: FreshDeks,
        numbers: Mapping[str, int],
        locators: list[bytes],
    ) -> None:
        """Begins with nobody.

        Args:
            engine: Of the vault.
            session: The job's.
            fresh: A slot for keys.
            numbers: Those of the field classes.
            locators: Gets each customer's name in the access log, in the order in which they come.
        """
        self._engine = engine
        self._session = session
        self._fresh = fresh
        self._numbers = numbers
        self._locators = locators
        self._known: dict[str, _Known] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._now_ms = engine.now_ms()
        self._waiting: list[Newcomer] = []
        self._named_at: list[int] = []
        self._external: dict[bytes, bytes] = {}
        self._own = self._class(EXTERNAL_ID)

    def __contains__(self, hashed: bytes) -> bool:
        """Whether the customer whose external id has this key in the index waits to be written."""
        return hashed in self._external

    def flush(self) -> None:
        """Makes and writes what waits."""
        if not self._waiting:
            return
        session = self._session
        occasion = Occasion(
            self._fresh,
            self._engine.keyrings.at(session.epoch),
            session.meta.incarnation,
            self._now_ms,
            {known.number: name.encode() + b"\0" for name, known in self._known.items()},
        )
        sealed = self._engine.newcomers.seal(self._waiting, occasion)
        session.put_customers(sealed.values, sealed.sheets, sealed.deks, sorted(self._external.items()))
        for at, locator in zip(self._named_at, sealed.locators, strict=True):
            self._locators[at] = locator
        for waiting in (self._waiting, self._named_at, self._external):
            waiting.clear()

    def open(self, entry: PreparedEntry, hashed: bytes) -> OpenCustomer:
        """A customer of nothing but the external id, written and to be saved; usable until the next one.

        Args:
            entry: names it; its fields are left to the caller.
            hashed: key of its external id in the index, which leads nowhere yet.

        Raises:
            LimitExceededError: the entry has more fields than a customer may have.
        """
        self.flush()
        self._check(entry)
        book, session = self._engine.book, self._session
        dek, external_id, number = self._fresh.next(FIRST), entry.external_id, self._own.number
        customer = book.admit(session, dek, external_id, hashed, entry.jurisdiction, self._now_ms)
        own = book.take_value_no(session, customer, self._engine.settings.limits.fields_per_customer)
        fingerprint = dek.fingerprint(b"external_id\0" + external_id)
        customer.put_entry(SheetField(own, number, fingerprint, b"", _OWN_LABELS))
        book.put_value(session, customer, own, number, external_id)
        return customer

    def store(self, entry: PreparedEntry, hashed: bytes) -> Admitted:
        """A customer with all fields, none of which wants a surrogate; arguments and errors as of `open`."""
        self._check(entry)
        session, book = self._session, self._engine.book
        number = CustomerNo(session.next_customer_no())
        own, external_id = value_no_of(session.meta.incarnation, 1), entry.external_id
        values = [NewValue(own, self._own.number, external_id, external_id, b"", _OWN_LABELS)]
        fields = self._take_all(entry.fields, values)
        self._waiting.append(Newcomer(number, entry.jurisdiction, values))
        self._external[hashed] = customer_key(book.region, number)
        self._named_at.append(len(self._locators))
        self._locators.append(b"")
        if book.search.searchable:
            book.search.follow(session, number, (), values, created=True)
        return Admitted(number, fields)

    def _check(self, entry: PreparedEntry) -> None:
        allowed = min(self._engine.settings.limits.fields_per_customer, _MOST_FIELDS)
        if len(entry.fields) >= allowed:
            raise LimitExceededError("too many fields for one customer", limit="fields_per_customer")

    def _take_all(self, fields: list[PreparedField], values: list[NewValue]) -> list[list[int | str]]:
        """Adds what is to be stored to `values`; what became of each field."""
        results: list[list[int | str]] = []
        held: dict[tuple[int, bytes], int] = {}
        next_no, labels_of = values[0].value_no + 1, self._labels
        for made in fields:
            if made.error is not None:
                results.append([_REFUSED, made.error.reason.value])
                continue
            if made.empty:
                results.append([_EMPTY, 0])
                continue
            known = self._known.get(made.field_class) or self._class(made.field_class)
            place, label = (known.number, made.normalized), made.label
            try:
                held_at = held.get(place)
                if held_at is not None:
                    results.append([_UNCHANGED, _label(values, held_at, label)])
                    continue
                digest = self._digest(values, known, made) if known.digested else b""
            except VaultError as error:
                made.error = error  # refused alone: the customer keeps the other fields
                results.append([_REFUSED, error.reason.value])
                continue
            labels = labels_of.get(label) or labels_of.setdefault(label, (label,))
            held[place] = len(values)
            values.append(new_value((next_no, known.number, made.stored, made.normalized, digest, labels)))
            results.append([_CREATED, next_no])
            next_no += 1
        return results

    def _digest(self, values: list[NewValue], known: _Known, made: PreparedField) -> bytes:
        search = self._engine.book.search
        digest = search.digest(known.field_class, made.normalized)
        search.require_room(self._session, values, known.number, digest)
        return digest

    def _class(self, name: str) -> _Known:
        engine = self._engine
        digested = name in engine.book.search.searchable.digested
        known = self._known[name] = _Known(engine.catalog.get(name), self._numbers[name], digested)
        return known


def _label(values: list[NewValue], at: int, label: str) -> int:
    """Puts a further label on a value; its number.

    Raises:
        LimitExceededError: it has as many as it can.
    """
    value = values[at]
    check_limit("labels_per_value", len(value.labels) + 1, MAX_LABELS)
    values[at] = value._replace(labels=(*value.labels, label))
    return value.value_no
