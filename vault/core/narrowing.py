"""Restriction, legal hold and expiry of a customer: what narrows its processing, and what ends that.

    restrict   reads end for these purposes and field classes (GDPR art. 18), now and until it is lifted
    hold       values of these field classes are neither deleted, rectified nor shredded
    expire     from a time on nothing is revealed for these purposes and field classes

Rules:
- Each is an entry of the ledger, TERMS_NARROWED, so that neither a crash nor a restore loses it. Its id is
  the number of that entry, modulo 2^32, and is what ends it.
- A hold may be placed and released while the customer's shred waits for it. When nothing is held any more,
  the shred is done before the release is answered.
- Purposes and field classes are given by name and kept by number. A reference is a text like a case number;
  it must not be personal data, for it stays in the ledger.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from vault.core.directory import FIELD_CLASS, PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.erasing import Erasing
from vault.core.erasures import shred_id_text
from vault.core.fieldinput import check_limit
from vault.core.holding import EVERY, changed_terms
from vault.core.references import named_id, require
from vault.core.replay import Part, Request
from vault.core.trail import Trail
from vault.errors import (
    DataLossError,
    IntegrityFailedError,
    InvalidRequestError,
    LimitExceededError,
    PurposeUnknownError,
)
from vault.model.access import Action
from vault.model.ids import CustomerNo
from vault.model.requests import (
    Caller,
    Customer,
    CustomerRef,
    ExpiryInfo,
    HoldInfo,
    RestrictionInfo,
    Scope,
)
from vault.policy.decision import Grants
from vault.store.entries import TermsKind, TermsNarrowed
from vault.store.session import WriteSession
from vault.store.terms import MAX_OF_A_KIND, MAX_REFERENCE_BYTES, Expiry, Hold, Restriction, Terms

_IDS: Final = 2**32
_ACTS: Final = {
    TermsKind.RESTRICTED: "RestrictCustomer",
    TermsKind.HELD: "PlaceHold",
    TermsKind.EXPIRING: "SetExpiry",
}
_ENDING: Final = {
    TermsKind.RESTRICTED: ("LiftRestriction", "restriction_id", "restriction"),
    TermsKind.HELD: ("ReleaseHold", "hold_id", "legal hold"),
    TermsKind.EXPIRING: ("ClearExpiry", "expiry_id", "expiry"),
}


class Narrowing:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._erasing = Erasing(engine, trail)

    def restrict(self, caller: Caller, ref: CustomerRef, scope: Scope, until_ms: int, request_id: str) -> int:
        """Restricts processing, until a time (milliseconds since 1970) or 0 for no end; returns an id.

        Raises:
            DeniedError: the caller may not restrict.
            PurposeUnknownError, InvalidRequestError: the scope names something that there is not.
            LimitExceededError: the customer has too many restrictions.
            CustomerUnknownError, ShreddedError: there is nobody to restrict.
        """
        self._require_future(until_ms)
        return self._set(caller, ref, TermsKind.RESTRICTED, scope, until_ms, "", request_id)

    def hold(
        self,
        caller: Caller,
        ref: CustomerRef,
        field_classes: Sequence[str],
        until_ms: int,
        reference: str,
        request_id: str,
    ) -> int:
        """Places a legal hold on field classes, or on all; raises and returns as `restrict`."""
        self._require_future(until_ms)
        check_limit("reference_bytes", len(reference.encode()), MAX_REFERENCE_BYTES)
        if not reference.isprintable():
            raise InvalidRequestError("a reference is one line of text", field="reference")
        scope = Scope((), field_classes)
        return self._set(caller, ref, TermsKind.HELD, scope, until_ms, reference, request_id)

    def expire(self, caller: Caller, ref: CustomerRef, scope: Scope, at_ms: int, request_id: str) -> int:
        """Sets a time (milliseconds since 1970) from which nothing is revealed; otherwise as `restrict`."""
        if at_ms <= 0:
            raise InvalidRequestError("an expiry needs its time", field="expire_time")
        return self._set(caller, ref, TermsKind.EXPIRING, scope, at_ms, "", request_id)

    def end(self, caller: Caller, ref: CustomerRef, kind: TermsKind, number: int, request_id: str) -> None:
        """Lifts a restriction, releases a hold or clears an expiry.

        Raises:
            DeniedError: the caller may not restrict.
            InvalidRequestError: the customer has none with this id.
            CustomerUnknownError, ShreddedError: there is nobody to look at.
        """
        act, field, what = _ENDING[kind]
        grants = self._grants(caller)
        request = self._request(grants, ref, request_id, act, [str(number)])

        def made(terms: Terms, customer_no: CustomerNo, _: int) -> TermsNarrowed:
            if number not in _ids(terms, kind):
                raise InvalidRequestError(f"the customer has no {what} with this id", field=field)
            region, identity = self._engine.region, request.identity
            return TermsNarrowed(region, customer_no, TermsKind.ENDED, number, request=identity)

        customer_no, _ = self._write(caller, ref, request, act, made, {"id": number})
        if kind is TermsKind.HELD:
            with suppress(DataLossError, IntegrityFailedError):  # the keeper tells of damaged customers
                self._erasing.go_on(CustomerNo(customer_no))

    def _set(
        self,
        caller: Caller,
        ref: CustomerRef,
        kind: TermsKind,
        scope: Scope,
        until_ms: int,
        reference: str,
        request_id: str,
    ) -> int:
        engine, act = self._engine, _ACTS[kind]
        grants = self._grants(caller)
        with engine.store.snapshot() as snapshot:
            scopes = _scopes(engine.directory(snapshot), scope)
        check_limit("scopes", len(scopes), MAX_OF_A_KIND)
        body = [*scope.purposes, "", *scope.field_classes, str(until_ms), reference]
        request = self._request(grants, ref, request_id, act, body)

        def made(terms: Terms, number: CustomerNo, seq: int) -> TermsNarrowed:
            entry = TermsNarrowed(
                engine.region, number, kind, seq % _IDS, scopes, until_ms, reference, request.identity
            )
            _require_room(changed_terms(terms, entry, engine.now_ms()))
            return entry

        detail = {"purposes": list(scope.purposes), "field_classes": list(scope.field_classes)}
        return self._write(caller, ref, request, act, made, detail | {"until_ms": until_ms})[1]

    def _write(
        self,
        caller: Caller,
        ref: CustomerRef,
        request: Request,
        act: str,
        made: Callable[[Terms, CustomerNo, int], TermsNarrowed],
        detail: dict[str, Any],
    ) -> tuple[int, int]:
        """Appends an entry and does what it says; returns the customer's number and the entry's id."""
        engine = self._engine

        def job(session: WriteSession) -> list[int]:
            remembered: list[int] | None = request.recall(session)
            if remembered is not None:
                return remembered
            grants = engine.directory(session).access.principal(caller.principal)
            grants.require(Action.RESTRICT)
            number = require(engine, grants, session, ref)
            with engine.book.open(session, session, number, named_id(ref)) as customer:
                entry = made(customer.terms, number, session.next_seq)
                locator = customer.dek.locator(engine.book.key(number))
            record = self._trail.act if entry.kind is TermsKind.ENDED else self._trail.taking
            record(grants, act, locators=[locator], **detail | {"id": entry.id})
            session.append(entry)
            engine.effects.narrow(session, entry)
            answer = [int(number), entry.id]
            request.remember(session, answer)
            return answer

        number, narrowed = engine.committer.submit(job, deadline=caller.deadline_monotonic)
        return number, narrowed

    def _grants(self, caller: Caller) -> Grants:
        with self._engine.store.snapshot() as snapshot:
            grants = self._engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.RESTRICT)
        return grants

    def _request(
        self, grants: Grants, ref: CustomerRef, request_id: str, act: str, body: Sequence[str]
    ) -> Request:
        parts: list[Part] = [ref.external_id, (ref.token or "").lower(), *body]
        return self._engine.request(grants.id, request_id, act, parts)

    def _require_future(self, until_ms: int) -> None:
        if until_ms and until_ms <= self._engine.now_ms():
            raise InvalidRequestError("the end has passed already", field="until_time")


def told_of_terms(customer: Customer, terms: Terms, directory: Directory) -> Customer:
    """The customer with its restrictions, holds and expiries by name, and the shred that waits."""
    purposes, classes = directory.names[PURPOSE], directory.names[FIELD_CLASS]
    return replace(
        customer,
        shred_id=shred_id_text(terms.shred_id) if terms.erasure_pending else "",
        restrictions=[
            RestrictionInfo(
                each.id, purposes.get(each.purpose, ""), classes.get(each.field_class, ""), each.until_ms
            )
            for each in terms.restrictions
        ],
        holds=[
            HoldInfo(each.id, classes.get(each.field_class, ""), each.until_ms, each.reference)
            for each in terms.holds
        ],
        expiries=[
            ExpiryInfo(each.id, purposes.get(each.purpose, ""), classes.get(each.field_class, ""), each.at_ms)
            for each in terms.expiries
        ],
    )


def _scopes(directory: Directory, scope: Scope) -> tuple[tuple[int, int], ...]:
    purposes, classes = [], []
    for name in scope.purposes:
        if name not in directory.numbers[PURPOSE]:
            raise PurposeUnknownError("the policy declares no such purpose")
        purposes.append(directory.numbers[PURPOSE][name])
    for name in scope.field_classes:
        if name not in directory.numbers[FIELD_CLASS]:
            raise InvalidRequestError("there is no such field class", field="field_classes")
        classes.append(directory.numbers[FIELD_CLASS][name])
    pairs = [(purpose, each) for purpose in purposes or [EVERY] for each in classes or [EVERY]]
    return tuple(sorted(set(pairs)))


def _ids(terms: Terms, kind: TermsKind) -> set[int]:
    rows: dict[TermsKind, Sequence[Restriction | Hold | Expiry]] = {
        TermsKind.RESTRICTED: terms.restrictions,
        TermsKind.HELD: terms.holds,
        TermsKind.EXPIRING: terms.expiries,
    }
    return {each.id for each in rows[kind]}


def _require_room(terms: Terms) -> None:
    largest = max(map(len, (terms.restrictions, terms.holds, terms.expiries)))
    if largest > MAX_OF_A_KIND:
        raise LimitExceededError(
            f"a customer has at most {MAX_OF_A_KIND} restrictions, holds and expiries each",
            limit="terms_of_a_kind",
            allowed=str(MAX_OF_A_KIND),
            size=str(largest),
        )
