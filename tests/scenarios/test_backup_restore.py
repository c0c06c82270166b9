"""Backup, loss, restore: what was shredded, deleted or corrected since stays so, all else is back."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, by_id, by_token, found_vault, open_vault
from tests.scenarios.support.policies import POLICY
from tests.scenarios.support.restoring import STEPS_OF_THE_SWAP, restore
from tests.scenarios.support.rotating import rotation
from vault.core.backup import create_backup, verify_backup
from vault.core.checking import check
from vault.core.directory import FIELD_CLASS
from vault.core.keycopies import Worth, copy_keyring, verify_copy, worth_of
from vault.core.restore import Restore, Sources, finish_restore
from vault.core.restorereport import RestoreReport
from vault.errors import (
    CustomerUnknownError,
    IntegrityFailedError,
    InvalidRequestError,
    KeyUnavailableError,
    Reason,
    StorageFormatError,
    SuspendedError,
)
from vault.keys.unlock import unlock
from vault.model.requests import Outcome
from vault.store.entries import GenerationShredded, KeyringCopied, Restored, ValuesCorrected, Void
from vault.store.layout import split_value_key
from vault.store.lineage import Known
from vault.store.session import WriteSession
from vault.store.store import Store

pytestmark = pytest.mark.slow

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
ALBERT = {"name": "Albert Roe", "email": "albert@example.com"}
LEDGER = Path("ledger") / "entries"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def findings(deployment: Deployment) -> list[str]:
    edk = unlock(deployment.data_dir, deployment.settings, None)
    try:
        return [f"{each.code} {each.detail}" for each in check(deployment.data_dir, deployment.settings, edk)]
    finally:
        edk.free()


def number_of(desks: Desks, token: str) -> int:
    return int(desks.vault.engine.secrets.codec.decode(token).customer_no)


def generations(desks: Desks, number: int) -> list[int]:
    with desks.vault.engine.store.keyring() as keys:
        return list(keys.generations(1, number))


def customers_in(desks: Desks) -> set[int]:
    with desks.vault.engine.store.snapshot() as snapshot:
        return {int(split_value_key(key)[1]) for key, _ in snapshot.customers()}


def test_everything_since_the_backup_stays_done(deployment: Deployment, backups: Path) -> None:
    """Three rotations, shreds, deletions, corrections, re-sealing and new customers lie between.

    Whoever had single values deleted or corrected opens, for the keys that were replaced then are kept. Only
    a key that was replaced because somebody asked for it is gone.
    """
    data_dir = deployment.data_dir
    with deployment.opened() as desks:
        crm = desks.crm
        kept = [crm.tokens(f"kept-{n}", JANE) for n in range(5)]
        shredded = [crm.tokens(f"gone-{n}", ALBERT) for n in range(4)]
        early = crm.tokens("early", ALBERT)
        desks.eraser.shred(by_id("early"))
        thinned = crm.tokens("thinned", JANE)
        corrected = crm.tokens("corrected", JANE)
        both = crm.tokens("both", JANE)
        resealed = crm.tokens("resealed", JANE)
        bundle = create_backup(data_dir, backups, store=desks.vault.engine.store)
        rotation(desks.vault).rotate()
        desks.eraser.shred(by_id("gone-0"))
        receipt = desks.eraser.shred(by_id("gone-1")).erasure
        crm.delete(thinned[1])
        crm.update(corrected[1], "jane@example.org")
        crm.update(both[0], "Joan Doe")
        rotation(desks.vault).rotate()
        newer = crm.tokens("newer", ALBERT)
        newer_gone = crm.tokens("newer-gone", ALBERT)
        desks.eraser.shred_all([by_id("gone-2"), by_id("gone-3"), by_id("newer-gone")])
        desks.vault.rotate_dek(desks.admin.caller, by_id("resealed"), "")
        late_values = crm.tokens("kept-0", {"phone": "+44 20 7946 0018"})
        desks.vault.revoke_principal(desks.admin.caller, "agent", "")
        crm.update(corrected[1], "jane@example.net")
        crm.update(both[0], "Jane Roe")
        crm.delete(both[0])
        rotation(desks.vault).rotate()
        replaced = {each for number in customers_in(desks) for each in generations(desks, number)[1:]}
        assert replaced == {2, 3}
        again = [number for number in sorted(customers_in(desks)) if len(generations(desks, number)) > 1]
        assert receipt is not None
        number_newer, number_resealed, number_corrected = [
            number_of(desks, tokens[0]) for tokens in (newer, resealed, corrected)
        ]
        shred_numbers = {number_of(desks, tokens[0]) for tokens in shredded}
        last_number = max(customers_in(desks))
    assert verify_backup(bundle.path)[1] == []

    report = restore(deployment, bundle.path)
    assert report.exact
    assert (report.epoch, report.incarnation) == (4, 1)
    assert set(report.shredded) == shred_numbers
    assert report.lost_newer == [number_newer]
    assert report.lost_generation == [number_resealed]
    assert [customer for customer, _ in report.outdated] == [number_corrected]
    assert (report.customers, report.lost_key, report.damaged) == (8, [], [])
    assert findings(deployment) == [f"DEK_ORPHAN customer {each}: a generation not in use" for each in again]

    with deployment.opened() as desks:
        crm = desks.crm
        for tokens in kept:
            assert crm.read(tokens).values == list(JANE.values())
            assert crm.customer(by_token(tokens[0])).customer_token
        for n in range(5):
            assert crm.store(f"kept-{n}", JANE).results[0].outcome == Outcome.UNCHANGED
        for tokens in [*shredded, early, newer_gone]:
            assert crm.denied(tokens) == [Reason.SHREDDED] * 2
        assert crm.read(thinned).values == [JANE["name"], ""]
        assert [each.reason for each in crm.read(thinned).denials] == [Reason.VALUE_DELETED]
        assert [each.reason for each in crm.read(corrected).denials] == [Reason.DATA_LOSS]
        assert [each.reason for each in crm.read(both).denials] == [Reason.VALUE_DELETED]
        for tokens in (newer, resealed, late_values):
            assert set(crm.denied(tokens)) == {Reason.DATA_LOSS}
        for name in ("gone-0", "newer", "newer-gone", "resealed", "early"):
            with pytest.raises(CustomerUnknownError):
                crm.customer(by_id(name))
        erasure = desks.vault.get_erasure(desks.admin.caller, receipt.shred_id)
        assert erasure.effective_ms == receipt.effective_ms
        assert erasure.commitment == receipt.commitment
        # Whatever is stored now takes numbers that no token has ever named.
        fresh = [crm.tokens(name, ALBERT) for name in ("newer", "resealed", "fresh")]
        fresh.append(crm.tokens("kept-0", {"phone": "+44 20 7946 0019"}))
        assert min(number_of(desks, tokens[0]) for tokens in fresh[:3]) > last_number
        for tokens in (newer, resealed, late_values):
            assert set(crm.denied(tokens)) == {Reason.DATA_LOSS}
        with pytest.raises(SuspendedError):
            desks.agent.read(kept[0])
        entries = [each.payload for each in desks.vault.engine.store.ledger()]
        assert [each for each in entries if isinstance(each, Restored)] == [Restored(1, report.copied_seq)]
        assert GenerationShredded(1, number_newer, 1) in entries
        rotation(desks.vault).rotate()
        assert crm.read(kept[0]).values == list(JANE.values())
    assert findings(deployment) == []


def test_a_vault_restored_twice_gives_numbers_of_a_third_kind(deployment: Deployment, backups: Path) -> None:
    with deployment.opened() as desks:
        first = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        bundle = create_backup(deployment.data_dir, backups, store=desks.vault.engine.store)
    issued = [first]
    for incarnation, email in enumerate(("a@example.com", "b@example.com", "c@example.com"), 1):
        assert restore(deployment, bundle.path).incarnation == incarnation
        with deployment.opened() as desks:
            for earlier in issued[1:]:
                assert desks.crm.denied(earlier) == [Reason.DATA_LOSS]
            issued.append(desks.crm.tokens("crm-1", {"email": email}))
            assert desks.crm.read(issued[-1]).values == [email]
            for earlier in issued[1:-1]:
                assert desks.crm.denied(earlier) == [Reason.DATA_LOSS]
            assert desks.crm.read(first).values == ["Jane Doe"]
    assert findings(deployment) == []


def test_numbers_given_out_after_the_backup_are_not_given_out_again(
    deployment: Deployment, backups: Path
) -> None:
    """They were reserved before the backup, so that no later entry of the ledger names them."""
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
        bundle = create_backup(deployment.data_dir, backups, store=desks.vault.engine.store)
        after = desks.crm.tokens("crm-2", ALBERT)
        gone = desks.crm.tokens("crm-3", ALBERT)
        desks.eraser.shred(by_id("crm-3"))
        numbers = number_of(desks, after[0]), number_of(desks, gone[0])
    assert restore(deployment, bundle.path).lost_newer == [numbers[0]]
    with deployment.opened() as desks:
        assert number_of(desks, desks.crm.tokens("crm-4", JANE)[0]) > max(numbers)
        assert desks.crm.denied(after) == [Reason.DATA_LOSS] * 2
        assert desks.crm.denied(gone) == [Reason.SHREDDED] * 2


def test_numbers_of_names_given_after_the_backup_are_not_given_again(
    deployment: Deployment, backups: Path
) -> None:
    """Domains, purposes, field classes: tokens and access records of after the backup name their numbers."""

    def apply(desks: Desks, *names: str) -> None:
        document = POLICY + "".join(
            f'[domains.{each}]\n[purposes.{each}]\ndescription = "For the test"\n' for each in names
        )
        desks.vault.apply_policy(desks.admin.caller, document, validate_only=False, request_id="")

    def numbers(desks: Desks) -> dict[bytes, dict[str, int]]:
        engine = desks.vault.engine
        with engine.store.snapshot() as snapshot:
            found = engine.directory(snapshot).numbers
        return {kind: dict(given) for kind, given in found.items()}

    def declare(name: str) -> None:
        path = deployment.data_dir / "vault.toml"
        path.write_text(path.read_text() + f'\n[fields.{name}]\nkind = "note"\n')

    bundle = create_backup(deployment.data_dir, backups)
    for past in ("first", "second"):
        untouched = deployment.data_dir / "vault.toml"
        settings = untouched.read_text()
        declare(past)
        with deployment.opened() as desks:
            before = numbers(desks)
            apply(desks, past)
            given = {kind: found[past] for kind, found in numbers(desks).items()}
            assert before[FIELD_CLASS][past] == given[FIELD_CLASS]
        untouched.write_text(settings)
        restore(deployment, bundle.path)
        declare("other")
        with deployment.opened() as desks:
            assert all(past not in found for found in numbers(desks).values())
            apply(desks, "other")
            again = {kind: found["other"] for kind, found in numbers(desks).items()}
            assert again == {kind: number + 1 for kind, number in given.items()}
        untouched.write_text(settings)
    assert findings(deployment) == []


@pytest.fixture
def ledgers(deployment: Deployment, backups: Path, tmp_path: Path) -> dict[str, Path]:
    """Ledgers of several moments around a backup, and the backup."""
    found: dict[str, Path] = {}

    def keep(name: str) -> None:
        found[name] = Path(shutil.copy(deployment.data_dir / LEDGER, tmp_path / name))

    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
        keep("older")
        desks.eraser.shred(by_id("crm-1"))
        desks.crm.tokens("crm-2", JANE)
    bundle = create_backup(deployment.data_dir, backups)
    before = tmp_path / "before"
    shutil.copytree(deployment.data_dir, before)
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-2"))
    keep("newest")
    with open_vault(before, "fork") as desks:
        desks.eraser.shred(by_id("crm-2"))
        desks.eraser.shred_all([by_id("crm-2")])
        desks.crm.tokens("crm-9", ALBERT)
        desks.eraser.shred(by_id("crm-9"))
    found["forked"] = before / LEDGER
    found["backup"] = bundle.path
    return found


def refused(deployment: Deployment, sources: Sources) -> str:
    """What a refusal says; it leaves everything as it was."""

    def content() -> dict[str, bytes]:
        files = [each for each in deployment.data_dir.rglob("*") if each.is_file()]
        return {str(each): each.read_bytes() for each in files}

    before = content()
    with pytest.raises(InvalidRequestError) as caught:
        Restore(deployment.data_dir, deployment.settings, sources).stage(None)
    assert content() == before
    return str(caught.value)


def test_an_older_ledger_is_refused(deployment: Deployment, ledgers: dict[str, Path]) -> None:
    (deployment.data_dir / LEDGER).unlink()
    said = refused(deployment, Sources(ledgers["backup"], ledger=ledgers["older"]))
    assert "truncated, or is an older copy" in said


def test_a_truncated_ledger_is_refused(deployment: Deployment, ledgers: dict[str, Path]) -> None:
    """The vault's present data has seen more than the ledger that is left."""
    shutil.copy(ledgers["backup"] / LEDGER, deployment.data_dir / LEDGER)
    assert "the vault's present data knows" in refused(deployment, Sources(ledgers["backup"]))


