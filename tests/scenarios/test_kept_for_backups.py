"""A replaced data key is kept as long as data backups are, and what it opens is final no earlier."""

from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked
from tests.scenarios.support.deployment import Deployment, Desks, by_id, keep_backups
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.slow_provider import DAY_MS, Clock, SlowProvider, slow_rotation
from tests.scenarios.support.tampering import tampering
from vault.config import load_settings
from vault.core.backup import create_backup
from vault.core.checking import check
from vault.errors import InvalidRequestError, Reason
from vault.keys.unlock import unlock
from vault.model.erasure import Stage, Step
from vault.model.requests import Erasure
from vault.store.entries import Shred
from vault.store.layout import customer_key, split_value_key

pytestmark = pytest.mark.slow

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456"}


@pytest.fixture
def clock(desks: Desks) -> Clock:
    return Clock(desks.vault.engine)


def generations(desks: Desks, number: int) -> list[int]:
    with desks.vault.engine.store.keyring() as keys:
        return list(keys.generations(1, number))


def erasure(desks: Desks) -> Erasure:
    """The only one."""
    (found,) = desks.vault.list_erasures(desks.eraser.caller, 10, "").items
    assert desks.vault.get_erasure(desks.eraser.caller, found.shred_id) == found
    return found


def steps(desks: Desks) -> list[tuple[str, Step]]:
    return [(each.root_key_id[:6], each.step) for each in erasure(desks).waits_for]


def findings(deployment: Deployment) -> list[str]:
    settings = load_settings(deployment.data_dir)
    edk = unlock(deployment.data_dir, settings, None)
    try:
        return [each.code for each in check(deployment.data_dir, settings, edk) if each.severity == "error"]
    finally:
        edk.free()


def test_it_is_carried_until_its_time_and_destroyed_by_the_rotation_after(
    deployment: Deployment, desks: Desks, clock: Clock
) -> None:
    name, *others = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    assert steps(desks) == [("root-1", Step.RESEALING)]
    rotation(desks.vault).rotate()
    replaced_ms = clock.now_ms
    for days in (0, 15, 14.999):
        clock.pass_days(days)
        rotation(desks.vault).rotate()
        assert generations(desks, 1) == [1, 2]
        (waiting,) = erasure(desks).waits_for
        assert (waiting.step, waiting.due_ms) == (Step.KEPT, replaced_ms + 30 * DAY_MS)
        with pytest.raises(InvalidRequestError):
            desks.vault.get_certificate(desks.eraser.caller, erasure(desks).shred_id)
    clock.pass_days(0.001)
    assert [step for _, step in steps(desks)] == [Step.ROTATION]
    assert erasure(desks).stage is Stage.EFFECTIVE
    rotation(desks.vault).rotate()
    assert generations(desks, 1) == [2]
    assert (erasure(desks).stage, steps(desks)) == (Stage.FINAL_BEST_EFFORT, [])
    made = desks.vault.get_certificate(desks.eraser.caller, erasure(desks).shred_id)
    stated = checked(deployment, made, clock.now_ms)
    assert [each.generation for each in stated.statement.generations] == [1]
    assert stated.conclusion.final_ms == erasure(desks).final_ms >= replaced_ms + 30 * DAY_MS
    assert len(stated.conclusion.attempts) == 5  # every epoch that carried it
    assert desks.crm.read(others).values == list(JANE.values())[1:]


def test_its_end_waits_for_every_root_key_that_wrapped_it(desks: Desks, clock: Clock) -> None:
    name, *_ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    slow = slow_rotation(desks.vault.engine, SlowProvider(clock, delay_ms=DAY_MS))
    slow.rotate()
    assert steps(desks) == [("root-1", Step.CONFIRMATION), ("root-2", Step.KEPT)]
    clock.pass_days(30)
    slow.rotate()
    assert steps(desks) == [("root-2", Step.CONFIRMATION)]
    clock.pass_days(1)
    assert erasure(desks).stage is Stage.EFFECTIVE
    slow.resume()
    assert erasure(desks).stage is Stage.FINAL


