"""Admits customers whom the vault does not know yet, each with all fields of an entry at once.

Nothing is held yet that a field could equal, rectify or be refused for, so its values are numbered, sealed
and written with one call for each step instead of one for each value. What is stored and answered is what
`tokenizing` would store and answer field by field.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vault.core.book import OpenCustomer
from vault.core.engine import Engine
from vault.core.fieldinput import EXTERNAL_ID, PreparedEntry, PreparedField, check_limit
from vault.errors import LimitExceededError, VaultError
from vault.fields.field_class import FieldClass
from vault.keys.opendek import FreshDeks
from vault.model.ids import Generation
from vault.model.requests import Outcome
from vault.store.session import WriteSession
from vault.store.sheet import MAX_LABELS, SheetField

_FIRST = Generation(1)
_EMPTY, _REFUSED = int(Outcome.EMPTY), int(Outcome.REFUSED)
_CREATED, _UNCHANGED = int(Outcome.CREATED), int(Outcome.UNCHANGED)


class _Known(NamedTuple):
    """A field class, its number, and what its fingerprints begin with."""

    field_class: FieldClass
    number: int
    prefix: bytes


class Admitting:
    """The new customers of one job of one write session."""

    def __init__(
        self, engine: Engine, session: WriteSession, fresh: FreshDeks, numbers: Mapping[str, int]
    ) -> None:
        """`fresh` gives their keys; `numbers` are those of the field classes."""
        self._engine = engine
        self._session = session
        self._fresh = fresh
        self._numbers = numbers
        self._known: dict[str, _Known] = {}
        self._now_ms = engine.now_ms()
        self._external_id = numbers[EXTERNAL_ID]

    def open(self, entry: PreparedEntry, hashed: bytes) -> OpenCustomer:
        """A customer of nothing but the external id; usable until the next one is opened, and to be saved.

        Args:
            entry: names it; its fields are left to the caller.
            hashed: key of its external id in the index, which leads nowhere yet.

        Raises:
            LimitExceededError: the entry has more fields than a customer may have.
        """
        customer = self._admit(entry, hashed)
        own = self._line(customer, customer.dek.fingerprint(b"external_id\0" + entry.external_id))
        book = self._engine.book
        book.put_first_values(self._session, customer, [(own, self._external_id, entry.external_id)])
        return customer

    def store(self, entry: PreparedEntry, hashed: bytes) -> tuple[OpenCustomer, list[list[int | str]]]:
        """As `open`, with all fields, none of which wants a surrogate.

        Returns:
            The customer, not yet saved, and for each field its outcome, and value number or reason.
        """
        customer, session, book = self._admit(entry, hashed), self._session, self._engine.book
        usable = [made for made in entry.fields if made.error is None and not made.empty]
        contents = [self._class(made.field_class).prefix + made.normalized for made in usable]
        prints = customer.dek.fingerprints([b"external_id\0" + entry.external_id, *contents])
        own = self._line(customer, prints[0])
        values = [(own, self._external_id, entry.external_id)]
        results: list[list[int | str]] = []
        held: dict[tuple[int, bytes], int] = {}
        each_print = iter(prints[1:])
        for made in entry.fields:
            if made.error is None and not made.empty:
                results.append(self._take(customer, made, next(each_print), held, values))
            else:
                results.append([_EMPTY, 0] if made.error is None else [_REFUSED, made.error.reason.value])
        book.put_first_values(session, customer, values)
        return customer, results

    def _admit(self, entry: PreparedEntry, hashed: bytes) -> OpenCustomer:
        engine = self._engine
        if len(entry.fields) >= engine.settings.limits.fields_per_customer:
            raise LimitExceededError("too many fields for one customer", limit="fields_per_customer")
        dek = self._fresh.next(_FIRST)
        return engine.book.admit(
            self._session, dek, entry.external_id, hashed, entry.jurisdiction, self._now_ms
        )

    def _line(self, customer: OpenCustomer, fingerprint: bytes) -> int:
        """The number of the external id, noted in the sheet."""
        engine = self._engine
        limit = engine.settings.limits.fields_per_customer
        own = engine.book.take_value_no(self._session, customer, limit)
        customer.put_entry(SheetField(own, self._external_id, fingerprint, b"", ("",)))
        return own

    def _take(
        self,
        customer: OpenCustomer,
        made: PreparedField,
        fingerprint: bytes,
        held: dict[tuple[int, bytes], int],
        values: list[tuple[int, int, bytes]],
    ) -> list[int | str]:
        """Notes one field in the sheet, and its value, if it is new, among `values`."""
        field_class, number, _ = self._class(made.field_class)
        lines, place = customer.lines, (number, fingerprint)
        try:
            value_no = held.get(place)
            if value_no is not None:
                equal = lines[value_no]
                check_limit("labels_per_value", len(equal.labels) + 1, MAX_LABELS)
                lines[value_no] = equal._replace(labels=(*equal.labels, made.label))
                return [_UNCHANGED, value_no]
            engine = self._engine
            digest = engine.book.search.digest(field_class, made.normalized)
            if digest:
                engine.book.search.require_room(self._session, lines.values(), number, digest)
            limit = engine.settings.limits.fields_per_customer
            value_no = engine.book.take_value_no(self._session, customer, limit)
        except VaultError as error:
            # Refused alone: the customer keeps the fields before it.
            made.error = error
            return [_REFUSED, error.reason.value]
        held[place] = value_no
        lines[value_no] = SheetField(value_no, number, fingerprint, digest, (made.label,))
        values.append((value_no, number, made.stored))
        return [_CREATED, value_no]

    def _class(self, name: str) -> _Known:
        known = self._known.get(name)
        if known is None:
            field_class = self._engine.catalog.get(name)
            known = self._known[name] = _Known(field_class, self._numbers[name], name.encode() + b"\0")
        return known