def test_a_ledger_behind_its_witness_is_refused(deployment: Deployment, ledgers: dict[str, Path]) -> None:
    shutil.rmtree(deployment.data_dir / "values")
    shutil.copy(ledgers["backup"] / LEDGER, deployment.data_dir / LEDGER)
    sources = Sources(ledgers["backup"], known=(Known(1_000, None, "the witness"),))
    assert "the witness knows entry 1000" in refused(deployment, sources)


def test_a_forked_ledger_is_refused(deployment: Deployment, ledgers: dict[str, Path]) -> None:
    assert "forked" in refused(deployment, Sources(ledgers["backup"], ledger=ledgers["forked"]))


def test_a_mirror_that_is_ahead_is_taken(deployment: Deployment, ledgers: dict[str, Path]) -> None:
    shutil.rmtree(deployment.data_dir / "values")
    shutil.copy(ledgers["backup"] / LEDGER, deployment.data_dir / LEDGER)
    report = restore(deployment, ledgers["backup"], ledger=ledgers["newest"])
    assert len(report.shredded) == 1
    assert findings(deployment) == []


def test_the_backups_own_ledger_must_be_named(deployment: Deployment, ledgers: dict[str, Path]) -> None:
    (deployment.data_dir / LEDGER).unlink()
    assert "--ledger" in refused(deployment, Sources(ledgers["backup"]))


