"""Legal holds: what they keep from being erased, and shreds that end by themselves when a hold does."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.scenarios.support.certificates import checked
from tests.scenarios.support.deployment import Desks, by_id, by_token, new_id
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.tampering import tampering
from vault.core.backup import create_backup
from vault.core.checking import check
from vault.core.upkeep import chores
from vault.errors import (
    ActionDeniedError,
    AlreadyShreddedError,
    CustomerUnknownError,
    HeldError,
    InvalidRequestError,
    LimitExceededError,
    Reason,
    ShreddedError,
)
from vault.keys.unlock import unlock
from vault.model.erasure import Stage, Step
from vault.model.requests import CustomerState, HoldInfo, Outcome, Scope
from vault.store.entries import ErasureWaits, GenerationShredded, Shred, ValuesDeleted
from vault.store.layout import value_key

pytestmark = pytest.mark.slow

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456"}
HER = by_id("crm-1")


def generations(desks: Desks, number: int = 1) -> list[int]:
    with desks.vault.engine.store.keyring() as keys:
        return list(keys.generations(1, number))


def payloads(desks: Desks) -> list[object]:
    return [entry.payload for entry in desks.vault.engine.store.ledger()]


def keeper(desks: Desks) -> Callable[[], str]:
    return next(each.run for each in chores(desks.vault) if each.name == "erasures")


def recover(desks: Desks) -> None:
    """What the keeper does first."""
    desks.vault.engine.committer.settle()


def sound(deployment) -> bool:
    found = check(
        deployment.data_dir, deployment.settings, unlock(deployment.data_dir, deployment.settings, None)
    )
    return not [each for each in found if each.severity == "error"]


def test_a_held_value_is_neither_deleted_nor_rectified_and_others_are(desks):
    name, mail, _ = desks.crm.tokens("crm-1", JANE)
    hold = desks.privacy.hold(HER, "email", reference="AZ 4 O 123/26")
    for act in (lambda: desks.crm.delete(mail), lambda: desks.crm.update(mail, "janet@example.com")):
        with pytest.raises(HeldError):
            act()
    refused = desks.crm.store("crm-1", {"email": "janet@example.com", "name": "Janet Doe"}).results
    assert [each.outcome for each in refused] == [Outcome.REFUSED, Outcome.UPDATED]
    assert refused[0].error.reason == Reason.HELD
    assert desks.crm.update(mail, JANE["email"]) == Outcome.UNCHANGED
    assert desks.crm.plain(mail) == JANE["email"]
    desks.crm.delete(name)
    assert desks.crm.customer(HER).holds == [HoldInfo(hold, "email", 0, "AZ 4 O 123/26")]
    desks.privacy.release(HER, hold)
    desks.crm.delete(mail)
    assert desks.crm.customer(HER).holds == []


def test_a_shred_destroys_what_is_not_held_and_closes_the_rest(desks):
    name, mail, phone = desks.crm.tokens("crm-1", JANE)
    desks.privacy.hold(HER, "email")
    result = desks.eraser.shred(HER)
    assert (result.values, result.held_values) == (2, 2)  # of those held one is the external id
    assert result.certificate is None
    erasure = result.erasure
    assert (erasure.stage, erasure.held_values) == (Stage.HELD, 2)
    assert [(each.step, each.due_ms) for each in erasure.waits_for] == [(Step.HOLD, None)]
    assert generations(desks) == [2]
    assert desks.crm.denied([name, mail, phone]) == [Reason.RESTRICTED] * 3
    assert desks.crm.denied([name, phone], "legal_claims") == [Reason.VALUE_DELETED] * 2
    assert desks.crm.plain(mail, "legal_claims") == JANE["email"]
    customer = desks.crm.customer(HER)
    assert (customer.state, customer.shred_id) == (CustomerState.RESTRICTED, erasure.shred_id)
    assert {each.field_class for each in customer.held} == {"external_id", "email"}
    assert desks.vault.list_erasures(desks.eraser.caller, 10, "", Stage.HELD).items == [erasure]
    with pytest.raises(HeldError):
        desks.vault.get_certificate(desks.eraser.caller, erasure.shred_id)


def test_nothing_is_written_to_a_customer_whose_shred_waits(desks):
    _, mail, _ = desks.crm.tokens("crm-1", JANE)
    desks.privacy.hold(HER, "email")
    shred_id = desks.eraser.shred(HER).erasure.shred_id
    for act in (
        lambda: desks.crm.store("crm-1", {"name": "Jane Doe"}),
        lambda: desks.crm.update(mail, JANE["email"]),
        lambda: desks.crm.delete(mail),
        lambda: desks.eraser.shred(HER),
    ):
        with pytest.raises(HeldError):
            act()
    assert desks.crm.customer(HER).shred_id == shred_id


def test_releasing_the_hold_ends_the_shred_under_the_same_id(desks):
    _, mail, _ = desks.crm.tokens("crm-1", JANE)
    hold, request_id = desks.privacy.hold(HER, "email"), new_id()
    waiting = desks.eraser.shred(HER, request_id)
    desks.privacy.release(HER, hold)
    erasure = desks.vault.get_erasure(desks.eraser.caller, waiting.erasure.shred_id)
    assert (erasure.stage, erasure.held_values) == (Stage.EFFECTIVE, 0)
    assert desks.crm.denied([mail], "legal_claims") == [Reason.SHREDDED]
    with pytest.raises(CustomerUnknownError):
        desks.crm.customer(HER)
    assert generations(desks) == []
    last = payloads(desks)[-1]
    assert isinstance(last, Shred)
    assert (last.generations, last.values, last.commitment) == ((1, 2), 4, waiting.erasure.commitment)
    again = desks.eraser.shred(HER, request_id)  # the request of before, asked again
    assert (again.erasure, again.salt, again.values, again.held_values) == (erasure, waiting.salt, 4, 0)
    assert again.certificate is not None


def test_what_was_not_held_opens_with_no_key_that_is_left(deployment):
    """As its own deletion would be: the generation that opens it is gone from the keyring."""
    with deployment.opened() as desks:
        name, *_ = desks.crm.tokens("crm-1", JANE)
        with desks.vault.engine.store.snapshot() as snapshot:
            kept = dict(snapshot.scan_customer(1, 1))
        desks.privacy.hold(HER, "email")
        desks.eraser.shred(HER)
        kinds = [type(each) for each in payloads(desks)[-4:]]
        assert kinds[:2] == [ErasureWaits, ValuesDeleted]
        assert payloads(desks)[-1] == GenerationShredded(1, 1, 1)
    with tampering(deployment) as session:
        session.put_value(value_key(1, 1, 2), kept[value_key(1, 1, 2)])
    with deployment.opened() as desks:
        assert desks.crm.denied([name], "legal_claims") == [Reason.INTEGRITY_FAILED]


def test_a_hold_on_everything_keeps_everything(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    hold = desks.privacy.hold(HER)
    preview = desks.eraser.shred_all([HER], validate_only=True)[0]
    assert (preview.values, preview.held_values, preview.dek_generations) == (0, 4, 0)
    result = desks.eraser.shred(HER)
    assert (result.values, result.held_values) == (0, 4)
    assert generations(desks) == [1]
    assert desks.crm.denied(tokens) == [Reason.RESTRICTED] * 3
    assert desks.crm.read(tokens, "legal_claims").values == list(JANE.values())
    desks.privacy.release(HER, hold)
    assert desks.crm.denied(tokens, "legal_claims") == [Reason.SHREDDED] * 3
    assert payloads(desks)[-1].generations == (1,)


def test_a_hold_on_nothing_that_is_there_delays_nothing(desks):
    desks.crm.tokens("crm-1", JANE)
    desks.privacy.hold(HER, "iban")
    assert desks.eraser.shred(HER).erasure.stage is Stage.EFFECTIVE


def test_of_several_holds_each_frees_what_it_alone_held(desks):
    _, mail, phone = desks.crm.tokens("crm-1", JANE)
    first, second = desks.privacy.hold(HER, "email", "phone"), desks.privacy.hold(HER, "phone")
    shred_id = desks.eraser.shred(HER).erasure.shred_id
    desks.privacy.release(HER, first)
    erasure = desks.vault.get_erasure(desks.eraser.caller, shred_id)
    assert (erasure.stage, erasure.held_values) == (Stage.HELD, 2)
    assert desks.crm.denied([mail], "legal_claims") == [Reason.VALUE_DELETED]
    assert desks.crm.plain(phone, "legal_claims") == JANE["phone/mobile"]
    assert generations(desks) == [3]  # the second one opened the e-mail
    third = desks.privacy.hold(HER, "phone")
    desks.privacy.release(HER, second)
    assert desks.crm.plain(phone, "legal_claims") == JANE["phone/mobile"]
    desks.privacy.release(HER, third)
    assert desks.crm.denied([phone], "legal_claims") == [Reason.SHREDDED]
    assert payloads(desks)[-1].generations == (1, 2, 3)


def test_a_hold_that_ends_by_itself_lets_the_keeper_end_the_shred(desks):
    _, mail, _ = desks.crm.tokens("crm-1", JANE)
    until_ms = desks.vault.engine.now_ms() + 400
    desks.privacy.hold(HER, "email", until_ms=until_ms)
    result = desks.eraser.shred(HER)
    assert result.erasure.waits_for[0].due_ms == until_ms
    run = keeper(desks)
    assert run() == ""
    assert desks.crm.plain(mail, "legal_claims") == JANE["email"]
    while desks.vault.engine.now_ms() <= until_ms:
        time.sleep(0.02)
    assert run() == "1 shreds done after a hold"
    assert run() == ""
    assert desks.crm.denied([mail], "legal_claims") == [Reason.SHREDDED]
    assert desks.vault.get_erasure(desks.eraser.caller, result.erasure.shred_id).stage is Stage.EFFECTIVE


def test_an_expired_value_is_deleted_only_after_its_hold(desks):
    (note,) = desks.crm.tokens("crm-1", {"note": "gone soon"})
    engine = desks.vault.engine
    part = engine.secrets.codec.decode(note)

    def expire(session):
        with engine.book.open(session, session, part.customer_no) as customer:
            line = customer.entry(part.value_no)
            now_s = engine.now_ms() // 1000 - 5
            engine.book.put_value(
                session, customer, part.value_no, line.field_class, b"gone soon", version=2, expires_s=now_s
            )

    engine.committer.submit(expire)
    sweep = next(each.run for each in chores(desks.vault) if each.name == "expiry")
    hold = desks.privacy.hold(HER, "note")
    assert sweep() == ""
    assert desks.crm.denied([note]) == [Reason.EXPIRED]
    desks.privacy.release(HER, hold)
    assert sweep() == "1 expired values deleted"


def test_in_a_batch_each_customer_goes_as_far_as_it_may(desks):
    for number in range(4):
        desks.crm.tokens(f"crm-{number}", JANE)
    for held in (0, 2):
        desks.privacy.hold(by_id(f"crm-{held}"), "email")
    results = desks.eraser.shred_all([by_id(f"crm-{number}") for number in range(4)])
    assert [each.erasure.stage for each in results] == [Stage.HELD, Stage.EFFECTIVE] * 2
    assert [each.certificate is None for each in results] == [True, False] * 2
    assert [each.values for each in results] == [2, 4, 2, 4]


def test_a_hold_survives_a_rotation_and_a_new_process(deployment):
    with deployment.opened() as desks:
        _, mail, _ = desks.crm.tokens("crm-1", JANE)
        hold = desks.privacy.hold(HER, "email", reference="case 7")
        desks.vault.rotate_dek(desks.admin.caller, HER, "")
    with deployment.opened() as desks:
        assert desks.crm.customer(HER).holds == [HoldInfo(hold, "email", 0, "case 7")]
        with pytest.raises(HeldError):
            desks.crm.delete(mail)


def test_a_damaged_customer_is_not_shredded_under_a_hold(deployment):
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
        customer = desks.crm.customer(HER).customer_token
        desks.privacy.hold(HER, "email")
    with tampering(deployment) as session:
        row = session.get(value_key(1, 1))
        session.put_value(value_key(1, 1), row[:-1] + bytes([row[-1] ^ 1]))
    with deployment.opened() as desks, pytest.raises(HeldError):
        desks.eraser.shred(by_token(customer))


def test_who_may_hold_and_what_can_be_asked(desks):
    desks.crm.tokens("crm-1", JANE)
    for principal in ("crm", "eraser", "nobody"):
        with pytest.raises(ActionDeniedError):
            desks.of(principal).hold(HER, "email")
    with pytest.raises(InvalidRequestError):
        desks.privacy.hold(HER, "shoe_size")
    with pytest.raises(InvalidRequestError):
        desks.privacy.hold(HER, until_ms=1)
    with pytest.raises(InvalidRequestError):
        desks.privacy.release(HER, 99)
    with pytest.raises(LimitExceededError):
        desks.privacy.hold(HER, reference="x" * 256)
    restriction = desks.privacy.restrict(HER)
    with pytest.raises(InvalidRequestError):
        desks.privacy.release(HER, restriction)  # an id of another kind
    with pytest.raises(CustomerUnknownError):
        desks.privacy.hold(by_id("crm-9"))
    assert not desks.crm.customer(HER).holds


def test_a_customer_has_so_many_holds_and_no_more(desks):
    desks.crm.tokens("crm-1", JANE)
    classes = desks.vault.engine.catalog.names
    placed = 255 // len(classes) * len(classes)
    for _ in range(255 // len(classes)):
        desks.privacy.hold(HER, *classes)
    with pytest.raises(LimitExceededError):
        desks.privacy.hold(HER, *classes)
    assert len(desks.crm.customer(HER).holds) == placed


def test_a_retry_places_one_hold_and_a_shredded_customer_none(desks):
    desks.crm.tokens("crm-1", JANE)
    request_id, ending = new_id(), new_id()
    customer = desks.crm.customer(HER).customer_token
    hold = desks.privacy.hold(HER, "email", request_id=request_id)
    assert desks.privacy.hold(HER, "email", request_id=request_id) == hold
    assert len(desks.crm.customer(HER).holds) == 1
    for _ in range(2):
        desks.privacy.release(HER, hold, ending)
    desks.eraser.shred(HER)
    with pytest.raises(ShreddedError):
        desks.privacy.hold(by_token(customer))
    with pytest.raises(AlreadyShreddedError):
        desks.eraser.shred(by_token(customer))


def test_every_act_is_in_the_customers_access_history(desks):
    _, mail, _ = desks.crm.tokens("crm-1", JANE)
    hold = desks.privacy.hold(HER, "email")
    desks.eraser.shred(HER)
    actions = [each.action for each in desks.privacy.accesses(customer=by_token(mail))]
    assert {"PlaceHold", "ShredCustomer", "RotateDek"} <= set(actions)
    desks.privacy.release(HER, hold)
    assert "CompleteShred" in [each.action for each in desks.privacy.accesses()]


STEPS = ("ledger", "keyring", "index", "values")


@pytest.mark.parametrize("commits", range(1, 4))
@pytest.mark.parametrize("step", STEPS)
def test_a_shred_under_a_hold_is_finished_wherever_it_was_cut_off(deployment, step, commits):
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        hold = desks.privacy.hold(HER, "email")
        request_id = new_id()
        _cut_off(desks, step, commits, lambda: desks.eraser.shred(HER, request_id))
    with deployment.opened() as desks:
        recover(desks)
        keeper(desks)()
        result = desks.eraser.shred(HER, request_id)
        assert (result.values, result.held_values, result.erasure.stage) == (2, 2, Stage.HELD)
        assert len(generations(desks)) == 1
        assert generations(desks) != [1]
        assert desks.crm.denied(tokens[::2], "legal_claims") == [Reason.VALUE_DELETED] * 2
        assert desks.crm.plain(tokens[1], "legal_claims") == JANE["email"]
        assert keeper(desks)() == ""
        desks.privacy.release(HER, hold)
        assert desks.vault.get_erasure(desks.eraser.caller, result.erasure.shred_id).stage is Stage.EFFECTIVE
    assert sound(deployment)


@pytest.mark.parametrize("commits", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_a_release_that_ends_a_shred_is_finished_wherever_it_was_cut_off(deployment, step, commits):
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        hold, request_id, asked = desks.privacy.hold(HER, "email"), new_id(), new_id()
        shred_id = desks.eraser.shred(HER, asked).erasure.shred_id
        _cut_off(desks, step, commits, lambda: desks.privacy.release(HER, hold, request_id))
    with deployment.opened() as desks:
        recover(desks)
        keeper(desks)()
        assert desks.vault.get_erasure(desks.eraser.caller, shred_id).stage is Stage.EFFECTIVE
        assert desks.crm.denied(tokens, "legal_claims") == [Reason.SHREDDED] * 3
        assert [each.shred_id.hex() for each in payloads(desks) if isinstance(each, Shred)] == [shred_id[4:]]
        desks.privacy.release(HER, hold, request_id)  # answered as it was, although the customer is gone
        assert desks.eraser.shred(HER, asked).certificate is not None
    assert sound(deployment)


def test_across_rotations_of_the_epoch_it_becomes_final_once_it_is_done(deployment):
    with deployment.opened() as desks:
        _, mail, _ = desks.crm.tokens("crm-1", JANE)
        hold = desks.privacy.hold(HER, "email")
        shred_id = desks.eraser.shred(HER).erasure.shred_id
        rotation(desks.vault).rotate()
        assert desks.vault.get_erasure(desks.eraser.caller, shred_id).stage is Stage.HELD
        assert desks.crm.plain(mail, "legal_claims") == JANE["email"]
        desks.privacy.release(HER, hold)
        effective = checked(deployment, desks.vault.get_certificate(desks.eraser.caller, shred_id))
        assert effective.conclusion.stage is Stage.EFFECTIVE
        assert [each.generation for each in effective.statement.generations] == [1, 2]
        assert effective.statement.values == 4
        rotation(desks.vault).rotate()
        final = checked(deployment, desks.vault.get_certificate(desks.eraser.caller, shred_id))
        assert final.conclusion.stage is Stage.FINAL_BEST_EFFORT
        assert {each.epoch for each in final.conclusion.attempts} == {1, 2}


class CutOffError(Exception):
    """Stands for the end of the process."""


def _cut_off(desks: Desks, step: str, commits: int, act: Callable[[], object]) -> None:
    """Dies in the commit of a number after a step of it, or the next one that has the step, if any."""
    shared, committed = desks.vault.engine.store._shared, []

    def after(done: str) -> None:
        if done == step and len(committed) >= commits - 1:
            raise CutOffError
        if done == "values":
            committed.append(done)

    shared.after_step = after
    with suppress(CutOffError):
        act()
    shared.after_step = lambda _: None


def test_a_hold_and_a_restriction_placed_after_a_backup_survive_its_restore(deployment, tmp_path):
    with deployment.opened() as desks:
        _, mail, _ = desks.crm.tokens("crm-1", JANE)
        desks.crm.tokens("crm-2", JANE)
        early = desks.privacy.hold(HER, "name", reference="before")
        lifted = desks.privacy.restrict(by_id("crm-2"))
        backup = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
        hold = desks.privacy.hold(HER, "email", reference="after")
        desks.privacy.release(HER, early)
        desks.privacy.restrict(HER, Scope(purposes=["marketing"]))
        desks.privacy.restrict(HER)
        desks.privacy.lift(by_id("crm-2"), lifted)
        before = desks.crm.customer(HER)
    restore(deployment, backup)
    with deployment.opened() as desks:
        after = desks.crm.customer(HER)
        assert (after.holds, after.restrictions) == (before.holds, before.restrictions)
        assert after.holds == [HoldInfo(hold, "email", 0, "after")]
        assert after.state == CustomerState.RESTRICTED
        assert desks.crm.denied([mail]) == [Reason.RESTRICTED]
        assert desks.crm.customer(by_id("crm-2")).state == CustomerState.ACTIVE
        with pytest.raises(HeldError):
            desks.crm.delete(mail)


def test_a_shred_that_waited_waits_on_after_a_restore_of_a_later_backup(deployment, tmp_path):
    with deployment.opened() as desks:
        _, mail, _ = desks.crm.tokens("crm-1", JANE)
        hold = desks.privacy.hold(HER, "email")
        erasure = desks.eraser.shred(HER).erasure
        backup = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
    restore(deployment, backup)
    with deployment.opened() as desks:
        assert desks.vault.get_erasure(desks.eraser.caller, erasure.shred_id) == erasure
        assert desks.crm.plain(mail, "legal_claims") == JANE["email"]
        desks.privacy.release(HER, hold)
        assert desks.crm.denied([mail], "legal_claims") == [Reason.SHREDDED]


def test_after_a_restore_of_data_from_before_the_shred_nothing_is_left_to_hold(deployment, tmp_path):
    """Its key is destroyed, and with it what the hold kept in that copy: the shred is done."""
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        desks.privacy.hold(HER, "email")
        backup = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
        erasure = desks.eraser.shred(HER).erasure
    restore(deployment, backup)
    with deployment.opened() as desks:
        assert desks.vault.get_erasure(desks.eraser.caller, erasure.shred_id).stage is Stage.EFFECTIVE
        assert desks.crm.denied(tokens, "legal_claims") == [Reason.SHREDDED] * 3
    assert sound(deployment)


def test_a_customer_that_came_after_the_backup_leaves_no_erasure_waiting(deployment, tmp_path):
    with deployment.opened() as desks:
        backup = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
        tokens = desks.crm.tokens("crm-1", JANE)
        desks.privacy.hold(HER)
        erasure = desks.eraser.shred(HER).erasure
    restore(deployment, backup)
    with deployment.opened() as desks:
        assert desks.vault.get_erasure(desks.eraser.caller, erasure.shred_id).stage is Stage.EFFECTIVE
        assert desks.crm.denied(tokens) == [Reason.SHREDDED] * 3
        assert keeper(desks)() == ""
    assert sound(deployment)


@pytest.mark.parametrize("commits", range(1, 5))
@pytest.mark.parametrize("step", STEPS)
def test_a_hold_that_frees_a_part_is_ended_wherever_it_was_cut_off(deployment, step, commits):
    with deployment.opened() as desks:
        _, mail, phone = desks.crm.tokens("crm-1", JANE)
        first, _ = desks.privacy.hold(HER, "email", "phone"), desks.privacy.hold(HER, "phone")
        desks.eraser.shred(HER)
        request_id = new_id()
        _cut_off(desks, step, commits, lambda: desks.privacy.release(HER, first, request_id))
    with deployment.opened() as desks:
        recover(desks)
        keeper(desks)()
        desks.privacy.release(HER, first, request_id)
        assert desks.crm.denied([mail], "legal_claims") == [Reason.VALUE_DELETED]
        assert desks.crm.plain(phone, "legal_claims") == JANE["phone/mobile"]
        assert len(generations(desks)) == 1
        assert generations(desks)[0] > 2  # the second one opens the e-mail
        assert keeper(desks)() == ""
    assert sound(deployment)


@pytest.mark.parametrize("step", ["ledger", "values"])
def test_a_hold_that_was_cut_off_is_there_once_and_its_request_answers_with_its_id(deployment, step):
    with deployment.opened() as desks:
        _, mail, _ = desks.crm.tokens("crm-1", JANE)
        request_id, restricting = new_id(), new_id()
        _cut_off(desks, step, 1, lambda: desks.privacy.hold(HER, "email", request_id=request_id))
    with deployment.opened() as desks:
        hold = desks.privacy.hold(HER, "email", request_id=request_id)
        assert desks.crm.customer(HER).holds == [HoldInfo(hold, "email")]
        with pytest.raises(HeldError):
            desks.crm.delete(mail)
        _cut_off(desks, step, 1, lambda: desks.privacy.restrict(HER, request_id=restricting))
    with deployment.opened() as desks:
        restriction = desks.privacy.restrict(HER, request_id=restricting)
        assert [each.id for each in desks.crm.customer(HER).restrictions] == [restriction]
        assert desks.crm.denied([mail]) == [Reason.RESTRICTED]