def test_a_clock_that_is_set_back_does_not_hasten_it(desks: Desks, clock: Clock) -> None:
    name, mail, _ = desks.crm.tokens("crm-1", JANE)
    clock.pass_days(1000)
    desks.crm.delete(name)
    rotation(desks.vault).rotate()
    clock.pass_days(-1000)
    rotation(desks.vault).rotate()
    desks.crm.delete(mail)
    rotation(desks.vault).rotate()
    clock.pass_days(1029)
    rotation(desks.vault).rotate()
    assert generations(desks, 1) == [1, 2, 3]
    clock.pass_days(1)
    rotation(desks.vault).rotate()
    assert generations(desks, 1) == [3]


def test_generations_end_one_by_one(desks: Desks, clock: Clock) -> None:
    tokens = desks.crm.tokens("crm-1", JANE)
    seen = []
    for token in tokens:
        desks.crm.delete(token)
        rotation(desks.vault).rotate()
        clock.pass_days(14)
    for _ in range(4):
        rotation(desks.vault).rotate()
        seen.append(generations(desks, 1))
        clock.pass_days(7)
    assert seen == [[2, 3, 4], [3, 4], [3, 4], [4]]


def test_a_shred_ends_them_all_and_so_does_a_key_that_is_asked_for(desks: Desks) -> None:
    for customer in ("crm-1", "crm-2"):
        name, *_ = desks.crm.tokens(customer, JANE)
        desks.crm.delete(name)
    rotation(desks.vault).rotate()
    desks.eraser.shred(by_id("crm-1"))
    assert desks.vault.rotate_dek(desks.admin.caller, by_id("crm-2"), "")[0] == 3
    assert (generations(desks, 1), generations(desks, 2)) == ([], [3])
    shreds = [each.payload for each in desks.vault.engine.store.ledger() if isinstance(each.payload, Shred)]
    assert [each.generations for each in shreds] == [(1, 2)]
    rotation(desks.vault).rotate()
    erasures = desks.vault.list_erasures(desks.eraser.caller, 10, "").items
    assert {each.stage for each in erasures} == {Stage.FINAL_BEST_EFFORT}


def test_what_a_restore_brings_back_is_replaced_again(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        clock = Clock(desks.vault.engine)
        name, *others = desks.crm.tokens("crm-1", JANE)
        bundle = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store)
        desks.crm.delete(name)
        for _ in range(3):
            rotation(desks.vault).rotate()
        assert [step for _, step in steps(desks)] == [Step.KEPT]
    report = restore(deployment, bundle.path)
    assert (report.exact, report.customers, report.lost_generation) == (True, 1, [])
    assert findings(deployment) == []
    with deployment.opened() as desks:
        again = Clock(desks.vault.engine)
        again.now_ms = clock.now_ms
        assert desks.crm.denied([name]) == [Reason.VALUE_DELETED]
        assert [step for _, step in steps(desks)] == [Step.RESEALING]
        again.pass_days(40)  # the time of the generation that the restore put in use again does not pass
        rotation(desks.vault).rotate()
        assert (generations(desks, 1), erasure(desks).stage) == ([1, 2, 3], Stage.EFFECTIVE)
        assert [step for _, step in steps(desks)] == [Step.KEPT]
        assert desks.crm.read(others).values == list(JANE.values())[1:]
        again.pass_days(30)
        rotation(desks.vault).rotate()
        assert (generations(desks, 1), erasure(desks).stage) == ([3], Stage.FINAL_BEST_EFFORT)
        assert desks.crm.read(others).values == list(JANE.values())[1:]
    assert findings(deployment) == []