def test_a_machine_is_lost(deployment: Deployment, backups: Path, tmp_path: Path) -> None:
    """Left are a backup, a later copy of the keyring, a mirror of the ledger, settings and the root key."""
    data_dir = deployment.data_dir
    with deployment.opened() as desks:
        kept, gone = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", ALBERT)
        gone_late = desks.crm.tokens("crm-3", ALBERT)
    bundle = create_backup(data_dir, backups)
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-2"))
    copied = copy_keyring(data_dir, deployment.settings, None, tmp_path / "keys")
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-3"))
    mirror = Path(shutil.copy(data_dir / LEDGER, tmp_path / "mirror"))
    other = Deployment(tmp_path / "other", deployment.founded)
    other.data_dir.mkdir()
    shutil.copy(data_dir / "vault.toml", other.data_dir)
    shutil.copytree(data_dir / "root", other.data_dir / "root")
    shutil.rmtree(data_dir)

    report = restore(other, bundle.path, keyring_copy=copied.path, ledger=mirror)
    assert (report.exact, len(report.shredded), report.customers) == (True, 2, 1)
    assert findings(other) == []
    with other.opened() as desks:
        assert desks.crm.read(kept).values == list(JANE.values())
        assert desks.crm.denied(gone) == desks.crm.denied(gone_late) == [Reason.SHREDDED] * 2
        assert desks.crm.store("crm-1", JANE).results[0].outcome == Outcome.UNCHANGED


