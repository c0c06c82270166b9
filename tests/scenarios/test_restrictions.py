"""Restriction of processing (GDPR art. 18) and expiry: what is stored, what closes at once, what ends."""

import pytest

from tests.scenarios.support.deployment import by_id, by_token, new_id
from tests.scenarios.support.elsewhere import opened_elsewhere
from vault.core.directory import FIELD_CLASS, PURPOSE
from vault.errors import (
    ActionDeniedError,
    CustomerUnknownError,
    InvalidRequestError,
    PurposeUnknownError,
    Reason,
    RequestIdReusedError,
)
from vault.model.consent import ConsentState
from vault.model.requests import CustomerState, ExpiryInfo, RestrictionInfo, Scope

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
HER = by_id("crm-1")
YEAR_MS = 365 * 86_400_000


def situation(desks, purpose: str, now_ms: int):
    """What a decision is told of her, and until when."""
    engine = desks.vault.engine
    with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
        number = engine.directory(snapshot).numbers[PURPOSE][purpose]
        with engine.book.open(snapshot, keys, 1) as customer:
            return customer.terms.situation(number, now_ms, ConsentState.NONE, "", False)


def classes(desks, *names: str) -> set[int]:
    with desks.vault.engine.store.snapshot() as snapshot:
        numbers = desks.vault.engine.directory(snapshot).numbers[FIELD_CLASS]
    return {numbers[name] for name in names}


def test_a_whole_restriction_closes_the_customer_in_every_process_at_once(deployment):
    with deployment.opened() as desks, opened_elsewhere(deployment) as other:
        tokens = desks.crm.tokens("crm-1", JANE)
        assert other.read("crm", tokens)["values"] == list(JANE.values())
        first, second = desks.privacy.restrict(HER), desks.privacy.restrict(HER)
        assert not any(other.read("crm", tokens)["values"])
        assert desks.crm.read(tokens, "legal_claims").values == list(JANE.values())
        desks.privacy.lift(HER, first)
        assert desks.crm.denied(tokens) == [Reason.RESTRICTED] * 2
        desks.privacy.lift(HER, second)
        assert other.read("crm", tokens)["values"] == list(JANE.values())
        assert desks.crm.customer(HER).state == CustomerState.ACTIVE


def test_a_restricted_customer_is_stored_and_corrected_as_before(desks):
    _, mail = desks.crm.tokens("crm-1", JANE)
    desks.privacy.restrict(HER)
    desks.crm.update(mail, "janet@example.com")
    desks.crm.store("crm-1", {"note": "called"})
    assert desks.crm.customer(HER).state == CustomerState.RESTRICTED
    desks.eraser.shred(HER)
    with pytest.raises(CustomerUnknownError):
        desks.crm.customer(HER)


def test_a_finer_restriction_is_what_a_decision_is_told(desks):
    desks.crm.tokens("crm-1", JANE)
    now_ms = desks.vault.engine.now_ms()
    scope = Scope(["marketing", "billing"], ["email"])
    made = desks.privacy.restrict(HER, scope, until_ms=now_ms + YEAR_MS)
    assert desks.crm.customer(HER).state == CustomerState.ACTIVE
    assert sorted(desks.crm.customer(HER).restrictions, key=lambda each: each.purpose) == [
        RestrictionInfo(made, "billing", "email", now_ms + YEAR_MS),
        RestrictionInfo(made, "marketing", "email", now_ms + YEAR_MS),
    ]
    found, until_ms = situation(desks, "marketing", now_ms)
    assert (found.restricted_classes, until_ms) == (classes(desks, "email"), now_ms + YEAR_MS)
    assert not situation(desks, "support", now_ms)[0].restricted_classes
    assert not situation(desks, "marketing", now_ms + YEAR_MS)[0].restricted_classes


def test_an_expiry_begins_at_its_time_and_ends_by_its_id(desks):
    desks.crm.tokens("crm-1", JANE)
    at_ms = desks.vault.engine.now_ms() + YEAR_MS
    scope = Scope(["marketing"], ["name"])
    made = desks.vault.set_expiry(desks.privacy.caller, HER, scope, at_ms, "")
    assert desks.crm.customer(HER).expiries == [ExpiryInfo(made, "marketing", "name", at_ms)]
    assert not situation(desks, "marketing", at_ms - 1)[0].expired_classes
    assert situation(desks, "marketing", at_ms)[0].expired_classes == classes(desks, "name")
    desks.vault.clear_expiry(desks.privacy.caller, HER, made, "")
    assert not situation(desks, "marketing", at_ms)[0].expired_classes


def test_terms_survive_a_new_data_key_and_a_new_process(deployment):
    with deployment.opened() as desks:
        _, mail = desks.crm.tokens("crm-1", JANE)
        desks.privacy.restrict(HER)
        at_ms = desks.vault.engine.now_ms() + YEAR_MS
        desks.vault.set_expiry(desks.privacy.caller, HER, Scope(), at_ms, "")
        before = desks.crm.customer(HER)
        desks.vault.rotate_dek(desks.admin.caller, HER, "")
    with deployment.opened() as desks:
        after = desks.crm.customer(HER)
        assert (after.restrictions, after.expiries) == (before.restrictions, before.expiries)
        assert len(after.restrictions) == len(after.expiries) == 1
        assert desks.crm.denied([mail]) == [Reason.RESTRICTED]


def test_a_retry_restricts_once_and_another_body_is_refused(desks):
    desks.crm.tokens("crm-1", JANE)
    request_id = new_id()
    made = desks.privacy.restrict(HER, request_id=request_id)
    assert desks.privacy.restrict(HER, request_id=request_id) == made
    assert len(desks.crm.customer(HER).restrictions) == 1
    with pytest.raises(RequestIdReusedError):
        desks.privacy.restrict(HER, Scope(["marketing"]), request_id=request_id)


def test_who_may_restrict_and_what_can_be_asked(desks):
    desks.crm.tokens("crm-1", JANE)
    for principal in ("crm", "eraser", "nobody"):
        with pytest.raises(ActionDeniedError):
            desks.of(principal).restrict(HER)
        with pytest.raises(ActionDeniedError):
            desks.of(principal).lift(HER, 1)
    with pytest.raises(PurposeUnknownError):
        desks.privacy.restrict(HER, Scope(["astrology"]))
    with pytest.raises(InvalidRequestError):
        desks.privacy.restrict(HER, Scope([], ["shoe_size"]))
    with pytest.raises(InvalidRequestError):
        desks.vault.set_expiry(desks.privacy.caller, HER, Scope(), 0, "")
    assert not desks.crm.customer(HER).restrictions


def test_restricting_and_lifting_are_in_the_customers_access_history(desks):
    _, mail = desks.crm.tokens("crm-1", JANE)
    made = desks.privacy.restrict(HER, Scope(["marketing"]))
    desks.privacy.lift(by_token(mail), made)
    found = desks.privacy.accesses(customer=by_token(mail))
    assert [each.action for each in found][:2] == ["LiftRestriction", "RestrictCustomer"]
    assert '"purposes":["marketing"]' in found[1].detail
