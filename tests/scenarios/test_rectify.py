import pytest

from tests.scenarios.support.deployment import by_id, new_id
from tests.scenarios.support.elsewhere import opened_elsewhere
from vault.errors import (
    ActionDeniedError,
    InvalidRequestError,
    InvalidValueError,
    LimitExceededError,
    Reason,
    RequestIdReusedError,
    ShreddedError,
    TokenMalformedError,
    TokenUnknownError,
    ValueDeletedError,
)
from vault.model.requests import Outcome, ValueState


@pytest.fixture
def token(desks) -> str:
    (made,) = desks.crm.tokens("crm-1", {"email": "jane@example.com"})
    return made


def test_a_corrected_value_keeps_its_token(desks, token):
    assert desks.crm.update(token, "janet@example.com") is Outcome.UPDATED
    assert desks.crm.plain(token) == "janet@example.com"
    assert desks.vault.inspect(desks.crm.caller, token).version == 2


def test_the_same_value_changes_nothing(desks, token):
    assert desks.crm.update(token, "jane@example.com") is Outcome.UNCHANGED
    assert desks.vault.inspect(desks.crm.caller, token).version == 1


def test_a_correction_holds_in_a_process_that_had_read_the_old_value(deployment):
    with deployment.opened("one") as one, opened_elsewhere(deployment) as other:
        (token,) = one.crm.tokens("crm-1", {"email": "jane@example.com"})
        assert other.read("crm", [token])["values"] == ["jane@example.com"]
        one.crm.update(token, "janet@example.com")
        assert other.read("crm", [token])["values"] == ["janet@example.com"]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("nonsense", InvalidValueError),
        ("", InvalidValueError),
        ("   ", InvalidValueError),
        ("\ud800", InvalidRequestError),
        ("x" * 65_537, LimitExceededError),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_the_old_one_stays(desks, token, value, error):
    with pytest.raises(error):
        desks.crm.update(token, value)
    assert desks.crm.plain(token) == "jane@example.com"


def test_after_a_correction_equality_goes_by_the_new_value(desks, token):
    desks.crm.update(token, "janet@example.com")
    again = desks.crm.store("crm-1", {"email/work": "janet@example.com"})
    assert (again.results[0].outcome, again.results[0].token) == (Outcome.UNCHANGED, token)
    other = desks.crm.store("crm-1", {"email/old": "jane@example.com"})
    assert other.results[0].outcome is Outcome.CREATED


def test_a_deleted_value_is_gone_and_says_so(desks, token):
    desks.crm.delete(token)
    assert desks.crm.denied([token]) == [Reason.VALUE_DELETED]
    with pytest.raises(ValueDeletedError):
        desks.crm.update(token, "janet@example.com")
    with pytest.raises(ValueDeletedError):
        desks.crm.delete(token)
    assert desks.vault.inspect(desks.crm.caller, token).state is ValueState.DELETED
    assert "email" not in [held.field_class for held in desks.crm.customer(by_id("crm-1")).held]


def test_a_value_stored_after_a_deletion_gets_a_token_of_its_own(desks, token):
    desks.crm.delete(token)
    (again,) = desks.crm.tokens("crm-1", {"email": "jane@example.com"})
    assert again != token
    assert desks.crm.plain(again) == "jane@example.com"
    assert desks.crm.denied([token]) == [Reason.VALUE_DELETED]


def test_corrections_and_deletions_are_idempotent_by_request_id(deployment):
    update_id, delete_id = new_id(), new_id()
    with deployment.opened() as desks:
        mail, note = desks.crm.tokens("crm-1", {"email": "jane@example.com", "note": "x"})
        assert desks.crm.update(mail, "janet@example.com", update_id) is Outcome.UPDATED
        desks.crm.delete(note, delete_id)
    with deployment.opened() as desks:
        desks.crm.update(mail, "latest@example.com")
        assert desks.crm.update(mail, "janet@example.com", update_id) is Outcome.UPDATED
        assert desks.crm.plain(mail) == "latest@example.com"
        desks.crm.delete(note, delete_id)
        with pytest.raises(RequestIdReusedError):
            desks.crm.update(mail, "another@example.com", update_id)
        with pytest.raises(RequestIdReusedError):
            desks.crm.delete(mail, delete_id)


def test_the_external_id_is_neither_corrected_nor_deleted(desks, token):
    (external,) = [h for h in desks.crm.customer(by_id("crm-1")).held if h.field_class == "external_id"]
    with pytest.raises(InvalidRequestError):
        desks.crm.update(external.token, "crm-2")
    with pytest.raises(InvalidRequestError):
        desks.crm.delete(external.token)


def test_a_customers_token_is_no_value_to_correct(desks, token):
    customer = desks.crm.customer(by_id("crm-1")).customer_token
    with pytest.raises(InvalidRequestError):
        desks.crm.update(customer, "x")
    with pytest.raises(InvalidRequestError):
        desks.crm.delete(customer)


def test_nothing_is_corrected_without_the_right_to_write(desks, token):
    for principal in ("agent", "nobody", "eraser", "admin"):
        with pytest.raises(ActionDeniedError):
            desks.of(principal).update(token, "x@example.com")
        with pytest.raises(ActionDeniedError):
            desks.of(principal).delete(token)
    assert desks.crm.plain(token) == "jane@example.com"


def test_a_token_of_another_domain_or_of_nobody_is_unknown(desks, token):
    with pytest.raises(TokenUnknownError):
        desks.partner.update(token, "x@example.com")
    with pytest.raises(TokenUnknownError):
        desks.crm.update("cv1_" + "0" * 32, "x@example.com")
    with pytest.raises(TokenMalformedError):
        desks.crm.update("nonsense", "x@example.com")


def test_a_shredded_customers_values_are_not_corrected(desks, token):
    desks.eraser.shred(by_id("crm-1"))
    with pytest.raises(ShreddedError):
        desks.crm.update(token, "x@example.com")
    with pytest.raises(ShreddedError):
        desks.crm.delete(token)
