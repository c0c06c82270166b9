"""ListDuplicates: which customers share a value, as tokens; of no value is anything told.

Equal values have equal hashes in the index, so their customers stand there beside each other. Each is looked
over as in a search (`searchlook`), and a group of fewer than two that are told is none.

Rules:
- It takes the act `deduplicate`: it compares everybody with everybody. Purpose, consent and budgets hold as
  in a search, customer by customer.
- A page ends between two groups, after so many groups, customers looked at, or rows read. It may be empty
  and not the last.
- Of a group, no more than `MAX_GROUP` customers are looked at; of the rest only the number is told.
- A page token names the epoch and the place in its index. After a rotation the listing begins anew.
"""

import re
from collections.abc import Sequence
from itertools import groupby, product
from typing import Final

from vault.core.again import look_again
from vault.core.engine import Engine
from vault.core.searchindex import COMPOUND, compound_head, value_message
from vault.core.searchlook import Asked, Hit, Look, SearchPolicy, Wanted, found_of
from vault.core.trail import Trail
from vault.errors import InvalidRequestError
from vault.fields.searching import Compound
from vault.model.access import Action
from vault.model.requests import Caller, Page
from vault.model.search import DuplicateGroup, DuplicateSearch
from vault.store.layout import CUSTOMER_KEY_BYTES
from vault.store.searchnotes import PREFIX_BYTES

MAX_GROUP: Final = 1000
MAX_LOOKS: Final = 1000  # customers opened for a page, beyond which no further group begins
MAX_ROWS: Final = 50_000  # of the index, read for a page
_PAGE_TOKEN: Final = re.compile(rf"([0-9]{{1,10}})\.([0-9a-f]{{{2 * PREFIX_BYTES}}})\Z")
_AFTER_GROUP: Final = b"\xff" * CUSTOMER_KEY_BYTES


class Duplicates:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail, policy: SearchPolicy) -> None:
        self._engine = engine
        self._trail = trail
        self._policy = policy

    @look_again
    def list(self, caller: Caller, search: DuplicateSearch) -> Page[DuplicateGroup]:
        """Groups of customers that share a value of a class, or of all classes of a compound, in no order.

        Raises:
            ActionDeniedError: the caller may not look for duplicates.
            PurposeDeniedError: it is granted nothing for the purpose.
            InvalidRequestError: nothing is found by this class or compound, or the page token is old.
            SearchIncompleteError: the index of this look-up is still being built.
            BudgetExceededError: the caller has compared with too many customers.
            DataLossError, IntegrityFailedError: a customer that may share a value is damaged.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.DEDUPLICATE)
            asked = Asked(grants, search.purpose, search.basis, grants.domain(search.domain))
            look = Look(engine, snapshot, keys, directory, caller)
            entry = look.declared(search.entry)
            page = _Page(self._engine, self._policy, look, asked, entry)
            following = page.fill(search.page_size, self._start(search.page_token, keys.epoch))
            if not page.groups:
                self._policy.require_any(look, asked, page.numbers)
        locators = list(dict.fromkeys([hit.locator for hits, _ in page.groups for hit in hits]))
        engine.budgets.compare(grants, set(locators))
        self._trail.act(
            grants,
            "ListDuplicates",
            locators=locators,
            entry=search.entry,
            purpose=asked.shown_purpose,
            groups=len(page.groups),
            closed=page.closed,
        )
        groups = [
            DuplicateGroup([found_of(engine, asked.domain, hit) for hit in hits], more)
            for hits, more in page.groups
        ]
        return Page(groups, following)

    def _start(self, token: str, epoch: int) -> bytes:
        """Behind which row (23 bytes) a page begins."""
        if not token:
            return b""
        match = _PAGE_TOKEN.match(token)
        if match is None or int(match[1]) != epoch:
            raise InvalidRequestError(
                "not a page token of this listing, or the index was made anew since: begin again",
                field="page_token",
            )
        return bytes.fromhex(match[2]) + _AFTER_GROUP


class _Page:
    """One page being filled."""

    def __init__(
        self, engine: Engine, policy: SearchPolicy, look: Look, asked: Asked, entry: Compound
    ) -> None:
        self.groups: list[tuple[list[Hit], int]] = []
        self.closed = 0
        self._engine = engine
        self._policy = policy
        self._look = look
        self._asked = asked
        self._classes = [engine.catalog.get(name) for name in entry.fields]
        self.numbers = [look.number_of(name) for name in entry.fields]
        self._head = compound_head(entry.name) if len(entry.fields) > 1 else b""
        self._purpose_no = asked.grants.purpose_id(asked.purpose)

    def fill(self, size: int, start: bytes) -> str:
        """Reads the index from `start` on; returns the next page's token."""
        keys, entry = self._look.keys, COMPOUND if self._head else self.numbers[0]
        rows = looks = 0
        last = b""
        for prefix, run in groupby(keys.search_rows(b"", start), key=_prefix):
            if len(self.groups) == size or looks >= MAX_LOOKS or rows >= MAX_ROWS:
                return f"{keys.epoch}.{last.hex()}"
            customers = [row[PREFIX_BYTES:] for row in run]
            rows, last = rows + len(customers), prefix
            if len(customers) > 1 and prefix[-1] == entry:
                looks += min(len(customers), MAX_GROUP)
                self._add(prefix, customers[:MAX_GROUP], max(0, len(customers) - MAX_GROUP))
        return ""

    def _add(self, prefix: bytes, customers: Sequence[bytes], more: int) -> None:
        """Adds the group of customers (6 bytes each) at a hash, if it is one that may be told."""
        look = self._look
        wanted = next(filter(None, (self._wanted(prefix, each) for each in customers)), None)
        if wanted is None:
            return  # rows that a crash left over, or another compound's
        told: list[Hit] = []
        for customer in customers:
            hit = look.hit(customer, wanted, self._purpose_no)
            if hit is not None and self._policy.tells(look, self._asked, self.numbers, hit.situation):
                told.append(hit)
            elif hit is not None:
                self.closed += 1
        if len(told) > 1:
            self.groups.append((told, more))

    def _wanted(self, prefix: bytes, customer: bytes) -> list[Wanted] | None:
        """What of a customer has this hash."""
        look, pairs = self._look, self._look.pairs(customer)
        digests = [[digest for number, digest in pairs if number == wanted] for wanted in self.numbers]
        for parts in product(*digests):
            joined = b"".join(parts)
            message = (
                (COMPOUND, self._head + joined) if self._head else value_message(self.numbers[0], joined)
            )
            if self._engine.book.search.prefix(look.keys, message) == prefix:
                classes = zip(self._classes, self.numbers, parts, strict=True)
                return [Wanted(*each) for each in classes]
        return None


def _prefix(row: bytes) -> bytes:
    return row[:PREFIX_BYTES]
