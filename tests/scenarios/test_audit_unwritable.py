import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked_shred
from tests.scenarios.support.deployment import Deployment, Desks, by_id, found_vault, open_vault
from tests.scenarios.support.small_disk import SmallDisk, on_small_disk
from vault.errors import AuditUnavailableError, Reason

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
DISK_BYTES = 8 << 20
SETTINGS = """\
[audit]
directory = "{disk}"
segment_bytes = 65536
[storage]
low_water_bytes = 1048576
reserve_bytes = 1048576
"""


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.02)


def refuses_every_read(desks: Desks, tokens: list[str]) -> None:
    """Nothing leaves without its record, whoever asks and however."""
    crm, vault = desks.crm, desks.vault
    for act in (
        lambda: crm.read(tokens),
        lambda: desks.agent.read(tokens[:1]),
        lambda: desks.nobody.read(tokens),
        lambda: vault.export_customer(desks.privacy.caller, by_id("crm-1"), "support", ""),
        lambda: crm.customer(by_id("crm-1")),
        lambda: vault.inspect(crm.caller, tokens[0]),
        lambda: vault.translate(desks.bridge.caller, tokens, "partner"),
        lambda: crm.store("crm-1", {"note": "unrecorded"}),
        lambda: crm.update(tokens[0], "Janet"),
        lambda: crm.delete(tokens[0]),
        lambda: vault.rotate_dek(desks.admin.caller, by_id("crm-1"), ""),
        lambda: desks.privacy.accesses(),
    ):
        with pytest.raises(AuditUnavailableError) as caught:
            act()
        assert caught.value.details["cause"] in ("ENOSPC", "EROFS")


def until_refused(desks: Desks, tokens: list[str]) -> int:
    """Reads until the preallocated segments are used up; returns how many reads were recorded."""
    count = 0
    while True:
        try:
            desks.crm.read(tokens)
        except AuditUnavailableError:
            return count
        count += 1


def full_audit_disk(disk: SmallDisk, directory: Path) -> None:
    deployment = found_vault(directory / "vault", settings=SETTINGS.format(disk=disk.path))
    with open_vault(deployment.data_dir, "test") as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        for number in range(2, 6):
            desks.crm.store(f"crm-{number}", JANE)
        assert desks.vault.audit_status(desks.privacy.caller).writable
        disk.fill()
        recorded = until_refused(desks, tokens * 20)
        until_refused(desks, [])  # nor is there room for the smallest record
        refuses_every_read(desks, tokens)
        assert not desks.vault.audit_status(desks.privacy.caller).writable

        a_single_shred_proceeds_and_a_bulk_one_does_not(deployment, desks)

        disk.empty()
        eventually(lambda: desks.vault.audit_status(desks.privacy.caller).writable)
        assert desks.crm.read(tokens).values == list(JANE.values())
        reads = [each for each in desks.privacy.accesses(page_size=1000) if each.action == "Detokenize"]
        assert len([each for each in reads if each.values_plain == 40]) == recorded
        assert desks.vault.audit_status(desks.privacy.caller).gaps == 0


def a_single_shred_proceeds_and_a_bulk_one_does_not(deployment: Deployment, desks: Desks) -> None:
    with pytest.raises(AuditUnavailableError):
        desks.eraser.shred_all([by_id("crm-2"), by_id("crm-3")])
    gone = desks.eraser.shred(by_id("crm-4"))
    checked_shred(deployment, gone)
    entries = [entry.payload for entry in desks.vault.engine.store.ledger()]
    assert entries[-1].shred_id.hex() == gone.erasure.shred_id.removeprefix("shr_")
    assert entries[-1].principal_id > 0  # its ledger entry stands in for the record
    assert desks.vault.get_erasure(desks.eraser.caller, gone.erasure.shred_id) == gone.erasure


def read_only_audit_disk(disk: SmallDisk, directory: Path) -> None:
    deployment = found_vault(directory / "vault", settings=SETTINGS.format(disk=disk.path))
    with open_vault(deployment.data_dir, "test") as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        for number in range(2, 6):
            desks.crm.store(f"crm-{number}", JANE)
    disk.remount("ro")
    with open_vault(deployment.data_dir, "test") as desks:  # it starts, to refuse with the reason
        refuses_every_read(desks, tokens)
        a_single_shred_proceeds_and_a_bulk_one_does_not(deployment, desks)
        disk.remount("rw")
        eventually(lambda: desks.vault.audit_status(desks.privacy.caller).writable)
        assert desks.crm.read(tokens).values == list(JANE.values())
        assert desks.crm.customer(by_id("crm-2")).held
        assert desks.crm.denied([tokens[0]], "billing") == [Reason.PURPOSE_DENIED]


def test_with_the_audit_disk_full_no_read_returns_plaintext_until_space_returns(tmp_path):
    on_small_disk(full_audit_disk, tmp_path, DISK_BYTES)


def test_with_the_audit_disk_read_only_no_read_returns_plaintext_until_it_is_writable(tmp_path):
    on_small_disk(read_only_audit_disk, tmp_path, DISK_BYTES)