def test_a_copy_of_the_keyring_older_than_the_backup_brings_nobody_back(
    deployment: Deployment, backups: Path, tmp_path: Path
) -> None:
    """It still has the keys of who was shredded, or sealed anew, before the backup."""
    with deployment.opened() as desks:
        kept, gone = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", ALBERT)
        desks.crm.tokens("crm-3", ALBERT)
    copied = copy_keyring(deployment.data_dir, deployment.settings, None, tmp_path / "keys")
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-2"))
        desks.vault.rotate_dek(desks.admin.caller, by_id("crm-3"), "")
    bundle = create_backup(deployment.data_dir, backups)
    report = Restore(deployment.data_dir, deployment.settings, Sources(bundle.path, copied.path)).stage(None)
    assert (report.findings, report.lost_key, report.exact) == (
        [],
        [3],
        False,
    )  # its new key was never copied
    with deployment.opened() as desks:
        desks.vault.shred(
            desks.eraser.caller, [by_id("crm-3")], request_id="", validate_only=False, atomic=True
        )
    assert restore(deployment, bundle.path, keyring_copy=copied.path).exact
    assert findings(deployment) == []
    with deployment.opened() as desks:
        assert desks.crm.read(kept).values == list(JANE.values())
        assert desks.crm.denied(gone) == [Reason.SHREDDED] * 2
        with desks.vault.engine.store.keyring() as keys:
            assert [keys.generations(1, number) for number in (1, 2, 3)] == [[1], [], []]


