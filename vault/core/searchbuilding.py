"""Builds the index of look-ups that were declared after there were customers.

In groups of customers, each a write like others, in the order of their numbers; reads and writes go on
between them. How far it is stands in the store with each group, so whoever goes on begins where it was.
"""

import time
from typing import Final

from vault.core.engine import Engine
from vault.core.fieldinput import search_content
from vault.core.opencustomer import OpenCustomer
from vault.core.searchindex import digest_of
from vault.core.searchstate import SearchState, store_state, stored_state
from vault.core.trail import Trail
from vault.errors import CustomerUnknownError, DataLossError, IntegrityFailedError, ShreddedError
from vault.model.ids import CustomerNo
from vault.store.layout import split_value_key
from vault.store.session import WriteSession

GROUP_CUSTOMERS: Final = 64
RUN_SECONDS: Final = 1.0  # of the keeper's chores, which come one after the other


class SearchBuilding:
    """Goes on with the index of one open vault."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trail = Trail(engine.audit)

    def run(self, seconds: float = RUN_SECONDS) -> str:
        """Looks at customers for about so long; a line for the log, empty when there was nothing to do."""
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            state = stored_state(engine.rows, snapshot)
        names = sorted(state.building)
        if not names:
            return ""
        give_up = time.monotonic() + seconds
        while state.building and time.monotonic() < give_up:
            state = engine.committer.submit(self._group)
        if state.building:
            return f"search index of {', '.join(names)}: customers up to {state.after}"
        self._trail.local("BuildSearchIndex", entries=names, left=state.left)
        return f"search index of {', '.join(names)} is complete"

    def _group(self, session: WriteSession) -> SearchState:
        engine = self._engine
        state = stored_state(engine.rows, session)
        if not state.building:
            return state
        numbers: list[CustomerNo] = []
        for key, _ in session.customers(engine.book.key(CustomerNo(state.after))):
            numbers.append(split_value_key(key)[1])
            if len(numbers) == GROUP_CUSTOMERS:
                break
        left = sum([not self._index(session, number) for number in numbers])
        done = len(numbers) < GROUP_CUSTOMERS
        state = state.advanced(max(numbers, default=state.after), left, done=done)
        store_state(engine.rows, session, state)
        return state

    def _index(self, session: WriteSession, number: CustomerNo) -> bool:
        """Notes the digests of a customer's values; False where its records are damaged."""
        book = self._engine.book
        try:
            with book.open(session, session, number) as customer:
                self._note(session, customer)
                if customer.changed:
                    book.save_sheet(session, customer)
                book.search.restore(session, number, customer.lines.values())
        except (CustomerUnknownError, ShreddedError):
            return True
        except (DataLossError, IntegrityFailedError):
            return False
        return True

    def _note(self, session: WriteSession, customer: OpenCustomer) -> None:
        engine = self._engine
        directory, digested = engine.directory(session), engine.book.search.searchable.digested
        for line in list(customer.lines.values()):
            field_class = engine.field_class(directory, line.field_class)
            digest = b""
            if field_class is not None and field_class.name in digested:
                stored = engine.book.open_value(session, customer, line.value_no)
                digest = digest_of(field_class, search_content(field_class, stored))
            if digest != line.index_hash:
                customer.put_entry(line._replace(index_hash=digest))
