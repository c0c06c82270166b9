from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked_shred
from tests.scenarios.support.deployment import by_id, by_token, found_vault, open_vault
from tests.scenarios.support.small_disk import SmallDisk, on_small_disk
from vault.errors import AuditUnavailableError, Reason, StorageFullError

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
DISK_BYTES = 96 << 20
SETTINGS = """\
[audit]
segment_bytes = 262144
[storage]
low_water_bytes = 2097152
reserve_bytes = 1048576
"""
CUSTOMERS = 30


def everything_on_one_full_disk(disk: SmallDisk, directory: Path) -> None:
    deployment = found_vault(disk.path / "vault", settings=SETTINGS)
    with open_vault(deployment.data_dir, "test") as desks:
        tokens = {number: desks.crm.tokens(f"crm-{number}", JANE) for number in range(CUSTOMERS)}
        desks.vault.engine.store.preallocate()
        disk.fill()
        assert disk.free_bytes < 4096
        writes_are_refused(desks, tokens[0])
        for number in range(CUSTOMERS):  # reads go on while the preallocated audit space lasts
            assert desks.crm.read(tokens[number]).values == list(JANE.values())
        for number in range(5):  # and shreds work, one after the other
            gone = desks.eraser.shred(by_id(f"crm-{number}"))
            checked_shred(deployment, gone)
            assert desks.crm.denied(tokens[number]) == [Reason.SHREDDED] * 2
        with pytest.raises(AuditUnavailableError):
            read_without_end(desks, tokens[9] * 100)
        gone = desks.eraser.shred(by_token(tokens[9][0]))  # even when the audit space is used up
        assert gone.erasure is not None
        assert desks.vault.engine.store.stopped_reason() is None

        disk.empty()
        assert desks.crm.denied(tokens[9]) == [Reason.SHREDDED] * 2
        assert desks.crm.read(tokens[10]).values == list(JANE.values())
        assert desks.crm.store("crm-new", JANE).customer_created
    with open_vault(deployment.data_dir, "test") as desks:
        for number in range(CUSTOMERS):
            shredded = number < 5 or number == 9
            revealed = desks.crm.read(tokens[number])
            assert revealed.values == (["", ""] if shredded else list(JANE.values()))


def read_without_end(desks, tokens: list[str]) -> None:
    while True:
        desks.crm.read(tokens)


def store_without_end(desks, stored: dict[str, list[str]]) -> None:
    for number in range(100_000):
        name = f"crm-{number}"
        stored[name] = desks.crm.tokens(name, {"note": f"{name} " * 2000})


def writes_are_refused(desks, tokens: list[str]) -> None:
    for act in (
        lambda: desks.crm.store("crm-new", JANE),
        lambda: desks.crm.store("crm-0", {"note": "x"}),
        lambda: desks.crm.update(tokens[0], "Janet"),
        lambda: desks.vault.create_customer(desks.crm.caller, by_id("crm-x").external_id, "", "", ""),
        lambda: desks.vault.rotate_dek(desks.admin.caller, by_id("crm-0"), ""),
    ):
        with pytest.raises(StorageFullError):
            act()


def a_vault_that_opens_on_a_full_disk(disk: SmallDisk, directory: Path) -> None:
    """As after a restart: nothing was in memory, and there is no room for anything new."""
    deployment = found_vault(disk.path / "vault", settings=SETTINGS)
    with open_vault(deployment.data_dir, "test") as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        desks.vault.engine.store.preallocate()
        disk.fill()
    disk.fill()
    with open_vault(deployment.data_dir, "test") as desks:
        with pytest.raises((AuditUnavailableError, StorageFullError)):
            desks.crm.store("crm-2", JANE)
        desks.eraser.shred(by_id("crm-1"))
        disk.empty()
    with open_vault(deployment.data_dir, "test") as desks:
        assert desks.crm.denied(tokens) == [Reason.SHREDDED] * 2


def writes_until_it_is_full(disk: SmallDisk, directory: Path) -> None:
    """Not at a low-water mark, but into it: many customers, then the truth is checked."""
    deployment = found_vault(disk.path / "vault", settings=SETTINGS)
    disk.fill(leave_bytes=5 << 20)
    stored: dict[str, list[str]] = {}
    with open_vault(deployment.data_dir, "test") as desks:
        with pytest.raises(StorageFullError):
            store_without_end(desks, stored)
        for name, (token,) in stored.items():
            assert desks.crm.plain(token) == f"{name} " * 1999 + name
        desks.eraser.shred(by_id("crm-0"))
    assert len(stored) > 20


def test_on_a_full_disk_writes_are_refused_reads_go_on_and_shreds_work(tmp_path):
    on_small_disk(everything_on_one_full_disk, tmp_path, DISK_BYTES)


def test_a_vault_restarted_on_a_full_disk_still_shreds(tmp_path):
    on_small_disk(a_vault_that_opens_on_a_full_disk, tmp_path, DISK_BYTES)


def test_a_vault_written_until_the_disk_is_full_loses_nothing_that_it_acknowledged(tmp_path):
    on_small_disk(writes_until_it_is_full, tmp_path, DISK_BYTES)
