"""Single values that were deleted or corrected: effective at once, final with the next rotation.

No data backups are kept here that replaced data keys would be kept for.
"""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.scenarios.support.certificates import checked
from tests.scenarios.support.deployment import Deployment, Desks, by_id, copy_vault, keep_backups
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.tampering import tampering
from vault.erasure.certificate import Scope
from vault.errors import ErasureUnknownError, IntegrityFailedError, InvalidRequestError
from vault.model.erasure import Stage, Step
from vault.model.requests import Erasure
from vault.store.layout import value_key

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456"}
SCHEMA = Path(__file__).parents[2] / "docs" / "erasure-certificate.schema.json"


@pytest.fixture
def deployment(template: Deployment, tmp_path: Path) -> Deployment:
    """A vault without backups."""
    made = copy_vault(template, tmp_path)
    keep_backups(made, 0)
    return made


def erasures(desks: Desks, stage: Stage | None = None, page_size: int = 100) -> list[Erasure]:
    found, token = [], ""
    while True:
        page = desks.vault.list_erasures(desks.eraser.caller, page_size, token, stage)
        found += page.items
        token = page.next_page_token
        if not token:
            return found


def generations(desks: Desks, number: int) -> list[int]:
    with desks.vault.engine.store.keyring() as keys:
        return list(keys.generations(1, number))


def test_a_rotation_makes_them_final_and_nobody_else_gets_another_key(
    deployment: Deployment, desks: Desks
) -> None:
    name, mail, phone = desks.crm.tokens("crm-1", JANE)
    untouched = desks.crm.tokens("crm-2", JANE)
    desks.crm.delete(phone)
    desks.crm.update(name, "Joan Doe")
    (waiting,) = erasures(desks)
    assert (waiting.stage, waiting.final_ms, waiting.commitment) == (Stage.EFFECTIVE, 0, b"")
    assert [each.step for each in waiting.waits_for] == [Step.ROTATION]
    assert desks.vault.get_erasure(desks.eraser.caller, waiting.shred_id) == waiting
    with pytest.raises(InvalidRequestError):
        desks.vault.get_certificate(desks.eraser.caller, waiting.shred_id)

    rotation(desks.vault).rotate()
    assert (generations(desks, 1), generations(desks, 2)) == ([2], [1])
    assert desks.crm.read([name, mail]).values == ["Joan Doe", JANE["email"]]
    assert desks.crm.read(untouched).values == list(JANE.values())
    (final,) = erasures(desks)
    assert (final.shred_id, final.effective_ms) == (waiting.shred_id, waiting.effective_ms)
    assert (final.stage, final.waits_for) == (Stage.FINAL_BEST_EFFORT, ())
    assert erasures(desks, Stage.EFFECTIVE) == []
    assert erasures(desks, Stage.FINAL_BEST_EFFORT) == [final]

    made = desks.vault.get_certificate(desks.eraser.caller, final.shred_id)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(made.content))
    found = checked(deployment, made)
    stated = found.statement
    assert (stated.scope, stated.erasure_id, stated.customer) == (Scope.GENERATIONS, final.shred_id, (1, 1))
    assert [(each.value_no, each.corrected) for each in stated.erased_values] == [(2, True), (4, False)]
    assert [each.generation for each in stated.generations] == [1]
    assert found.conclusion.final_ms == final.final_ms
    assert [each.root_key_id[:6] for each in found.conclusion.attempts] == ["root-1"]


def test_what_goes_during_a_rotation_waits_for_the_next(desks: Desks) -> None:
    name, mail, _ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    rotation(desks.vault, lambda step: desks.crm.delete(mail) if step == "intent" else None).rotate()
    first, second = erasures(desks)
    assert (first.stage, second.stage) == (Stage.FINAL_BEST_EFFORT, Stage.EFFECTIVE)
    assert generations(desks, 1) == [2]
    rotation(desks.vault).rotate()
    assert [each.stage for each in erasures(desks)] == [Stage.FINAL_BEST_EFFORT] * 2
    assert generations(desks, 1) == [3]
    rotation(desks.vault).rotate()
    assert generations(desks, 1) == [3]  # nothing waits any more


def test_pages_hold_shreds_and_values_in_the_ledgers_order(desks: Desks) -> None:
    for number in range(6):
        name, *_ = desks.crm.tokens(f"crm-{number}", JANE)
        if number % 2:
            desks.crm.delete(name)
        else:
            desks.eraser.shred(by_id(f"crm-{number}"))
    whole = erasures(desks)
    assert [each.shred_id[:4] for each in whole] == ["shr_", "val_"] * 3
    assert [each.ledger_seq for each in whole] == sorted(each.ledger_seq for each in whole)
    for page_size in (1, 2, 4):
        assert erasures(desks, page_size=page_size) == whole
        assert erasures(desks, Stage.EFFECTIVE, page_size) == whole


def test_a_shred_ends_what_went_before_it(deployment: Deployment, desks: Desks) -> None:
    name, *_ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    desks.eraser.shred(by_id("crm-1"))
    rotation(desks.vault).rotate()
    partial, shred = erasures(desks)
    assert (partial.stage, partial.final_ms) == (shred.stage, shred.final_ms)
    found = checked(deployment, desks.vault.get_certificate(desks.eraser.caller, partial.shred_id))
    assert found.statement.entry_seq == shred.ledger_seq


def test_many_customers_are_done_in_groups_and_told(desks: Desks) -> None:
    for number in range(150):
        name, *_ = desks.crm.tokens(f"crm-{number}", JANE)
        desks.crm.delete(name)
    steps: list[str] = []
    rotation(desks.vault, steps.append).rotate()
    assert steps.count("resealing") == 3
    assert all(generations(desks, number) == [2] for number in range(1, 151))


@pytest.mark.parametrize("value_no", [0, 2], ids=["its row", "a value"])
def test_a_damaged_customer_stays_as_it_is_and_keeps_no_other_from_being_final(
    deployment: Deployment, value_no: int
) -> None:
    with deployment.opened() as desks:
        for each in ("crm-1", "crm-2", "crm-3"):
            name, *_ = desks.crm.tokens(each, JANE)
            desks.crm.delete(name)
    with tampering(deployment) as session:
        key = value_key(1, 2, value_no)
        row = session.get(key)
        assert row is not None
        session.put_value(key, row[:-1] + bytes([row[-1] ^ 1]))
    with deployment.opened() as desks:
        rotation(desks.vault).rotate()
        assert [generations(desks, number) for number in (1, 2, 3)] == [[2], [1], [2]]
        assert [each.stage for each in erasures(desks)] == [
            Stage.FINAL_BEST_EFFORT,
            Stage.EFFECTIVE,
            Stage.FINAL_BEST_EFFORT,
        ]
        with pytest.raises(IntegrityFailedError):
            desks.vault.rotate_dek(desks.admin.caller, by_id("crm-2"), "")


@pytest.mark.parametrize(
    "name", ["val_", "val_zz", "val_" + "00" * 14, "val_" + "01" * 14, "shr_" + "00" * 16]
)
def test_a_name_of_nothing_is_unknown(desks: Desks, name: str) -> None:
    name_token, *_ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name_token)
    with pytest.raises(ErasureUnknownError):
        desks.vault.get_erasure(desks.eraser.caller, name)
