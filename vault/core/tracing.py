"""ListCustomersRead: exactly the customers of whom a principal was shown a value.

The log names a customer by a locator, of which `naming` finds whose it is. A customer that was shredded since
has no name any more: its locators remain, and are counted.

- A page looks at a bounded number of customers, in short snapshots; it may be empty and not the last.
- The end of the time asked for is fixed by the first page, so that later reads do not shift the counts.
"""

from typing import Final

from vault.audit.customers import locators_read
from vault.core.engine import Engine
from vault.core.naming import Naming
from vault.core.references import customer_token, own_token
from vault.core.trail import Trail
from vault.errors import (
    InvalidRequestError,
    PrincipalUnknownError,
)
from vault.model.access import Action
from vault.model.controls import CustomersRead, CustomersReadQuery
from vault.model.ids import CustomerNo
from vault.model.requests import Caller
from vault.policy.decision import Grants

CUSTOMERS_A_PAGE: Final = 50_000  # looked at, so that a page takes a second at most


class Tracing:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._naming = Naming(engine)

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
        page = self._naming.look(after, wanted, rows=query.page_size, customers=CUSTOMERS_A_PAGE)
        following = ""
        if page.more and page.last is not None:
            following = f"{customer_token(engine, domain, page.last)}.{end_ms}"
        return CustomersRead(
            [customer_token(engine, domain, named.number) for named in page.found],
            following,
            len(wanted),
            sum(len(named.locators) for named in page.found),
        )

    def _position(self, grants: Grants, query: CustomersReadQuery) -> tuple[CustomerNo | None, int]:
        """After which customer the page begins, and where the time asked for ends."""
        if not query.page_token:
            return None, query.end_ms or self._engine.now_ms()
        token, _, end_ms = query.page_token.partition(".")
        if not end_ms.isdecimal() or len(end_ms) > 18:
            raise InvalidRequestError("the page token is not one of this list", field="page_token")
        return own_token(self._engine, grants, token).customer_no, int(end_ms)
