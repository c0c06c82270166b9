import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked_shred
from tests.scenarios.support.consenting import CONSENTING_POLICY, govern, say
from tests.scenarios.support.deployment import Deployment, Desks, by_id, found_vault, open_vault
from tests.scenarios.support.small_disk import SmallDisk, on_small_disk
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.verifying import verify
from vault.core.sealing import Sealing, audit_keys
from vault.core.signingkey import rotate_signing_key
from vault.core.trail import Trail
from vault.errors import AuditUnavailableError, Reason
from vault.model.consents import ConsentState, Saying
from vault.model.controls import ApprovalAct, ApprovalRequest
from vault.model.requests import Scope
from vault.store.entries import ConsentEnded, TermsNarrowed

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
        refused(act)


def refuses_dangerous_acts(desks: Desks, restriction: int) -> None:
    """What opens something, or ends a key, is not done without its record."""
    vault, admin = desks.vault, desks.admin.caller
    for act in (
        lambda: vault.rotate_epoch(admin, ""),
        lambda: vault.apply_policy(
            admin, CONSENTING_POLICY + "\n# another\n", validate_only=False, request_id=""
        ),
        lambda: vault.create_principal(admin, "newcomer", "", 0, ""),
        lambda: vault.request_approval(admin, ApprovalRequest(ApprovalAct.ROTATE_EPOCH, "due"), ""),
        lambda: rotate_signing_key(vault.engine, Trail(vault.engine.audit)),
        lambda: desks.privacy.lift(by_id("crm-1"), restriction),
        lambda: say(desks.privacy, "crm-2", "marketing", Saying.GIVEN),
    ):
        refused(act)


def what_takes_from_readers_goes_through(desks: Desks) -> None:
    """Their entries in the ledger, or in the customer's chain, stand in for the record."""
    before = len(list(desks.vault.engine.store.ledger()))
    assert say(desks.privacy, "crm-3", "marketing", Saying.WITHDRAWN).state is ConsentState.WITHDRAWN
    desks.privacy.restrict(by_id("crm-3"))
    desks.privacy.hold(by_id("crm-3"))
    kinds = [type(each.payload) for each in desks.vault.engine.store.ledger()][before:]
    assert kinds == [ConsentEnded, TermsNarrowed, TermsNarrowed]


def seals(desks: Desks) -> SealedLog:
    """One round; the log then."""
    sealing = Sealing(desks.vault.engine)
    sealing.sealer.open()
    try:
        sealing.sealer.seal()
    finally:
        sealing.close()
    return SealedLog.open(sealing.files.root.parent)


def refused(act: Callable[[], object]) -> None:
    """For want of the log, and with the disk's reason."""
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
        govern(desks)
        restriction = desks.privacy.restrict(by_id("crm-1"), Scope(("billing",), ()))
        say(desks.privacy, "crm-3", "marketing", Saying.GIVEN)
        sealed = seals(desks).size
        assert desks.vault.audit_status(desks.privacy.caller).writable
        disk.fill()
        recorded = until_refused(desks, tokens * 20)
        until_refused(desks, [])  # nor is there room for the smallest record
        refuses_every_read(desks, tokens)
        refuses_dangerous_acts(desks, restriction)
        assert not desks.vault.audit_status(desks.privacy.caller).writable
        with pytest.raises((AuditUnavailableError, OSError)):
            seals(desks)

        what_takes_from_readers_goes_through(desks)
        a_single_shred_proceeds_and_a_bulk_one_does_not(deployment, desks)

        disk.empty()
        eventually(lambda: desks.vault.audit_status(desks.privacy.caller).writable)
        assert desks.crm.read(tokens).values == list(JANE.values())
        reads = [each for each in desks.privacy.accesses(page_size=1000) if each.action == "Detokenize"]
        assert len([each for each in reads if each.values_plain == 40]) == recorded
        assert desks.vault.audit_status(desks.privacy.caller).gaps == 0
        log = seals(desks)
        assert log.size > sealed + recorded
        assert verify(log.files.root, audit_keys(desks.vault.engine)).errors == []


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
