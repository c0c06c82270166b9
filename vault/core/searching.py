"""Find: which customers hold these values, as tokens. What looks a customer over is in `searchlook`.

Rules:
- It takes the act `search`, and for the purpose a grant of each class that is searched, plain or masked.
- Each customer that is told counts as a comparison, and so does a look-up that tells of nobody: guessing is
  budgeted. Where a budget is used up, the look-up is refused whole.
- Recorded before it is answered: customers told by locator, and look-ups that found nobody. Never the values.
- A page token is the enciphered number of the customer looked at last, in domain 0, which nobody is in.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from vault.audit.records import LOCATOR_BYTES
from vault.core.again import look_again
from vault.core.engine import Engine
from vault.core.fieldinput import prepare_value
from vault.core.searchindex import COMPOUND, Message, compound_head, digest_of, value_message
from vault.core.searchlook import Asked, Hit, Look, SearchPolicy, Wanted, found_of
from vault.core.searchstate import stored_state
from vault.core.trail import Trail
from vault.crypto.tokens import place_block
from vault.errors import InvalidRequestError, InvalidValueError, TokenMalformedError, TokenUnknownError
from vault.model.access import Action
from vault.model.ids import CUSTOMER_ROW
from vault.model.requests import Caller, Page
from vault.model.search import Found, Search, SearchEntry, SearchTerm

MAX_LOOKS: Final = 1000  # customers opened for one page
PAGE_DOMAIN: Final = 0


class Searching:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail, policy: SearchPolicy) -> None:
        self._engine = engine
        self._trail = trail
        self._policy = policy

    @look_again
    def find(self, caller: Caller, search: Search) -> Page[Found]:
        """Customers that hold all of the values, by ascending number.

        Raises:
            ActionDeniedError: the caller may not search.
            PurposeDeniedError: it is granted nothing for the purpose.
            InvalidRequestError: nothing is found by these classes.
            InvalidValueError: a value does not fit its class, so nobody can hold it.
            SearchIncompleteError: the index of this look-up is still being built.
            BudgetExceededError: the caller has compared with too many customers.
            DataLossError, IntegrityFailedError: a customer that may hold the value is damaged.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.SEARCH)
            asked = Asked(grants, search.purpose, search.basis, grants.domain(search.domain))
            look = Look(engine, snapshot, keys, directory, caller)
            entry = self._entry(search.terms)
            look.declared(entry)
            wanted = self._wanted(look, search.terms, search.region)
            hits, closed, following = self._hits(look, asked, entry, wanted, search)
            numbers = [each.number for each in wanted]
            if not hits:
                self._policy.require_any(look, asked, numbers)
        engine.budgets.compare(grants, {hit.locator for hit in hits} or {secrets.token_bytes(LOCATOR_BYTES)})
        self._trail.act(
            grants,
            "FindCustomers",
            locators=[hit.locator for hit in hits],
            entry=entry,
            purpose=asked.shown_purpose,
            found=len(hits),
            closed=closed,
        )
        return Page([found_of(engine, asked.domain, hit) for hit in hits], following)

    def status(self, caller: Caller) -> list[SearchEntry]:
        """Every look-up that the configuration declares, and how far its index is.

        Raises:
            ActionDeniedError: the caller may neither search nor administer.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            if not (grants.may(Action.ADMIN) or grants.may(Action.DEDUPLICATE)):
                grants.require(Action.SEARCH)
            state, total = stored_state(engine.rows, snapshot), snapshot.meta.next_customer_no - 1
        searchable = engine.book.search.searchable
        fields = {each.name: each.fields for each in searchable.compounds}
        told = []
        for name, text in searchable.entries.items():
            ready = state.ready.get(name) == text
            done = total if ready else state.after
            told.append(SearchEntry(name, fields.get(name, (name,)), ready, done, total, state.left))
        return told

    def _entry(self, terms: Sequence[SearchTerm]) -> str:
        """The declared look-up that takes values of just these classes."""
        classes = frozenset([term.field_class for term in terms])
        if not terms or len(classes) < len(terms):
            raise InvalidRequestError("a search has one value each of different field classes", field="terms")
        if len(classes) == 1:
            return self._engine.catalog.get(terms[0].field_class).name
        compound = self._engine.book.search.searchable.compound_of(classes)
        if compound is None:
            raise InvalidRequestError("nothing is found by these field classes together", field="terms")
        return compound.name

    def _wanted(self, look: Look, terms: Sequence[SearchTerm], region: str) -> list[Wanted]:
        engine, wanted = self._engine, []
        if region:
            _check_country(region)
        for term in sorted(terms, key=lambda each: each.field_class):  # as in the compound
            field_class = engine.catalog.get(term.field_class)
            made = prepare_value(field_class, term.value, region, engine.settings.limits)
            if made.empty:
                raise InvalidValueError(f"{field_class.name}: there is nothing to look for")
            digest = digest_of(field_class, made.normalized)
            wanted.append(Wanted(field_class, look.number_of(field_class.name), digest))
        return wanted

    def _hits(
        self, look: Look, asked: Asked, entry: str, wanted: list[Wanted], search: Search
    ) -> tuple[list[Hit], int, str]:
        """Hits of one page, how many customers were closed to the caller, and the next page's token."""
        engine = self._engine
        prefix = engine.book.search.prefix(look.keys, _message(entry, wanted))
        after = prefix + self._page_start(search.page_token) if search.page_token else b""
        purpose_no, numbers = asked.grants.purpose_id(asked.purpose), [each.number for each in wanted]
        hits: list[Hit] = []
        looks = closed = 0
        last = b""
        for row in look.keys.search_rows(prefix, after):
            if len(hits) == search.page_size or looks == MAX_LOOKS:
                number = int.from_bytes(last[1:], "big")
                place = place_block(engine.region, number)
                return hits, closed, engine.secrets.codec.encode_many([place])[0]
            looks, last = looks + 1, row[len(prefix) :]
            hit = look.hit(last, wanted, purpose_no)
            if hit is None:
                continue
            if self._policy.tells(look, asked, numbers, hit.situation):
                hits.append(hit)
            else:
                closed += 1
        return hits, closed, ""

    def _page_start(self, token: str) -> bytes:
        """The customer (6 bytes) behind whom a page begins."""
        engine = self._engine
        try:
            parts = engine.secrets.codec.decode(token)
        except (TokenMalformedError, TokenUnknownError):
            parts = None
        if parts is None or (parts.domain, parts.region, parts.value_no) != (
            PAGE_DOMAIN, engine.region, CUSTOMER_ROW,
        ):  # fmt: skip
            raise InvalidRequestError("not a page token of this search", field="page_token")
        return engine.book.key(parts.customer_no)


def _message(entry: str, wanted: Sequence[Wanted]) -> Message:
    if len(wanted) == 1:
        return value_message(wanted[0].number, wanted[0].digest)
    return COMPOUND, compound_head(entry) + b"".join([each.digest for each in wanted])


def _check_country(code: str) -> None:
    from vault.fields.phone import is_country  # with the first search that names one, see `vault.fields`

    if not is_country(code):
        raise InvalidRequestError(
            "region is the ISO 3166-1 alpha-2 code of a country with phones", field="region"
        )
