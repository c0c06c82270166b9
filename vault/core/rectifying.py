"""UpdateValue and DeleteValue: one value corrected or removed; effective at once.

Both are final only when the customer's remaining values have been re-sealed under a new DEK
generation and the old one is destroyed: until then a copy of the old bytes could be opened.
"""

from typing import Any

from vault.core.again import look_again
from vault.core.directory import FIELD_CLASS
from vault.core.engine import Engine
from vault.core.fieldinput import prepare_value
from vault.core.holding import require_not_held, require_open
from vault.core.opencustomer import OpenCustomer
from vault.core.references import own_value
from vault.core.replay import Part, Request
from vault.core.trail import Trail
from vault.crypto.tokens import is_token_text
from vault.errors import DataLossError, InvalidRequestError, InvalidValueError, ValueDeletedError
from vault.model.access import Action
from vault.model.ids import CUSTOMER_ROW, TokenParts
from vault.model.requests import Caller, Outcome
from vault.model.secret import Secret
from vault.policy.decision import Grants
from vault.store.entries import ValuesCorrected, ValuesDeleted
from vault.store.layout import ValueHeader, value_key
from vault.store.session import WriteSession
from vault.store.sheet import SheetField


def _named(token: str, domain: str) -> str:
    """What a request names, for its fingerprint: the case of a token's letters does not matter."""
    return token.lower() if is_token_text(token) else f"{domain}/{token}"


class Rectifying:
    """The two use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def update(self, caller: Caller, token: str, value: Secret, request_id: str, domain: str = "") -> Outcome:
        """Replaces a value; its token and its surrogates stay. `domain` is that of a surrogate.

        Raises:
            InvalidValueError: the new value does not fit the field class, or is empty.
            TokenUnknownError, ValueDeletedError, ShreddedError: there is nothing to update.
            HeldError: a legal hold keeps the value, or the customer's erasure waits for one.
        """
        grants, parts = self._authorize(caller, token, domain)
        body: list[Part] = [_named(token, domain), value]
        request = self._engine.request(grants.id, request_id, "UpdateValue", body)
        if not value.reveal().strip():
            raise InvalidValueError("an update needs a value; DeleteValue removes one")

        def job(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            self._authorize_again(session, caller)
            outcome = self._update(session, grants, parts, value)
            request.remember(session, int(outcome))
            return int(outcome)

        return Outcome(self._engine.committer.submit(job, deadline=caller.deadline_monotonic))

    def delete(self, caller: Caller, token: str, request_id: str, domain: str = "") -> None:
        """Deletes a value; a tombstone stays, so that its number is never used again.

        `domain` is that of a surrogate.

        Raises:
            TokenUnknownError, ValueDeletedError, ShreddedError: there is nothing to delete.
            HeldError: a legal hold keeps the value, or the customer's erasure waits for one.
        """
        grants, parts = self._authorize(caller, token, domain)
        body: list[Part] = [_named(token, domain)]
        request = self._engine.request(grants.id, request_id, "DeleteValue", body)

        def job(session: WriteSession) -> None:
            if request.recall(session) is not None:
                return
            self._authorize_again(session, caller)
            self._delete(session, grants, parts, request)
            request.remember(session, 1)

        self._engine.committer.submit(job, deadline=caller.deadline_monotonic)

    @look_again
    def _authorize(self, caller: Caller, token: str, domain: str) -> tuple[Grants, TokenParts]:
        with self._engine.store.snapshot() as snapshot:
            grants = self._engine.directory(snapshot).access.principal(caller.principal)
            grants.require(Action.WRITE)
            parts = own_value(self._engine, grants, snapshot, token, domain)
        if parts.value_no == CUSTOMER_ROW:
            raise InvalidRequestError("this is the token of a customer; it holds no value", field="token")
        return grants, parts

    def _authorize_again(self, session: WriteSession, caller: Caller) -> None:
        self._engine.directory(session).access.principal(caller.principal).require(Action.WRITE)

    def _update(self, session: WriteSession, grants: Grants, parts: TokenParts, value: Secret) -> Outcome:
        engine = self._engine
        with engine.book.open(session, session, parts.customer_no) as customer:
            entry = self._held(session, customer, parts)
            require_open(customer.terms)
            field_class = engine.field_class(engine.directory(session), entry.field_class)
            if field_class is None:
                raise InvalidRequestError("the configuration no longer declares this field class")
            if field_class.name == "external_id":
                raise InvalidRequestError("an external id cannot be updated", field="token")
            made = prepare_value(field_class, value, customer.row.jurisdiction, engine.settings.limits)
            locator = customer.dek.locator(engine.book.key(customer.number))
            engine.budgets.compare(grants, {locator})
            fingerprint = customer.dek.fingerprint(field_class.name.encode() + b"\0" + made.normalized)
            stored_as_before = made.stored == engine.book.open_value(session, customer, entry.value_no)
            if not stored_as_before:
                require_not_held(customer.terms, entry, session.now_ms)
            outcome = Outcome.UNCHANGED if stored_as_before else Outcome.UPDATED
            self._trail.act(
                grants,
                "UpdateValue",
                locators=[locator],
                field_class=field_class.name,
                changed=not stored_as_before,
            )
            if not stored_as_before:
                digest = engine.book.search.digest(field_class, made.normalized)
                version = engine.book.rectify(session, customer, entry, made.stored, fingerprint, digest)
                engine.book.save(session, customer)
                session.append(ValuesCorrected(engine.region, ((customer.number, entry.value_no, version),)))
            return outcome

    def _delete(self, session: WriteSession, grants: Grants, parts: TokenParts, request: Request) -> None:
        engine = self._engine
        with engine.book.open(session, session, parts.customer_no) as customer:
            entry = self._held(session, customer, parts)
            name = engine.directory(session).names[FIELD_CLASS].get(entry.field_class, "")
            if name == "external_id":
                raise InvalidRequestError("an external id goes with its customer; shred it", field="token")
            require_not_held(customer.terms, entry, session.now_ms)
            locator = customer.dek.locator(engine.book.key(customer.number))
            self._trail.act(grants, "DeleteValue", locators=[locator], field_class=name)
            gone = ((customer.number, entry.value_no),)
            session.append(ValuesDeleted(engine.region, gone, request.identity))
            engine.effects.bury(session, customer, entry)

    def _held(self, session: WriteSession, customer: OpenCustomer, parts: TokenParts) -> SheetField:
        """The sheet's line of the value that a token names.

        Raises:
            ValueDeletedError: it was deleted.
            DataLossError: the customer has no such value, although the token is genuine.
        """
        entry = customer.entry(parts.value_no)
        if entry is not None:
            return entry
        record = session.get(value_key(parts.region, parts.customer_no, parts.value_no))
        if record is not None and ValueHeader.unpack(record).deleted:
            self._engine.book.open_value(session, customer, parts.value_no)  # the tombstone is authentic
            raise ValueDeletedError("the value was deleted")
        raise DataLossError("a genuine token's record is missing from the store")
