"""Dangerous acts take two people: who asks never approves; an approval is for one thing, for a time."""

import pytest

from tests.scenarios.support.controls import CONTROLS, HOUR_MS, Clock, apply
from tests.scenarios.support.deployment import Desk, Desks, by_id, by_token, new_id
from tests.scenarios.support.policies import ADMIN, AGENT, CRM, ERASER, NOBODY, PRIVACY
from vault.core.operations import failed, read_operations, save_operation
from vault.core.upkeep import chores
from vault.errors import (
    ActionDeniedError,
    ApprovalRequiredError,
    ApprovalUnknownError,
    InvalidRequestError,
    PurposeUnknownError,
)
from vault.model.access import Reveal
from vault.model.controls import ApprovalAct, ApprovalInfo, ApprovalRequest, ApprovalState
from vault.model.erasure import Stage
from vault.model.requests import AccessQuery, CustomerRef, ShredResult

IDS = ["customer-1", "customer-2", "customer-3"]


@pytest.fixture
def ready(desks: Desks) -> Desks:
    apply(desks, CONTROLS)
    for external_id in [*IDS, "customer-4"]:
        desks.of(CRM).store(external_id, {"name": "Ada"})
    return desks


def ask(desks: Desks, who: str, act: ApprovalAct, **parameters: object) -> str:
    wanted = ApprovalRequest(act, "it has to be", **parameters)  # type: ignore[arg-type]
    return desks.vault.request_approval(desks.of(who).caller, wanted, "").approval_id


def approve(desks: Desks, approval_id: str, who: str = PRIVACY) -> ApprovalInfo:
    return desks.vault.approve(desks.of(who).caller, approval_id, "", "")


def shred(desk: Desk, ids: list[str], approval_id: str = "", request_id: str = "") -> list[ShredResult]:
    refs = [by_id(each) for each in ids]
    return desk.vault.shred(
        desk.caller, refs, request_id=request_id, validate_only=False, atomic=False, approval_id=approval_id
    )


def refs(ids: list[str]) -> list[CustomerRef]:
    return [by_id(each) for each in ids]


def why(caught: "pytest.ExceptionInfo[ApprovalRequiredError]") -> str:
    return caught.value.details["approval"]


def test_a_bulk_shred_takes_an_approval_and_says_how_to_get_one(ready: Desks) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS)
    assert caught.value.details["request_with"].startswith("cvault approvals request shred")
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS, approval_id)
    assert why(caught) == "the approval is pending"
    assert approve(ready, approval_id).state is ApprovalState.APPROVED
    assert all(each.error is None for each in shred(ready.of(ERASER), IDS, approval_id))
    assert ready.vault.get_approval(ready.of(ERASER).caller, approval_id).state is ApprovalState.USED


def test_a_few_customers_need_none(ready: Desks) -> None:
    assert all(each.error is None for each in shred(ready.of(ERASER), IDS[:2]))


def test_nobody_approves_what_they_asked_for(ready: Desks) -> None:
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    with pytest.raises(ActionDeniedError, match="themselves"):
        approve(ready, approval_id, ERASER)  # who otherwise may approve
    with pytest.raises(ActionDeniedError):
        approve(ready, approval_id, CRM)  # who may not
    assert approve(ready, approval_id).decider == PRIVACY


def test_an_approval_is_used_once(ready: Desks) -> None:
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, approval_id)
    request_id = new_id()
    first = shred(ready.of(ERASER), IDS, approval_id, request_id)
    again = shred(ready.of(ERASER), IDS, approval_id, request_id)  # a retry is the same call
    assert [each.salt for each in again] == [each.salt for each in first]
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS, approval_id)
    assert why(caught) == "the approval is used"


@pytest.mark.parametrize("ids", [[*IDS, "customer-4"], [*IDS[:2], "customer-4"], [IDS[0], IDS[0], IDS[1]]])
def test_other_parameters_than_those_approved_are_refused(ready: Desks, ids: list[str]) -> None:
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, approval_id)
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), ids, approval_id)
    assert why(caught) == "the approval is for other parameters"
    assert all(each.error is None for each in shred(ready.of(ERASER), IDS[::-1], approval_id))


def test_an_approved_shred_waits_for_a_hold_and_then_takes_no_other_approval(ready: Desks) -> None:
    hold = ready.privacy.hold(by_id("customer-2"), "name")
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, approval_id)
    results = shred(ready.of(ERASER), IDS, approval_id)
    assert [each.held_values for each in results] == [0, 2, 0]  # the name, and the external id
    stages = [each.erasure.stage for each in results if each.erasure is not None]
    assert stages == [Stage.EFFECTIVE, Stage.HELD, Stage.EFFECTIVE]
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS, approval_id)
    assert why(caught) == "the approval is used"
    ready.privacy.release(by_id("customer-2"), hold)
    waited = results[1].erasure
    assert waited is not None
    told = ready.vault.get_erasure(ready.of(ERASER).caller, waited.shred_id)
    assert (told.stage, told.held_values) == (Stage.EFFECTIVE, 0)


