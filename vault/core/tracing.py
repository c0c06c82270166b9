"""ListCustomersRead: exactly the customers of whom a principal was shown a value.

The log names a customer by a locator, a PRF under the customer's key. Nothing leads from a locator to a
customer but computing every live customer's locators and comparing. So a customer that was shredded since
has no name any more: its locators remain, and are counted.

- A page looks at a bounded number of customers, in short snapshots; it may be empty and not the last.
- The end of the time asked for is fixed by the first page, so that later reads do not shift the counts.
"""

from itertools import islice
from typing import Final

from vault.audit.customers import locators_read
from vault.core.engine import Engine
from vault.core.references import customer_token, own_token
from vault.core.trail import Trail
from vault.errors import (
    DataLossError,
    GoneError,
    IntegrityFailedError,
    InvalidRequestError,
    PrincipalUnknownError,
)
from vault.model.access import Action
from vault.model.controls import CustomersRead, CustomersReadQuery
from vault.model.ids import CustomerNo
from vault.model.requests import Caller
from vault.policy.decision import Grants
from vault.store.layout import CustomerRow

CUSTOMERS_A_PAGE: Final = 20_000  # looked at, so that a page takes a second or two
_CUSTOMERS_A_SNAPSHOT: Final = 500


class Tracing:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def customers_read(self, caller: Caller, query: CustomersReadQuery) -> CustomersRead:
        """One page of them, by ascending customer number, as tokens of one of the caller's domains.

        Raises:
            DeniedError: the caller may not audit, or is not in the domain.
            PrincipalUnknownError: the query names nobody.
            InvalidRequestError: the page token is not one of this list.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.AUDIT)
            domain = grants.domain(query.domain)
            known = directory.principals.get(query.principal)
        if known is None:
            raise PrincipalUnknownError("no such principal")
        after, end_ms = self._position(grants, query)
        wanted = locators_read(self._engine.audit_directory, known.id, query.start_ms, end_ms)
        if not query.page_token:
            self._trail.act(grants, "ListCustomersRead", name=query.principal, locators_listed=len(wanted))
        found: list[CustomerNo] = []
        matched = seen = 0
        last: CustomerNo | None = after
        more = bool(wanted)
        while more and seen < CUSTOMERS_A_PAGE and len(found) < query.page_size:
            last, looked, more = self._look(last, wanted, query.page_size - len(found))
            seen += len(looked)
            found += [number for number, count in looked if count]
            matched += sum(count for _, count in looked)
        following = ""
        if more and last is not None:
            following = f"{customer_token(engine, domain, last)}.{end_ms}"
        tokens = [customer_token(engine, domain, number) for number in found]
        return CustomersRead(tokens, following, len(wanted), matched)

    def _position(self, grants: Grants, query: CustomersReadQuery) -> tuple[CustomerNo | None, int]:
        """After which customer the page begins, and where the time asked for ends."""
        if not query.page_token:
            return None, query.end_ms or self._engine.now_ms()
        token, _, end_ms = query.page_token.partition(".")
        if not end_ms.isdecimal() or len(end_ms) > 18:
            raise InvalidRequestError("the page token is not one of this list", field="page_token")
        return own_token(self._engine, grants, token).customer_no, int(end_ms)

    def _look(
        self, after: CustomerNo | None, wanted: set[bytes], room: int
    ) -> tuple[CustomerNo | None, list[tuple[CustomerNo, int]], bool]:
        """The next customers: the last one, how many wanted locators each has, and whether more come."""
        engine = self._engine
        looked: list[tuple[CustomerNo, int]] = []
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            start = engine.book.key(after) if after is not None else None
            for key, raw in islice(snapshot.customers(start), _CUSTOMERS_A_SNAPSHOT):
                after, count = CustomerNo(int.from_bytes(key[1:6], "big")), 0
                if not CustomerRow.unpack(raw).shredded:
                    try:
                        with engine.book.open(snapshot, keys, after) as customer:
                            names = {*customer.past_locators, customer.dek.locator(engine.book.key(after))}
                        count = len(names & wanted)
                    except (DataLossError, IntegrityFailedError, GoneError):
                        count = 0  # its locators stay among those that nobody has
                looked.append((after, count))
                room -= bool(count)
                if not room:
                    return after, looked, True
        return after, looked, len(looked) == _CUSTOMERS_A_SNAPSHOT
