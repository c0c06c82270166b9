"""Admits customers whom the vault does not know yet, each with all fields of an entry at once.

Nothing is held yet that a field could equal, rectify or be refused for, so a customer is numbered, hashed and
sealed with one call for each step instead of one for each value, and the rows of all that a job admits are
written together. What is stored and answered is what `tokenizing` would store and answer field by field.

Rules:
- Rows wait until `flush`: before anything reads them, and before the job ends.
- One slot of guarded memory holds one customer's keys after the other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vault.core.book import OpenCustomer
from vault.core.engine import Engine
from vault.core.fieldinput import EXTERNAL_ID, PreparedEntry, PreparedField, check_limit
from vault.core.records import first_header
from vault.crypto import hazmat
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.errors import LimitExceededError, VaultError
from vault.fields.field_class import FieldClass
from vault.keys.opendek import FreshDeks, OpenDek
from vault.model.ids import CustomerNo, Generation
from vault.model.requests import Outcome
from vault.store.layout import (
    VALUE_KEY_BYTES,
    customer_key,
    dek_key,
    first_row,
    value_key,
)
from vault.store.layout import value_no as value_no_of
from vault.store.session import WriteSession
from vault.store.sheet import MAX_LABELS, SHEET_FORMAT, SHEET_HEADER, SheetField, first_sheet, sheet_aad

_FIRST = Generation(1)
_SHEET_HEAD = SHEET_HEADER.pack(SHEET_FORMAT, _FIRST)
_EMPTY, _REFUSED = int(Outcome.EMPTY), int(Outcome.REFUSED)
_CREATED, _UNCHANGED = int(Outcome.CREATED), int(Outcome.UNCHANGED)
_MOST_FIELDS = 2**16 - 3  # beside the external id, by the value counter's two bytes


class _Known(NamedTuple):
    """A field class, its number, the header of its records, and whether anything is found by its values."""

    field_class: FieldClass
    number: int
    header: bytes
    digested: bool


_Value = tuple[int, bytes, bytes]
"""Number, header of the record, plaintext."""


class Admitted(NamedTuple):
    """A new customer: its number and locator, and for each field its outcome, and value number or reason."""

    number: CustomerNo
    locator: bytes
    fields: list[list[int | str]]


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
        self._values: list[tuple[bytes, bytes]] = []
        self._sheets: list[tuple[bytes, bytes]] = []
        self._deks: list[tuple[bytes, bytes]] = []
        self._external: dict[bytes, bytes] = {}
        self._own = self._class(EXTERNAL_ID)

    def __contains__(self, hashed: bytes) -> bool:
        """Whether the customer whose external id has this key in the index waits to be written."""
        return hashed in self._external

    def flush(self) -> None:
        """Writes what waits."""
        if self._external:
            external = sorted(self._external.items())
            self._session.put_customers(self._values, self._sheets, self._deks, external)
            for waiting in (self._values, self._sheets, self._deks, self._external):
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
        dek, external_id, number = self._fresh.next(_FIRST), entry.external_id, self._own.number
        customer = book.admit(session, dek, external_id, hashed, entry.jurisdiction, self._now_ms)
        own = book.take_value_no(session, customer, self._engine.settings.limits.fields_per_customer)
        fingerprint = dek.fingerprint(b"external_id\0" + external_id)
        customer.put_entry(SheetField(own, number, fingerprint, b"", ("",)))
        book.put_value(session, customer, own, number, external_id)
        return customer

    def store(self, entry: PreparedEntry, hashed: bytes) -> Admitted:
        """A customer with all fields, none of which wants a surrogate; arguments and errors as of `open`."""
        self._check(entry)
        session, book = self._session, self._engine.book
        number = CustomerNo(session.next_customer_no())
        key, dek = customer_key(book.region, number), self._fresh.next(_FIRST)
        contents = [
            made.field_class.encode() + b"\0" + made.normalized
            for made in entry.fields
            if made.error is None and not made.empty
        ]
        prints = dek.fingerprints([b"external_id\0" + entry.external_id, *contents])
        own = value_no_of(session.meta.incarnation, 1)
        lines = [SheetField(own, self._own.number, prints[0], b"", ("",))]
        values: list[_Value] = [(own, self._own.header, entry.external_id)]
        fields = self._take_all(entry.fields, prints, lines, values)
        self._put(entry, number, key, dek, lines, values)
        self._external[hashed] = key
        if book.search.searchable:
            book.search.follow(session, number, (), lines, created=True)
        return Admitted(number, dek.locator(key), fields)

    def _check(self, entry: PreparedEntry) -> None:
        allowed = min(self._engine.settings.limits.fields_per_customer, _MOST_FIELDS)
        if len(entry.fields) >= allowed:
            raise LimitExceededError("too many fields for one customer", limit="fields_per_customer")

    def _take_all(
        self,
        fields: list[PreparedField],
        prints: list[bytes],
        lines: list[SheetField],
        values: list[_Value],
    ) -> list[list[int | str]]:
        """Adds lines of the sheet and values; what became of each field.

        `prints` are the fingerprints of the external id and of the fields that can be stored.
        """
        results: list[list[int | str]] = []
        held: dict[tuple[int, bytes], int] = {}
        at, next_no = 0, lines[0].value_no + 1
        for made in fields:
            if made.error is not None:
                results.append([_REFUSED, made.error.reason.value])
                continue
            if made.empty:
                results.append([_EMPTY, 0])
                continue
            at += 1
            known = self._known.get(made.field_class) or self._class(made.field_class)
            place = (known.number, prints[at])
            try:
                line_at = held.get(place)
                if line_at is not None:
                    results.append([_UNCHANGED, _label(lines, line_at, made.label)])
                    continue
                digest = self._digest(lines, known, made) if known.digested else b""
            except VaultError as error:
                made.error = error  # refused alone: the customer keeps the other fields
                results.append([_REFUSED, error.reason.value])
                continue
            held[place] = len(lines)
            lines.append(SheetField(next_no, known.number, prints[at], digest, (made.label,)))
            values.append((next_no, known.header, made.stored))
            results.append([_CREATED, next_no])
            next_no += 1
        return results

    def _digest(self, lines: list[SheetField], known: _Known, made: PreparedField) -> bytes:
        search = self._engine.book.search
        digest = search.digest(known.field_class, made.normalized)
        search.require_room(self._session, lines, known.number, digest)
        return digest

    def _put(
        self,
        entry: PreparedEntry,
        number: CustomerNo,
        key: bytes,
        dek: OpenDek,
        lines: list[SheetField],
        values: list[_Value],
    ) -> None:
        """Wraps the key, seals values and sheet, authenticates the row; all of it waits for `flush`."""
        engine, session = self._engine, self._session
        vault_id, region = engine.book.vault_id, engine.book.region
        wrapped = engine.keyrings.at(session.epoch).wrap_dek(dek.pointer, region, number, _FIRST)
        row_key, counter = value_key(region, number), len(values) + 1
        row = first_row(_FIRST, entry.jurisdiction, session.meta.incarnation, counter, self._now_ms)
        mac = dek.row_mac(vault_id + row_key + row)
        first = int.from_bytes(row_key, "big")
        keys = [(first | value_no).to_bytes(VALUE_KEY_BYTES, "big") for value_no, _, _ in values]
        parts = [
            (plaintext, vault_id + value_at + header)
            for value_at, (_, header, plaintext) in zip(keys, values, strict=True)
        ]
        sealed = hazmat.seal_each(engine.suite, dek.seal_key, parts)
        sheet = first_sheet(entry.external_id, lines)
        aad = sheet_aad(vault_id, key, _SHEET_HEAD)
        sealed_sheet = hazmat.seal(XCHACHA20_POLY1305, dek.sheet_key, sheet, aad)
        self._deks.append((dek_key(region, number, _FIRST), wrapped))
        self._values.append((row_key, row + mac))
        self._values += [
            (value_at, value[1] + record)
            for value_at, value, record in zip(keys, values, sealed, strict=True)
        ]
        self._sheets.append((key, _SHEET_HEAD + sealed_sheet))

    def _class(self, name: str) -> _Known:
        engine, number = self._engine, self._numbers[name]
        header = first_header(engine.suite, number, _FIRST)
        digested = name in engine.book.search.searchable.digested
        known = self._known[name] = _Known(engine.catalog.get(name), number, header, digested)
        return known


def _label(lines: list[SheetField], at: int, label: str) -> int:
    """Puts a further label on a value; its number.

    Raises:
        LimitExceededError: it has as many as it can.
    """
    line = lines[at]
    check_limit("labels_per_value", len(line.labels) + 1, MAX_LABELS)
    lines[at] = line._replace(labels=(*line.labels, label))
    return line.value_no