def test_whoever_was_shredded_meanwhile_does_not_void_an_approval(ready: Desks) -> None:
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs([*IDS, "customer-4"]))
    approve(ready, approval_id)
    ready.of(ERASER).shred(by_id("customer-4"))
    assert all(each.error is None for each in shred(ready.of(ERASER), IDS, approval_id))


def test_an_approval_is_the_requesters_alone(ready: Desks) -> None:
    apply(ready, CONTROLS.replace('may = ["admin", ', 'may = ["shred", "admin", '))
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, approval_id)
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ADMIN), IDS, approval_id)
    assert why(caught) == "the approval was given to another principal"
    with pytest.raises(ApprovalUnknownError):
        shred(ready.of(ADMIN), IDS, new_id())


def test_requests_and_approvals_end_with_their_time(ready: Desks) -> None:
    clock = Clock(ready)
    late = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    clock.add(4 * HOUR_MS - 1)
    approve(ready, late)  # in time, and it begins anew
    unheard = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    clock.add(4 * HOUR_MS)
    with pytest.raises(InvalidRequestError, match="expired"):
        approve(ready, unheard)
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS, late)
    assert why(caught) == "the approval is expired"


def test_a_request_can_be_refused_and_withdrawn(ready: Desks) -> None:
    vault, eraser, privacy = ready.vault, ready.of(ERASER).caller, ready.of(PRIVACY).caller
    refused = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    assert vault.reject(privacy, refused, "not these", "").note == "not these"
    with pytest.raises(InvalidRequestError, match="rejected"):
        approve(ready, refused)
    withdrawn = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, withdrawn)
    with pytest.raises(ApprovalUnknownError):  # none of its business
        vault.cancel_approval(ready.of(NOBODY).caller, withdrawn, "", "")
    assert vault.cancel_approval(eraser, withdrawn, "", "").state is ApprovalState.CANCELLED
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS, withdrawn)
    assert why(caught) == "the approval is cancelled"


def test_who_sees_which_requests(ready: Desks) -> None:
    vault = ready.vault
    first = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    second = ask(ready, PRIVACY, ApprovalAct.EXPORT, customers=refs(IDS[:1]))

    def listed(who: str, state: ApprovalState | None = None) -> list[str]:
        page = vault.list_approvals(ready.of(who).caller, state, 100, "")
        return [each.approval_id for each in page.items]

    assert set(listed(PRIVACY)) == set(listed(ERASER)) == {first, second}  # they may approve
    assert listed(CRM) == []
    approve(ready, first)
    assert listed(PRIVACY, ApprovalState.APPROVED) == [first]
    page = vault.list_approvals(ready.of(PRIVACY).caller, None, 1, "")
    rest = vault.list_approvals(ready.of(PRIVACY).caller, None, 1, page.next_page_token)
    assert {page.items[0].approval_id, rest.items[0].approval_id} == {first, second}
    assert not rest.next_page_token
    shown = vault.get_approval(ready.of(PRIVACY).caller, first)
    tokens = [ready.of(CRM).customer(by_id(each)).customer_token for each in IDS]
    assert list(shown.customer_tokens) == tokens
    with pytest.raises(ApprovalUnknownError):
        vault.get_approval(ready.of(CRM).caller, first)


def test_exports_beyond_the_days_threshold_take_an_approval_each_customer_once(ready: Desks) -> None:
    vault, privacy = ready.vault, ready.of(PRIVACY).caller

    def export(external_id: str, approval_id: str = "") -> list[str]:
        told = vault.export_customer(privacy, by_id(external_id), "support", "", approval_id=approval_id)
        return [each.held.field_class for each in told.values]

    for external_id in [IDS[0], IDS[1], IDS[0]]:  # the same customer again is no other one
        assert "name" in export(external_id)
    with pytest.raises(ApprovalRequiredError):
        export(IDS[2])
    approval_id = ask(ready, PRIVACY, ApprovalAct.EXPORT, customers=refs(IDS[2:]))
    approve(ready, approval_id, ADMIN)
    with pytest.raises(ApprovalRequiredError) as caught:
        export("customer-4", approval_id)
    assert why(caught) == "the approval is for other parameters"
    assert "name" in export(IDS[2], approval_id)
    with pytest.raises(ApprovalRequiredError) as caught:
        export(IDS[2], approval_id)
    assert why(caught) == "the approval is used"


def test_a_new_epoch_takes_an_approval_for_this_very_epoch(ready: Desks) -> None:
    vault, admin = ready.vault, ready.of(ADMIN).caller
    with pytest.raises(ApprovalRequiredError):
        vault.rotate_epoch(admin, "")
    approval_id = ask(ready, ADMIN, ApprovalAct.ROTATE_EPOCH)
    approve(ready, approval_id)
    begun = vault.rotate_epoch(admin, "", approval_id)
    assert vault.rotate_epoch(admin, "").id == begun.id  # to join one that is under way takes none
    save_operation(vault.engine, failed(begun, begun.requested_ms, "INTERNAL", "given up"))
    with vault.engine.store.snapshot() as snapshot:
        assert all(each.finished for each in read_operations(vault.engine, snapshot))
    with pytest.raises(ApprovalRequiredError) as caught:
        vault.rotate_epoch(admin, "", approval_id)
    assert why(caught) == "the approval is used"