def test_keys_that_a_copy_lacks_are_told_and_not_swapped_in_silence(
    deployment: Deployment, backups: Path, tmp_path: Path
) -> None:
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
    copied = copy_keyring(deployment.data_dir, deployment.settings, None, tmp_path / "keys")
    with deployment.opened() as desks:
        late = desks.crm.tokens("crm-2", JANE)
        number = number_of(desks, late[0])
    bundle = create_backup(deployment.data_dir, backups)
    staged = Restore(deployment.data_dir, deployment.settings, Sources(bundle.path, copied.path))
    report = staged.stage(None)
    assert (report.exact, report.lost_key) == (False, [number])
    staged.discard()
    with deployment.opened() as desks:
        assert desks.crm.read(late).values == list(JANE.values())
    assert restore(deployment, bundle.path).exact


def test_a_copy_of_the_keyring_ends_with_its_epoch(
    deployment: Deployment, backups: Path, tmp_path: Path
) -> None:
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
    settings = deployment.settings
    copied = copy_keyring(deployment.data_dir, settings, None, tmp_path / "keys")
    assert verify_copy(copied.path, deployment.data_dir, None)[1] == []
    assert worth_of(copied, deployment.data_dir) is Worth.IN_USE
    bundle = create_backup(deployment.data_dir, backups)
    with deployment.opened() as desks:
        entries = [each.payload for each in desks.vault.engine.store.ledger()]
        assert entries[-1] == KeyringCopied(1)
        rotation(desks.vault).rotate()
    assert worth_of(copied, deployment.data_dir) is Worth.WORTHLESS
    with pytest.raises(KeyUnavailableError):
        verify_copy(copied.path, deployment.data_dir, None)
    assert "epoch 2 is in use" in refused(deployment, Sources(bundle.path, copied.path))


