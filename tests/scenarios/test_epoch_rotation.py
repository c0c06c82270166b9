"""A new epoch: everything goes on, what was shredded does not come back, and a crash changes neither."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import (
    Deployment,
    Desks,
    by_id,
    by_token,
    keep_backups,
    open_vault,
)
from tests.scenarios.support.rotating import BEFORE_THE_SWAP, STEPS, rotation
from vault.core.checking import check
from vault.core.epochhistory import History
from vault.errors import CustomerUnknownError, IntegrityFailedError, KeyUnavailableError, Reason
from vault.keys.unlock import unlock
from vault.model.requests import Outcome
from vault.store.entries import RootKeyEnded
from vault.store.epochs import index_path, keyring_path
from vault.store.staging import epochs_present

pytestmark = pytest.mark.slow

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
ALBERT = {"name": "Albert Roe", "email": "albert@example.com"}


def findings(deployment: Deployment) -> list[str]:
    edk = unlock(deployment.data_dir, deployment.settings, None)
    try:
        return [f"{each.code} {each.detail}" for each in check(deployment.data_dir, deployment.settings, edk)]
    finally:
        edk.free()


def root_keys(deployment: Deployment) -> list[str]:
    return sorted(each.stem for each in (deployment.data_dir / "root").glob("*.json"))


def test_after_a_rotation_everything_is_there_under_other_keys(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        jane, albert = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", ALBERT)
        desks.eraser.shred(by_id("crm-2"))
        before = root_keys(deployment)
        assert rotation(desks.vault).rotate() == 2
        assert desks.crm.read(jane).values == list(JANE.values())
        assert desks.crm.denied(albert) == [Reason.SHREDDED] * 2
        assert desks.crm.customer(by_id("crm-1")).created_ms
        with pytest.raises(CustomerUnknownError):
            desks.crm.customer(by_id("crm-2"))
        assert desks.crm.store("crm-1", JANE).results[0].outcome == Outcome.UNCHANGED
        assert desks.crm.store("crm-3", ALBERT).customer_created
        assert desks.vault.engine.keyrings.epochs == [2]
    assert epochs_present(deployment.data_dir) == [2]
    assert not set(before) & set(root_keys(deployment))
    assert findings(deployment) == []
    with deployment.opened() as desks:
        assert desks.crm.read(jane).values == list(JANE.values())


def test_several_rotations_in_a_row(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        for epoch in (2, 3, 4):
            assert rotation(desks.vault).rotate() == epoch
            assert desks.crm.read(tokens).values == list(JANE.values())
        ended = [each.payload for each in desks.vault.engine.store.ledger()
                 if isinstance(each.payload, RootKeyEnded)]  # fmt: skip
        assert [each.root_key_id[:6] for each in ended] == ["root-1", "root-2", "root-3"]
        assert {each.assurance for each in ended} == {"best-effort"}
    assert findings(deployment) == []


def test_a_key_of_the_old_epoch_opens_nothing_of_the_new_one(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
        engine = desks.vault.engine
        with engine.store.keyring() as keys:
            old = keys.dek(1, 1, 1)
        rotation(desks.vault).rotate()
        with engine.store.keyring() as keys:
            new = keys.dek(1, 1, 1)
        assert old is not None
        assert new is not None
        assert old[1:9] == new[1:9]
        with pytest.raises(IntegrityFailedError), engine.deks.unwrap(old, 2, 1, 1, 1):  # type: ignore[arg-type]
            pass
        with pytest.raises(KeyUnavailableError):
            engine.keyrings.at(1)


def test_what_happens_meanwhile_is_in_the_new_epoch(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        kept = desks.crm.tokens("crm-1", JANE)
        gone = desks.crm.tokens("crm-2", ALBERT)
        turned = desks.crm.tokens("crm-3", ALBERT)
        late: list[str] = []

        def meanwhile(step: str) -> None:
            match step:
                case "copied":
                    desks.eraser.shred(by_id("crm-2"))
                    late.extend(desks.crm.tokens("crm-4", JANE))
                case "verified":
                    desks.vault.rotate_dek(desks.admin.caller, by_id("crm-3"), "")
                    desks.crm.update(kept[0], "Jane Roe")
                case "followed":
                    late.extend(desks.crm.tokens("crm-5", JANE))
                    desks.eraser.shred(by_id("crm-5"))
                    desks.crm.tokens("crm-6", ALBERT)

        rotation(desks.vault, meanwhile).rotate()
        assert desks.crm.read(kept).values == ["Jane Roe", JANE["email"]]
        assert desks.crm.read(turned).values == list(ALBERT.values())
        assert desks.crm.denied(gone) == [Reason.SHREDDED] * 2
        assert desks.crm.read(late[:2]).values == list(JANE.values())
        assert desks.crm.denied(late[2:]) == [Reason.SHREDDED] * 2
        assert desks.crm.customer(by_id("crm-6")).dek_generation == 1
    assert findings(deployment) == []


def test_reads_and_writes_go_on(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        tokens = [desks.crm.tokens(f"crm-{n}", JANE) for n in range(200)]
        done, failures, counts = threading.Event(), [], {"read": 0, "written": 0}

        def read() -> None:
            while not done.is_set():
                for each in tokens:
                    if desks.crm.read(each).values != list(JANE.values()):
                        failures.append("read")
                    counts["read"] += 1

        def write() -> None:
            while not done.is_set():
                counts["written"] += 1
                name = f"new-{counts['written']}"
                desks.crm.tokens(name, ALBERT)
                if counts["written"] % 3 == 0:
                    desks.eraser.shred(by_id(name))

        def guarded(work):
            def run() -> None:
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - told by the test
                    failures.append(repr(error))

            return run

        threads = [threading.Thread(target=guarded(each)) for each in (read, write)]
        for each in threads:
            each.start()
        try:
            for _ in range(3):
                rotation(desks.vault).rotate()
        finally:
            done.set()
            for each in threads:
                each.join()
        assert failures == []
        assert min(counts.values()) > 10
    assert findings(deployment) == []


@pytest.mark.parametrize("step", STEPS)
def test_kill_9_at_each_step(deployment: Deployment, step: str) -> None:
    keep_backups(deployment, 0)
    with deployment.opened() as desks:
        jane, albert = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", ALBERT)
        desks.eraser.shred(by_id("crm-2"))
        thinned = [desks.crm.tokens(f"thinned-{n}", JANE) for n in range(3)]
        for name, _ in thinned:
            desks.crm.delete(name)
    command = [sys.executable, "-m", "tests.scenarios.support.rotating", str(deployment.data_dir), step]
    killed = subprocess.run(command, check=False, timeout=60, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with open_vault(deployment.data_dir, "after", unlocking=True) as desks:
        assert_all_is_well(desks, jane, albert)
        epoch = 1 if step in BEFORE_THE_SWAP else 2
        rotation(desks.vault).resume()
        assert epochs_present(deployment.data_dir) == [epoch]
        assert_all_is_well(desks, jane, albert)
        assert rotation(desks.vault).rotate() == epoch + 1
        assert_all_is_well(desks, jane, albert)
        for name, mail in thinned:
            assert desks.crm.denied([name]) == [Reason.VALUE_DELETED]
            assert desks.crm.plain(mail) == JANE["email"]
        with desks.vault.engine.store.keyring() as keys:
            generations = [list(keys.generations(1, number)) for number in (3, 4, 5)]
        # Those of whom only the keyring knew the second one get one more.
        again = step == "reseal-keyring"
        assert generations == [[3 if again else 2]] * 3
        history = History.of(desks.vault.engine.store.ledger())
        live = [each.root_key_id for each in history.intents if each.root_key_id not in history.ended]
        assert root_keys(deployment) == live
        assert len(live) == 1
    assert findings(deployment) == []


def assert_all_is_well(desks: Desks, jane: list[str], albert: list[str]) -> None:
    assert desks.crm.read(jane).values == list(JANE.values())
    assert desks.crm.denied(albert) == [Reason.SHREDDED] * 2
    assert desks.crm.customer(by_token(jane[0])).customer_token
    assert desks.crm.store("crm-1", JANE).results[0].outcome == Outcome.UNCHANGED


def test_a_wrong_copy_is_never_used(deployment: Deployment) -> None:
    """A row of the new keyring that opens to another key stops the rotation; the old epoch stays."""
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        desks.crm.tokens("crm-2", ALBERT)
        engine = desks.vault.engine
        genuine = engine.keyrings.add

        def add(epoch, edk):
            genuine(epoch, edk)
            keyring = engine.keyrings.at(epoch)
            wrap = keyring.wrap_dek
            keyring.wrap_dek = lambda dek, region, _, generation: wrap(dek, region, 3, generation)

        engine.keyrings.add = add
        with pytest.raises(IntegrityFailedError):
            rotation(desks.vault).rotate()
        engine.keyrings.add = genuine
        assert engine.store.epoch == 1
        rotation(desks.vault).resume()
        assert desks.crm.read(tokens).values == list(JANE.values())
        assert not keyring_path(Path(deployment.data_dir), 2).exists()
        assert not index_path(Path(deployment.data_dir), 2).exists()
    assert findings(deployment) == []
