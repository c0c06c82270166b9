"""IssueToken, RevokeToken, GetToken, ListTokens: tokens of their own for values that have one already.

An issued token may expire, be for a single use, be bound to one principal, and carry tags. It is an alias of
its customer (`aliases`); the hot path reads with it (`hotpath.issued`).

Rules:
- Issuing needs the action `write`, and `translate` where the new token is of another domain than the given
  one. It does not need the right to read: a token grants nothing, and whoever uses it is judged by policy.
- Revoking needs `write` and ends the token, never the value. Looking needs `inspect`, and shows no value.
- An issued token stands for reads only. It issues, translates, updates and deletes nothing.
- A tag leads across customers, through the index; the sheet of each has to confirm it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vault.core.again import look_again
from vault.core.aliases import Issued, require_not_ended
from vault.core.directory import DOMAIN, FIELD_CLASS, Directory
from vault.core.engine import Engine
from vault.core.holding import require_open
from vault.core.opencustomer import OpenCustomer
from vault.core.references import customer_token, named_id, own_token, own_value, require, token_of
from vault.core.replay import Part
from vault.core.trail import Trail
from vault.errors import (
    DataLossError,
    InvalidRequestError,
    PrincipalUnknownError,
    ShreddedError,
    ValueDeletedError,
)
from vault.fields.tags import parse_tags, read_tags
from vault.model.access import Action
from vault.model.ids import CUSTOMER_ROW, CustomerNo, TokenParts
from vault.model.issued import IssuedState, IssuedToken, TokenOrder
from vault.model.requests import Caller, CustomerRef, Page
from vault.policy.decision import Grants
from vault.store.aliases import MAX_EXPIRES_S, Alias, AliasState
from vault.store.entries import TokensEnded
from vault.store.layout import ValueHeader, split_value_key
from vault.store.session import WriteSession
from vault.store.snapshot import KeyringSnapshot, Snapshot

_LOOKED_AT: Final = 1000  # rows of the index for one page


class Issuing:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def issue(self, caller: Caller, order: TokenOrder, request_id: str) -> IssuedToken:
        """A new token for the value of another.

        Raises:
            DeniedError: the caller may not write, or not translate, or is not in the domain.
            InvalidRequestError: nothing sets the token apart, its time is over, or there is no value.
            TagRefusedError: a tag is none, or looks like personal data.
            PrincipalUnknownError: nobody of that name is registered.
            TokenUnknownError, ValueDeletedError, ShreddedError: there is no value to stand for.
            LimitExceededError: the customer has too many issued tokens.
            HeldError: the customer's erasure waits for a legal hold.
        """
        engine, tags = self._engine, parse_tags(order.tags)
        expires_s = self._expires_s(order)
        grants, parts, domain = self._authorize(caller, order)
        body = _fingerprinted(order, tags)
        request = engine.request(grants.id, request_id, "IssueToken", body)

        def job(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            grants = self._grants(session, caller, Action.WRITE)
            value_no = self._issue(session, grants, order, parts, domain, expires_s, tags)
            request.remember(session, value_no)
            return value_no

        value_no = engine.committer.submit(job, deadline=caller.deadline_monotonic)
        return self._show(TokenParts(parts.region, domain, parts.customer_no, value_no))  # type: ignore[arg-type]

    def revoke(self, caller: Caller, token: str, request_id: str) -> None:
        """Ends an issued token; its value and its other tokens stay.

        Raises:
            DeniedError: the caller may not write.
            InvalidRequestError: it is no issued token.
            TokenUnknownError: it is none of the caller's domains.
            TokenRevokedError, TokenUsedError, ExpiredError, ValueDeletedError, ShreddedError: it has ended,
                and was removed.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = self._grants(snapshot, caller, Action.WRITE)
            parts = own_token(engine, grants, token)
        request = engine.request(grants.id, request_id, "RevokeToken", [token.lower()])

        def job(session: WriteSession) -> None:
            if request.recall(session) is not None:
                return
            self._revoke(session, self._grants(session, caller, Action.WRITE), parts, request.identity)
            request.remember(session, 1)

        engine.committer.submit(job, deadline=caller.deadline_monotonic)

    @look_again
    def get(self, caller: Caller, token: str) -> IssuedToken:
        """What is known of an issued token, without its value.

        Raises:
            DeniedError: the caller may not inspect.
            InvalidRequestError: it is no issued token.
            TokenUnknownError: it is none of the caller's domains.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = self._grants(snapshot, caller, Action.INSPECT)
            parts = own_token(engine, grants, token)
        found, locators = self._look(parts)
        self._trail.act(grants, "GetToken", locators=locators)
        return found

    @look_again
    def page(
        self,
        caller: Caller,
        ref: CustomerRef | None,
        tags: Mapping[str, str],
        page_size: int,
        page_token: str,
    ) -> Page[IssuedToken]:
        """Issued tokens of the caller's domains that have all of some tags, by customer and age.

        Of one customer, or of all where there is a tag to look for. A page may hold fewer than were asked
        for, although another follows.

        Raises:
            DeniedError: the caller may not inspect.
            InvalidRequestError: neither a customer nor a tag is named, or the page token is not one.
            TagRefusedError: a tag is none.
            CustomerUnknownError, ShreddedError: nobody to look at.
        """
        engine, wanted = self._engine, parse_tags(tags)
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            grants = self._grants(snapshot, caller, Action.INSPECT)
            looking = _Looking(engine.directory(snapshot), grants, wanted, page_size)
            after = self._after(grants, page_token)
            if ref is not None:
                number = require(engine, grants, keys, ref)
                self._list_of(snapshot, keys, number, named_id(ref), after, looking)
            elif wanted:
                self._list_tagged(snapshot, keys, after, looking)
            else:
                raise InvalidRequestError("name a customer or a tag to look for", field="customer")
        self._trail.act(grants, "ListTokens", locators=looking.locators, tokens=len(looking.found))
        return Page(looking.found, looking.following)

    def _expires_s(self, order: TokenOrder) -> int:
        now_ms, expires_s = self._engine.now_ms(), order.expires_ms // 1000
        if order.expires_ms and not now_ms < expires_s * 1000 <= MAX_EXPIRES_S * 1000:
            raise InvalidRequestError("a token expires in the future, before 2106", field="expire_time")
        if not (order.expires_ms or order.single_use or order.principal or order.tags):
            raise InvalidRequestError(
                "say what sets the token apart: a time, a single use, a principal or tags", field="max_uses"
            )
        return expires_s

    @look_again
    def _authorize(self, caller: Caller, order: TokenOrder) -> tuple[Grants, TokenParts, int]:
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = self._grants(snapshot, caller, Action.WRITE)
            parts = own_value(engine, grants, snapshot, order.token, order.source_domain)
            domain = grants.domain(order.domain) if order.domain else parts.domain
            if domain != parts.domain:
                grants.require(Action.TRANSLATE)
        if parts.value_no == CUSTOMER_ROW:
            raise InvalidRequestError("this is the token of a customer; it holds no value", field="token")
        return grants, parts, domain

    def _grants(self, reader: Snapshot | WriteSession, caller: Caller, action: Action) -> Grants:
        grants = self._engine.directory(reader).access.principal(caller.principal)
        grants.require(action)
        return grants

    def _issue(
        self,
        session: WriteSession,
        grants: Grants,
        order: TokenOrder,
        parts: TokenParts,
        domain: int,
        expires_s: int,
        tags: Sequence[bytes],
    ) -> int:
        engine, principal_id = self._engine, 0
        directory = engine.directory(session)
        if order.principal:
            registered = directory.principals.get(order.principal)
            if registered is None or registered.revoked_ms:
                raise PrincipalUnknownError("the token is to be bound to nobody who is registered")
            principal_id = registered.id
        with engine.book.open(session, session, parts.customer_no) as customer:
            require_open(customer.terms)
            entry = customer.entry(parts.value_no)
            if entry is None:
                raise self._missing(session, parts)
            name = directory.names[FIELD_CLASS].get(entry.field_class, "")
            alias = Alias(
                target=parts.value_no,
                domain=domain,
                created_ms=session.now_ms,
                expires_s=expires_s,
                max_uses=int(order.single_use),
                principal_id=principal_id,
            )
            engine.aliases.require_room(session, customer)
            locator = customer.dek.locator(engine.book.key(customer.number))
            self._trail.act(
                grants,
                "IssueToken",
                locators=[locator],
                field_class=name,
                expires=bool(expires_s),
                single_use=order.single_use,
                bound_to=order.principal,
                tags=len(tags),
            )
            value_no = engine.aliases.add(session, customer, entry.field_class, alias, tags)
            engine.book.save(session, customer)
            return value_no

    def _missing(self, session: WriteSession, parts: TokenParts) -> Exception:
        record = session.get(self._engine.book.value_key(parts.customer_no, parts.value_no))
        if record is not None and ValueHeader.unpack(record).deleted:
            return ValueDeletedError("the value was deleted")
        return DataLossError("a genuine token's record is missing from the store")

    def _revoke(self, session: WriteSession, grants: Grants, parts: TokenParts, identity: bytes) -> None:
        engine = self._engine
        with engine.book.open(session, session, parts.customer_no) as customer:
            issued = engine.aliases.require(session, customer, parts.value_no)
            if issued.removed:
                require_not_ended(issued.alias, session.now_ms)
            locator = customer.dek.locator(engine.book.key(customer.number))
            self._trail.taking(grants, "RevokeToken", locators=[locator])
            ended = ((int(parts.customer_no), int(parts.value_no)),)
            session.append(TokensEnded(engine.region, AliasState.REVOKED, ended, identity))
            engine.aliases.remove(session, customer, issued, AliasState.REVOKED, session.now_ms)
            engine.book.save(session, customer)

    @look_again
    def _show(self, parts: TokenParts) -> IssuedToken:
        return self._look(parts)[0]

    def _look(self, parts: TokenParts) -> tuple[IssuedToken, list[bytes]]:
        """An issued token, and the locators under which the look is recorded."""
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            try:
                with engine.book.open(snapshot, keys, parts.customer_no) as customer:
                    issued = engine.aliases.require(snapshot, customer, parts.value_no)
                    locator = customer.dek.locator(engine.book.key(parts.customer_no))
                    return self._told(directory, customer, issued, self._now_ms(snapshot)), [locator]
            except ShreddedError:
                # Whether it was an issued one is not known any more.
                return IssuedToken(
                    token=token_of(engine, parts.domain, parts.customer_no, parts.value_no),
                    domain=directory.names[DOMAIN][parts.domain],
                    state=IssuedState.SHREDDED,
                    customer_token=customer_token(engine, parts.domain, parts.customer_no),
                ), []

    def _told(self, directory: Directory, customer: OpenCustomer, issued: Issued, now_ms: int) -> IssuedToken:
        engine, alias = self._engine, issued.alias
        state = IssuedState(alias.state)
        if state is IssuedState.LIVE and alias.expired(now_ms):
            state = IssuedState.EXPIRED
        return IssuedToken(
            token=token_of(engine, alias.domain, customer.number, issued.value_no),
            domain=directory.names[DOMAIN][alias.domain],
            state=state,
            customer_token=customer_token(engine, alias.domain, customer.number),
            field_class=directory.names[FIELD_CLASS].get(issued.header.field_class, ""),
            created_ms=alias.created_ms,
            expires_ms=alias.expires_s * 1000,
            single_use=bool(alias.max_uses),
            principal=directory.principal_names.get(alias.principal_id, ""),
            ended_ms=alias.ended_ms,
            tags=read_tags(engine.aliases.tags(customer, issued.value_no)),
        )

    def _now_ms(self, snapshot: Snapshot) -> int:
        return max(self._engine.now_ms(), snapshot.meta.time_floor_ms)

    def _list_of(
        self,
        snapshot: Snapshot,
        keys: KeyringSnapshot,
        number: CustomerNo,
        external_id: bytes,
        after: bytes,
        looking: "_Looking",
    ) -> None:
        engine = self._engine
        with engine.book.open(snapshot, keys, number, external_id) as customer:
            looking.locators.append(customer.dek.locator(engine.book.key(number)))
            for issued in engine.aliases.all(snapshot, customer):
                key = engine.book.value_key(number, issued.value_no)
                if key > after and not self._take(snapshot, customer, issued, looking):
                    return

    def _list_tagged(
        self, snapshot: Snapshot, keys: KeyringSnapshot, after: bytes, looking: "_Looking"
    ) -> None:
        engine = self._engine
        prefix = engine.index_keys.tag_prefix(keys, looking.tags[0])
        last = b""
        for looked_at, key in enumerate(keys.tagged(prefix, after)):
            if looked_at == _LOOKED_AT:
                looking.following = self._page_token(looking.grants, last)
                return
            _, number, value_no = split_value_key(key)
            last = key
            try:
                with engine.book.open(snapshot, keys, number) as customer:
                    record = snapshot.get(key)
                    if record is None or not ValueHeader.unpack(record).alias:
                        continue  # left over from a crash
                    issued = engine.aliases.require(snapshot, customer, value_no)
                    before = len(looking.found)
                    going_on = self._take(snapshot, customer, issued, looking)
                    if len(looking.found) > before:
                        looking.locators.append(customer.dek.locator(engine.book.key(number)))
            except ShreddedError:
                continue  # shredded between the two snapshots
            if not going_on:
                return

    def _take(self, snapshot: Snapshot, customer: OpenCustomer, issued: Issued, looking: "_Looking") -> bool:
        """Adds an alias to the page if it belongs there; False where the page is full."""
        engine = self._engine
        tags = engine.aliases.tags(customer, issued.value_no)
        known = not issued.removed and issued.alias.domain in looking.grants.domains
        if not known or not set(looking.tags) <= set(tags):
            return True
        if len(looking.found) == looking.page_size:
            looking.following = self._page_token(looking.grants, looking.last)
            return False
        looking.last = engine.book.value_key(customer.number, issued.value_no)
        looking.found.append(self._told(looking.directory, customer, issued, self._now_ms(snapshot)))
        return True

    def _page_token(self, grants: Grants, key: bytes) -> str:
        """Where a page ended: no token that reads anything, whoever gets hold of it."""
        _, number, value_no = split_value_key(key)
        return f"{customer_token(self._engine, grants.domain(''), number)}.{value_no:06x}"

    def _after(self, grants: Grants, page_token: str) -> bytes:
        if not page_token:
            return b""
        token, _, number = page_token.partition(".")
        try:
            value_no = int(number, 16)
        except ValueError:
            value_no = -1
        if not 0 <= value_no < 2**24:
            raise InvalidRequestError("page_token: is none of this list", field="page_token")
        return self._engine.book.value_key(own_token(self._engine, grants, token).customer_no, value_no)


@dataclass(slots=True)
class _Looking:
    """What is looked for, and what was found so far."""

    directory: Directory
    grants: Grants
    tags: tuple[bytes, ...]
    page_size: int
    found: list[IssuedToken] = field(default_factory=list)
    locators: list[bytes] = field(default_factory=list)
    last: bytes = b""
    following: str = ""


def _fingerprinted(order: TokenOrder, tags: Sequence[bytes]) -> list[Part]:
    limits = f"{order.expires_ms}/{int(order.single_use)}"
    return [order.token, order.source_domain, order.domain, limits, order.principal, *tags]