def test_a_damaged_copy_of_the_keyring_is_found(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        for n in range(20):
            desks.crm.tokens(f"crm-{n}", JANE)
    copied = copy_keyring(deployment.data_dir, deployment.settings, None, tmp_path / "keys")
    file = copied.path / "keyring" / "data.mdb"
    content = bytearray(file.read_bytes())
    with deployment.opened() as desks, desks.vault.engine.store.keyring() as keys:
        row = keys.dek(1, 7, 1)
    assert row is not None
    content[content.index(row) + 40] ^= 1
    file.write_bytes(content)
    said = [each.text for each in verify_copy(copied.path, deployment.data_dir, None)[1]]
    assert "1 keys do not open" in said


def test_a_served_vault_is_backed_up_while_it_writes(deployment: Deployment, backups: Path) -> None:
    """From another process, as the command does it; every copy is of one moment and opens."""
    command = [sys.executable, "-m", "tests.scenarios.support.restoring", "backup",
               str(deployment.data_dir), str(backups)]  # fmt: skip
    with deployment.opened() as desks:
        tokens = [desks.crm.tokens("crm-0", JANE)]
        copying = subprocess.Popen(command)
        while copying.poll() is None:
            tokens.append(desks.crm.tokens(f"crm-{len(tokens)}", JANE))
        assert copying.returncode == 0
    made = [each for each in backups.iterdir() if not each.name.startswith(".")]
    assert len(made) == 5
    for path in made:
        assert verify_backup(path)[1] == []
    report = restore(deployment, min(made))
    assert report.exact
    assert report.customers + len(report.lost_newer) == len(tokens)


def test_the_keyring_of_a_served_vault_is_copied(deployment: Deployment, tmp_path: Path) -> None:
    """From another process, which appends to the ledger under the one write lock."""
    command = [sys.executable, "-m", "vault.cli", "keys", "copy", str(tmp_path / "keys"),
               "--data", str(deployment.data_dir)]  # fmt: skip
    with deployment.opened() as desks:
        written = 0
        for _ in range(2):
            copying = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while copying.poll() is None:
                desks.crm.tokens(f"crm-{written}", JANE)
                written += 1
            assert copying.returncode == 0
        desks.eraser.shred(by_id("crm-0"))
        entries = [each.payload for each in desks.vault.engine.store.ledger()]
    assert entries.count(KeyringCopied(1)) == 2
    for path in (tmp_path / "keys").iterdir():
        assert verify_copy(path, deployment.data_dir, None)[1] == []
    assert findings(deployment) == []


def test_a_generation_that_is_replaced_and_still_wrapped_opens(deployment: Deployment, backups: Path) -> None:
    """As after a crash between the two commits of a key's rotation; no later key takes the number of one."""
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        engine = desks.vault.engine
        bundle = create_backup(deployment.data_dir, backups, store=engine.store)
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(desks.admin.caller.principal)
        reseal = desks.vault._rotating._reseal
        engine.committer.submit(lambda session: reseal(session, grants, by_id("crm-1")))
    report = restore(deployment, bundle.path)
    assert (report.exact, report.lost_generation, report.customers) == (True, [], 1)
    with deployment.opened() as desks:
        assert desks.crm.read(tokens).values == list(JANE.values())
        assert desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")[0] == 3
        assert desks.crm.read(tokens).values == list(JANE.values())
        with desks.vault.engine.store.keyring() as keys:
            assert keys.generations(1, 1) == [3]
        entries = [each.payload for each in desks.vault.engine.store.ledger()]
        assert entries[-2:] == [GenerationShredded(1, 1, 1), GenerationShredded(1, 1, 2)]
    assert findings(deployment) == []


def test_a_correction_that_was_void_is_no_floor(deployment: Deployment, backups: Path) -> None:
    with deployment.opened() as desks:
        (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        engine = desks.vault.engine
        bundle = create_backup(deployment.data_dir, backups, store=engine.store)
        value_no = engine.secrets.codec.decode(token).value_no

        def lost(session: WriteSession) -> None:
            session.append(Void(session.append(ValuesCorrected(1, ((1, value_no, 2),)))))

        engine.committer.submit(lost)
    assert restore(deployment, bundle.path).outdated == []
    with deployment.opened() as desks:
        assert desks.crm.plain(token) == "Jane Doe"


def test_a_rotation_that_died_before_its_swap_does_not_stand_in_the_way(
    deployment: Deployment, backups: Path
) -> None:
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
    bundle = create_backup(deployment.data_dir, backups)
    command = [sys.executable, "-m", "tests.scenarios.support.rotating",
               str(deployment.data_dir), "commit-ledger"]  # fmt: skip
    killed = subprocess.run(command, check=False, timeout=60, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    shutil.rmtree(deployment.data_dir / "values")
    report = restore(deployment, bundle.path)
    assert (report.exact, report.epoch, report.customers) == (True, 1, 1)
    with open_vault(deployment.data_dir, "after", unlocking=True) as desks:
        assert desks.crm.read(tokens).values == list(JANE.values())
        assert rotation(desks.vault).rotate() == 2
    assert findings(deployment) == []


def test_principals_that_are_lost_lend_their_number_to_nobody(deployment: Deployment, backups: Path) -> None:
    with deployment.opened() as desks:
        bundle = create_backup(deployment.data_dir, backups, store=desks.vault.engine.store)
        desks.vault.create_principal(desks.admin.caller, "late", "", 0, "")
        before = principal_number(desks, "late")
    restore(deployment, bundle.path)
    with deployment.opened() as desks:
        desks.vault.create_principal(desks.admin.caller, "other", "", 0, "")
        assert principal_number(desks, "other") == (1 << 24) + 1 > before


def principal_number(desks: Desks, name: str) -> int:
    with desks.vault.engine.store.snapshot() as snapshot:
        return desks.vault.engine.directory(snapshot).principals[name].id


def test_no_key_is_in_a_backup(deployment: Deployment, backups: Path) -> None:
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
        engine = desks.vault.engine
        bundle = create_backup(deployment.data_dir, backups, store=engine.store)
        with engine.store.keyring() as keys:
            rows = [row for _, row in keys.deks()] + [row for _, row in keys.secrets()]
    content = b"".join(each.read_bytes() for each in bundle.path.rglob("*") if each.is_file())
    assert rows
    assert not [row for row in rows if row[9:] in content]
    assert sorted(each.name for each in bundle.path.iterdir()) == [
        "FORMAT", "MANIFEST.json", "ledger", "public", "tls", "values",
    ]  # fmt: skip


def test_what_was_deleted_before_a_backup_is_not_in_it(deployment: Deployment, backups: Path) -> None:
    with deployment.opened() as desks:
        engine = desks.vault.engine
        tokens = desks.crm.tokens("crm-1", JANE)
        with engine.store.snapshot() as snapshot:
            rows = [row for key, row in snapshot.scan_customer(1, 1) if key[6:] != bytes(3)]
        desks.eraser.shred(by_id("crm-1"))
        assert tokens
        bundle = create_backup(deployment.data_dir, backups, store=engine.store)
    live = (deployment.data_dir / "values" / "data.mdb").read_bytes()
    copied = (bundle.path / "values" / "data.mdb").read_bytes()
    assert any(row in live for row in rows)
    assert not any(row in copied for row in rows)


@pytest.mark.parametrize("file", ["values/data.mdb", "ledger/entries", "FORMAT", "public/keys.json"])
def test_a_changed_byte_is_found_and_not_restored(deployment: Deployment, backups: Path, file: str) -> None:
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
    bundle = create_backup(deployment.data_dir, backups)
    content = bytearray((bundle.path / file).read_bytes())
    content[len(content) // 3] ^= 1
    (bundle.path / file).write_bytes(content)
    assert file in [each.file for each in verify_backup(bundle.path)[1]]
    with pytest.raises(IntegrityFailedError):
        restore(deployment, bundle.path)
    with deployment.opened() as desks:
        assert desks.crm.customer(by_id("crm-1")).customer_token


def test_another_vaults_backup_is_refused(deployment: Deployment, backups: Path, tmp_path: Path) -> None:
    other = found_vault(tmp_path / "another")
    bundle = create_backup(other.data_dir, backups)
    assert "another vault" in refused(deployment, Sources(bundle.path))


@pytest.mark.parametrize("step", ["staged", "reapplied", "indexed", *STEPS_OF_THE_SWAP])
def test_kill_9_at_each_step(deployment: Deployment, backups: Path, step: str) -> None:
    with deployment.opened() as desks:
        jane, albert = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", ALBERT)
    bundle = create_backup(deployment.data_dir, backups)
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-2"))
        newer = desks.crm.tokens("crm-3", JANE)
    command = [sys.executable, "-m", "tests.scenarios.support.restoring", "restore",
               str(deployment.data_dir), str(bundle.path), step]  # fmt: skip
    killed = subprocess.run(command, check=False, timeout=60, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    finish: Callable[[], RestoreReport | None]
    if step in STEPS_OF_THE_SWAP:
        with pytest.raises(StorageFormatError, match="interrupted"):
            Store.open(deployment.data_dir)
        finish = lambda: finish_restore(deployment.data_dir)  # noqa: E731
    else:
        with deployment.opened() as desks:  # nothing has happened yet
            assert desks.crm.read(newer).values == list(JANE.values())
        finish = lambda: restore(deployment, bundle.path)  # noqa: E731
    report = finish()
    assert report is not None
    assert (report.exact, report.customers, len(report.shredded)) == (True, 1, 1)
    assert finish_restore(deployment.data_dir) is None
    assert not (deployment.data_dir / "restore").exists()
    assert findings(deployment) == []
    with deployment.opened() as desks:
        assert desks.crm.read(jane).values == list(JANE.values())
        assert desks.crm.denied(albert) == [Reason.SHREDDED] * 2
        assert desks.crm.denied(newer) == [Reason.DATA_LOSS] * 2
        assert desks.crm.store("crm-1", JANE).results[0].outcome == Outcome.UNCHANGED