def test_break_glass_reads_begin_with_the_approval_and_end_by_themselves(ready: Desks) -> None:
    clock, vault, agent = Clock(ready), ready.vault, ready.of(AGENT)
    (token,) = ready.of(CRM).tokens("customer-1", {"name": "Ada"})
    with pytest.raises(ApprovalRequiredError) as caught:
        agent.read([token], "emergency")
    assert "break-glass" in caught.value.details["request_with"]
    approval_id = ask(ready, AGENT, ApprovalAct.BREAK_GLASS, purpose="emergency", minutes=15)
    with pytest.raises(ApprovalRequiredError):
        agent.read([token], "emergency")
    given = approve(ready, approval_id)
    assert given.grant_end_ms == clock.now_ms + 15 * 60_000
    assert agent.plain(token, "emergency") == "Ada"
    assert list(agent.read([token], "support").reveals) == [Reveal.MASKED]  # nothing else has changed
    clock.add(15 * 60_000 - 1)
    assert agent.plain(token, "emergency") == "Ada"
    clock.add(1)
    with pytest.raises(ApprovalRequiredError):
        agent.read([token], "emergency")
    with vault.engine.store.snapshot() as snapshot:
        assert vault.engine.directory(snapshot).principals[AGENT].break_glass
    sweep = next(each for each in chores(vault) if each.name == "approvals")
    assert sweep.run() == "1 ended grants and old requests removed"
    with vault.engine.store.snapshot() as snapshot:
        assert not vault.engine.directory(snapshot).principals[AGENT].break_glass
    assert sweep.run() == ""


def test_a_break_glass_grant_can_be_ended_early(ready: Desks) -> None:
    (token,) = ready.of(CRM).tokens("customer-1", {"name": "Ada"})
    approval_id = ask(ready, AGENT, ApprovalAct.BREAK_GLASS, purpose="emergency", minutes=15)
    approve(ready, approval_id)
    assert ready.of(AGENT).plain(token, "emergency") == "Ada"
    ready.vault.cancel_approval(ready.of(PRIVACY).caller, approval_id, "over", "")
    with pytest.raises(ApprovalRequiredError):
        ready.of(AGENT).read([token], "emergency")


def test_break_glass_reads_stand_out_in_the_customers_history(ready: Desks) -> None:
    (token,) = ready.of(CRM).tokens("customer-1", {"name": "Ada"})
    approve(ready, ask(ready, AGENT, ApprovalAct.BREAK_GLASS, purpose="emergency", minutes=15))
    ready.of(AGENT).plain(token, "emergency")
    ready.of(AGENT).read([token], "support")
    page = ready.vault.list_access(ready.of(PRIVACY).caller, AccessQuery(customer=by_token(token)))
    reads = [(each.purpose, each.break_glass) for each in page.items if each.action == "Detokenize"]
    assert reads == [("support", False), ("emergency", True)]


def test_what_cannot_be_asked_for(ready: Desks) -> None:
    for purpose, minutes, error in (
        ("nothing", 10, PurposeUnknownError),
        ("support", 10, InvalidRequestError),
        ("emergency", 31, InvalidRequestError),
        ("emergency", 0, InvalidRequestError),
    ):
        with pytest.raises(error):
            ask(ready, AGENT, ApprovalAct.BREAK_GLASS, purpose=purpose, minutes=minutes)
    with pytest.raises(ActionDeniedError):
        ask(ready, CRM, ApprovalAct.SHRED, customers=refs(IDS))
    with pytest.raises(InvalidRequestError):
        ask(ready, ERASER, ApprovalAct.SHRED)
    with pytest.raises(InvalidRequestError, match="why"):
        ready.vault.request_approval(
            ready.of(ADMIN).caller, ApprovalRequest(ApprovalAct.ROTATE_EPOCH, " "), ""
        )


def test_every_step_is_in_the_access_log(ready: Desks) -> None:
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, approval_id)
    ready.vault.cancel_approval(ready.of(ERASER).caller, approval_id, "", "")
    refused = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    ready.vault.reject(ready.of(PRIVACY).caller, refused, "", "")
    page = ready.vault.list_access(ready.of(PRIVACY).caller, AccessQuery())
    steps = [(each.action, each.principal) for each in page.items if approval_id in each.detail]
    assert steps == [("Cancel", ERASER), ("Approve", PRIVACY), ("RequestApproval", ERASER)]
    assert [each.action for each in page.items if refused in each.detail] == ["Reject", "RequestApproval"]


def test_an_approval_from_before_a_restore_is_good_for_nothing(ready: Desks) -> None:
    approval_id = ask(ready, ERASER, ApprovalAct.SHRED, customers=refs(IDS))
    approve(ready, approval_id)

    def restored(session) -> None:
        session.meta.incarnation += 1

    ready.vault.engine.committer.submit(restored)
    with pytest.raises(ApprovalRequiredError) as caught:
        shred(ready.of(ERASER), IDS, approval_id)
    assert why(caught) == "the approval is expired"
