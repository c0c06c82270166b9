"""When the vault's own schedule asks for a new epoch."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Desks, by_id, found_vault
from tests.scenarios.support.rotating import rotation
from vault.core.operations import Schedule

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
HOUR_MS = 3_600_000


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with found_vault(tmp_path).opened() as desks:
        yield desks


def schedule(desks: Desks, *, hours: int = 0, shreds: int = 0) -> Schedule:
    engine = desks.vault.engine
    keys = replace(engine.settings.keys, rotate_hours=hours, rotate_shreds=shreds)
    engine.settings = replace(engine.settings, keys=keys)
    return Schedule(engine)


def pass_hours(desks: Desks, hours: int) -> None:
    clock = desks.vault.engine.now_ms
    desks.vault.engine.now_ms = lambda: clock() + hours * HOUR_MS


@pytest.mark.parametrize("how", ["delete", "update", "shred", "rotate_dek"])
def test_by_the_clock_once_anything_was_erased(desks: Desks, how: str) -> None:
    by_clock = schedule(desks, hours=24)
    name, _ = desks.crm.tokens("crm-1", JANE)
    pass_hours(desks, 25)
    assert not by_clock.due()
    match how:
        case "delete":
            desks.crm.delete(name)
        case "update":
            desks.crm.update(name, "Joan Doe")
        case "shred":
            desks.eraser.shred(by_id("crm-1"))
        case "rotate_dek":
            desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    assert by_clock.due()
    rotation(desks.vault).rotate()
    pass_hours(desks, 25)
    assert not by_clock.due()


def test_what_went_during_a_rotation_counts_for_the_next(desks: Desks) -> None:
    by_number = schedule(desks, shreds=1)
    desks.crm.tokens("crm-1", JANE)
    rotation(
        desks.vault, lambda step: desks.eraser.shred(by_id("crm-1")) if step == "copied" else None
    ).rotate()
    assert by_number.due()
    rotation(desks.vault).rotate()
    assert not by_number.due()


def test_single_values_are_no_shreds(desks: Desks) -> None:
    """A vault in which much is corrected would rotate all the time."""
    by_number = schedule(desks, shreds=1)
    name, _ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    assert not by_number.due()


def test_a_kept_key_whose_time_has_come_is_due_by_the_clock(desks: Desks) -> None:
    by_clock = schedule(desks, hours=24)
    name, _ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    rotation(desks.vault).rotate()
    pass_hours(desks, 30 * 24 - 1)
    assert not by_clock.due()
    pass_hours(desks, 2)
    assert by_clock.due()
    assert schedule(desks, hours=24).due()  # a keeper that has just started
    rotation(desks.vault).rotate()
    pass_hours(desks, 40 * 24)
    assert not by_clock.due()
