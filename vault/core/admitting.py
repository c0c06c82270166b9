"""Admits customers whom the vault does not know yet, each with all fields of an entry at once.

What is to be stored of them was written down before (`drafting`). Here they get their numbers; the keys,
seals and rows of all that a job admits are made together (`newcomers`), and written together. What is stored
and answered is what `tokenizing` would store and answer field by field.

Customers wait until `flush`: before anything reads their rows, and before the job ends.
"""

from operator import is_
from typing import Final, NamedTuple

from vault.core.drafting import MOST_FIELDS, OWN_LABELS, Draft, Drafts, Result
from vault.core.engine import Engine
from vault.core.fieldinput import PreparedEntry
from vault.core.newcomers import FIRST, Occasion
from vault.core.opencustomer import OpenCustomer
from vault.errors import LimitExceededError
from vault.keys.opendek import FreshDeks
from vault.model.ids import CustomerNo
from vault.model.requests import Outcome
from vault.store.layout import customer_key, value_no
from vault.store.session import WriteSession
from vault.store.sheet import SheetField

_NUMBERED: Final = frozenset(map(int, (Outcome.CREATED, Outcome.UNCHANGED)))


class Admitted(NamedTuple):
    """A new customer: its number, and for each field its outcome, and value number or reason."""

    number: CustomerNo
    fields: list[Result]


class Admitting:
    """The new customers of one job of one write session."""

    def __init__(
        self,
        engine: Engine,
        session: WriteSession,
        fresh: FreshDeks,
        drafts: Drafts,
        locators: list[bytes],
    ) -> None:
        """Begins with nobody.

        Args:
            engine: Of the vault.
            session: The job's.
            fresh: A slot for keys.
            drafts: Of the job's request.
            locators: Gets each customer's name in the access log, in the order in which they come.
        """
        self._engine = engine
        self._session = session
        self._fresh = fresh
        self._drafts = drafts
        self._locators = locators
        self._now_ms = engine.now_ms()
        self._waiting: list[Draft] = []
        self._numbers: list[CustomerNo] = []
        self._named_at: list[int] = []
        self._external: dict[bytes, bytes] = {}
        self._numbered: dict[int, tuple[list[Result], list[Result]]] = {}

    def __contains__(self, hashed: bytes) -> bool:
        """Whether the customer whose external id has this key in the index waits to be written."""
        return hashed in self._external

    def flush(self) -> None:
        """Makes and writes what waits."""
        if not self._waiting:
            return
        session, waiting, drafts = self._session, self._waiting, self._drafts
        packed = drafts.packed
        if packed is None or len(waiting) != len(drafts.all) or not all(map(is_, waiting, drafts.all)):
            packed = drafts.drafting.pack(waiting)
        keyring = self._engine.keyrings.at(session.epoch)
        occasion = Occasion(self._fresh, keyring, session.meta.incarnation, self._now_ms)
        sealed = packed.seal(self._numbers, occasion)
        session.put_customers(sealed.values, sealed.sheets, sealed.deks, sorted(self._external.items()))
        for at, locator in zip(self._named_at, sealed.locators, strict=True):
            self._locators[at] = locator
        for each in (waiting, self._numbers, self._named_at, self._external):
            each.clear()

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
        dek, external_id, number = self._fresh.next(FIRST), entry.external_id, self._drafts.drafting.own
        customer = book.admit(session, dek, external_id, hashed, entry.jurisdiction, self._now_ms)
        own = book.take_value_no(session, customer, self._engine.settings.limits.fields_per_customer)
        fingerprint = dek.fingerprint(b"external_id\0" + external_id)
        customer.put_entry(SheetField(own, number, fingerprint, b"", OWN_LABELS))
        book.put_value(session, customer, own, number, external_id)
        return customer

    def store(self, entry: PreparedEntry, hashed: bytes) -> Admitted:
        """A customer with all fields, none of which wants a surrogate; arguments and errors as of `open`."""
        self._check(entry)
        session, search = self._session, self._engine.book.search
        draft = entry.draft or self._drafts.drafting.draft(entry, session)
        for made, error in draft.refused:
            made.error = error
        number = CustomerNo(session.next_customer_no())
        self._waiting.append(draft)
        self._numbers.append(number)
        self._external[hashed] = customer_key(self._engine.book.region, number)
        self._named_at.append(len(self._locators))
        self._locators.append(b"")
        if search.searchable:
            search.follow(session, number, (), draft.newcomer.values, created=True)
        return Admitted(number, self._numbered_fields(draft.fields))

    def _numbered_fields(self, fields: list[Result]) -> list[Result]:
        """As `_numbered`; drafts that share their fields still do."""
        incarnation = self._session.meta.incarnation
        if not incarnation:
            return fields
        known = self._numbered.get(id(fields))
        if known is None:
            known = self._numbered[id(fields)] = (fields, _numbered(fields, incarnation))
        return known[1]

    def _check(self, entry: PreparedEntry) -> None:
        allowed = min(self._engine.settings.limits.fields_per_customer, MOST_FIELDS)
        if entry.size >= allowed:
            raise LimitExceededError("too many fields for one customer", limit="fields_per_customer")


def _numbered(fields: list[Result], incarnation: int) -> list[Result]:
    """The results with numbers in place of counters; the same before the first restore."""
    if not incarnation:
        return fields
    return [
        [outcome, value_no(incarnation, at)]
        if outcome in _NUMBERED and isinstance(at, int)
        else [outcome, at]
        for outcome, at in fields
    ]
