"""A new epoch while several processes serve: asked for, by schedule, and with processes dying."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from customervault import Vault
from customervault.errors import ActionDeniedError, ShreddedError
from customervault.results import EpochRotation, Tokenized

from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.server import Server, serving
from tests.scenarios.test_epoch_rotation import findings, root_keys
from vault.store.staging import epochs_present

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
_SECONDS = 60.0


def finished(vault: Vault, rotation: EpochRotation) -> EpochRotation:
    give_up = time.monotonic() + _SECONDS
    while not rotation.finished:
        assert time.monotonic() < give_up, rotation
        time.sleep(0.2)
        rotation = vault.epoch_rotation(rotation.name)
    return rotation


@pytest.fixture
def server(deployment: Deployment, tmp_path: Path) -> Iterator[Server]:
    with serving(deployment, tmp_path) as server:
        yield server


class Traffic:
    """Reads and writes without a pause, from threads, until the context ends; every answer is checked."""

    def __init__(self, server: Server, customers: int = 50) -> None:
        self.failures: list[str] = []
        self.reads = self.writes = 0
        self._crm, self._eraser = server.connect("crm", purpose="support"), server.connect("eraser")
        self._done = threading.Event()
        self._tokens = [tokens_of(self._crm.tokenize(f"crm-{n}", JANE)) for n in range(customers)]

    def __enter__(self) -> "Traffic":
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,)) for work in (self._read, self._write)
        ]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for each in self._threads:
            each.join()
        self._crm.close()
        self._eraser.close()

    def _guarded(self, work) -> None:
        while not self._done.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failures.append(f"{type(error).__name__}: {error}")

    def _read(self) -> None:
        for tokens in self._tokens:
            if self._crm.detokenize(tokens).plain_list() != list(JANE.values()):
                self.failures.append("another value")
            self.reads += 1

    def _write(self) -> None:
        self.writes += 1
        name = f"new-{self.writes}"
        self._crm.tokenize(name, JANE)
        if self.writes % 3 == 0:
            self._eraser.shred(external_id=name)


def test_no_call_fails_while_the_epoch_changes(server: Server, deployment: Deployment) -> None:
    with server.connect("admin") as admin, Traffic(server) as traffic:
        for epoch in (2, 3):
            rotation = finished(admin, admin.rotate_epoch())
            assert rotation.error is None
            assert rotation.epoch == epoch == admin.keyring_status().epoch
        with server.connect("privacy") as privacy:
            ends = list(privacy.list_access(actions=["CompleteRotation"], principal="local operator"))
            assert [json.loads(each.detail)["epoch"] for each in ends] == [3, 2]
    assert traffic.failures == []
    assert traffic.reads > 10
    assert traffic.writes > 3
    assert epochs_present(deployment.data_dir) == [3]
    assert len(root_keys(deployment)) == 1


def test_only_who_may_rotate_begins_an_epoch_and_a_second_call_joins_it(server: Server) -> None:
    with server.connect("crm") as crm, pytest.raises(ActionDeniedError):
        crm.rotate_epoch()
    with server.connect("admin") as admin:
        first, second = admin.rotate_epoch(), admin.rotate_epoch()
        assert first.name == second.name
        assert finished(admin, second).epoch == 2


@pytest.mark.parametrize("victim", ["keeper", "worker"])
def test_a_process_that_dies_during_a_rotation(server: Server, deployment: Deployment, victim: str) -> None:
    with server.connect("crm", purpose="support") as crm, server.connect("admin") as admin:
        tokens = tokens_of(crm.tokenize("crm-1", JANE))
        rotation = admin.rotate_epoch()
        os.kill(pid_of(victim, deployment), signal.SIGKILL)
        rotation = finished(admin, rotation)
        assert rotation.error is None, rotation.error
        epoch = admin.keyring_status().epoch
        assert epoch == rotation.epoch
        assert crm.detokenize(tokens).plain_list() == list(JANE.values())
    wait_until(lambda: epochs_present(deployment.data_dir) == [epoch])
    wait_until(lambda: len(root_keys(deployment)) == 1)


def test_after_so_many_shreds_the_epoch_changes_by_itself(deployment: Deployment, tmp_path: Path) -> None:
    settings = deployment.data_dir / "vault.toml"
    settings.write_text(settings.read_text().replace("[keys]", "[keys]\nrotate_shreds = 2"))
    with serving(deployment, tmp_path) as server, server.connect("crm", purpose="support") as crm:
        tokens = tokens_of(crm.tokenize("crm-1", JANE))
        crm.tokenize("crm-2", JANE)
        with server.connect("eraser") as eraser:
            eraser.shred(external_id="crm-1")
            eraser.shred(external_id="crm-2")
        wait_until(lambda: epochs_present(deployment.data_dir) == [2], seconds=90)
        with pytest.raises(ShreddedError):
            crm.detokenize(tokens[:1]).plain_list()


def test_after_a_rotation_the_vault_starts_again(deployment: Deployment, tmp_path: Path) -> None:
    with serving(deployment, tmp_path) as server, server.connect("admin") as admin:
        with server.connect("crm") as crm:
            tokens = tokens_of(crm.tokenize("crm-1", JANE))
        finished(admin, admin.rotate_epoch())
    with serving(deployment, tmp_path) as server, server.connect("crm", purpose="support") as crm:
        assert crm.detokenize(tokens).plain_list() == list(JANE.values())
    assert findings(deployment) == []


def tokens_of(stored: Tokenized) -> list[str]:
    return list(stored.tokens.values())


def pid_of(process: str, deployment: Deployment) -> int:
    for each in Path("/proc").glob("[0-9]*"):
        try:
            command = (each / "cmdline").read_bytes().split(b"\0")
            parent = int((each / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        wanted = f"vault.server.{process}".encode() in command
        if wanted and (deployment.data_dir / "run" / "supervisor.lock").read_text().strip() == str(parent):
            return int(each.name)
    raise AssertionError(f"no {process} runs")


def wait_until(holds, seconds: float = _SECONDS) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.2)