def test_backups_from_each_of_three_epochs_open_whoever_was_not_shredded(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Corrections and deletions lie between, as every day: whoever is there opens, and nobody else."""
    bundles, tokens = [], {}
    with deployment.opened() as desks:
        clock = Clock(desks.vault.engine)
        for n in range(12):
            tokens[n] = desks.crm.tokens(f"crm-{n}", JANE)
        for epoch in range(3):
            bundles.append(create_backup(deployment.data_dir, tmp_path / "b", store=desks.vault.engine.store))
            clock.pass_days(9)
            desks.crm.update(tokens[0][0], f"Jane the {epoch}.")
            desks.crm.update(tokens[epoch + 1][1], "jane@example.org")
            desks.crm.delete(tokens[epoch + 4][2])
            desks.eraser.shred(by_id(f"crm-{epoch + 8}"))
            rotation(desks.vault).rotate()
    for bundle in (bundles[0], bundles[2], bundles[1]):
        report = restore(deployment, bundle.path)
        assert (report.exact, report.customers) == (True, 9)
        assert (report.lost_generation, report.lost_key, report.lost_newer, report.damaged) == (
            [],
            [],
            [],
            [],
        )
        assert findings(deployment) == []
        with deployment.opened() as desks:
            Clock(desks.vault.engine).now_ms = clock.now_ms
            with desks.vault.engine.store.keyring() as keys:
                wrapped = {int(split_value_key(key + bytes(3))[1]) for key in {k[:6] for k, _ in keys.deks()}}
            assert wrapped == {n + 1 for n in range(12) if n not in (8, 9, 10)}
            for n in range(12):
                if n in (8, 9, 10):
                    assert desks.crm.denied(tokens[n]) == [Reason.SHREDDED] * 3
                elif n in (4, 5, 6):
                    assert desks.crm.denied(tokens[n][2:]) == [Reason.VALUE_DELETED]
                    assert desks.crm.read(tokens[n][:2]).values == list(JANE.values())[:2]
                elif n in (7, 11):
                    assert desks.crm.read(tokens[n]).values == list(JANE.values())
            assert JANE["name"] not in desks.crm.read(tokens[0][:1]).values
            for n in (1, 2, 3):
                assert JANE["email"] not in desks.crm.read(tokens[n][1:2]).values
            rotation(desks.vault).rotate()


def test_a_backup_that_is_older_than_that_loses_who_was_re_sealed(
    deployment: Deployment, tmp_path: Path
) -> None:
    keep_backups(deployment, 0)
    with deployment.opened() as desks:
        name, *_ = desks.crm.tokens("crm-1", JANE)
        desks.crm.tokens("crm-2", JANE)
        bundle = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store)
        desks.crm.delete(name)
        rotation(desks.vault).rotate()
    report = restore(deployment, bundle.path)
    assert (report.exact, report.customers, report.lost_generation) == (True, 1, [1])


def test_a_row_that_names_the_old_generation_keeps_it_and_stops_no_rotation(deployment: Deployment) -> None:
    """All rows of a customer put back as they were: genuine, so nothing but the ledger knows better."""
    with deployment.opened() as desks:
        clock = Clock(desks.vault.engine)
        for each in ("crm-1", "crm-2"):
            name, *_ = desks.crm.tokens(each, JANE)
            desks.crm.delete(name)
        with desks.vault.engine.store.snapshot() as snapshot:
            former = [(bytes(key), bytes(row)) for key, row in snapshot.scan_customer(1, 1)]
            sheet = snapshot.sheet(customer_key(1, 1))
        rotation(desks.vault).rotate()
    assert sheet is not None
    with tampering(deployment) as session:
        for key, row in former:
            session.put_value(key, row)
        session.put_sheet(customer_key(1, 1), sheet)
    with deployment.opened() as desks:
        Clock(desks.vault.engine).now_ms = clock.now_ms + 31 * DAY_MS
        rotation(desks.vault).rotate()
        assert (generations(desks, 1), generations(desks, 2)) == ([1, 2], [2])
        stages = [each.stage for each in desks.vault.list_erasures(desks.eraser.caller, 10, "").items]
        assert stages == [Stage.EFFECTIVE, Stage.FINAL_BEST_EFFORT]
