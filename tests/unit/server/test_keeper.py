"""The keeper's schedule and its HTTP; its work on a real vault is in `test_processes`."""

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.core.upkeep import Chore
from vault.errors import StorageFullError
from vault.server.keeper import MetricsServer, run_chores


def test_chores_run_at_once_and_again_and_survive_failures() -> None:
    stopping, runs = threading.Event(), []

    def run(name: str) -> str:
        runs.append(name)
        if len(runs) == 12:
            stopping.set()
        if name == "full":
            raise StorageFullError("no space")
        if name == "broken":
            raise RuntimeError("unexpected")
        return ""

    chores = [Chore(name, 0.01, lambda name=name: run(name)) for name in ("full", "broken", "good")]  # type: ignore[misc]
    run_chores(chores, stopping)
    assert runs[:3] == ["full", "broken", "good"]
    assert len(runs) == 12
    assert {runs.count(name) for name in ("full", "broken", "good")} == {4}


def test_a_slow_schedule_ends_at_once() -> None:
    stopping = threading.Event()
    thread = threading.Thread(target=run_chores, args=([Chore("rare", 3600, lambda: "")], stopping))
    thread.start()
    stopping.set()
    thread.join(5)
    assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    listening = socket.create_server(("127.0.0.1", 0))
    running = MetricsServer(listening)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def get(server: MetricsServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize(("workers", "ready", "status"), [(0, 0, 503), (2, 0, 503), (2, 1, 503), (2, 2, 200)])
def test_health_is_good_while_every_worker_serves(
    server: MetricsServer, workers: int, ready: int, status: int
) -> None:
    server.workers, server.ready = workers, ready
    code, body = get(server, "/healthz")
    assert code == status
    assert json.loads(body) == {"workers": workers, "ready": ready}


def test_other_paths_are_not_found(server: MetricsServer) -> None:
    assert get(server, "/")[0] == 404


def test_counts_of_several_processes_are_added_up(tmp_path: Path) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    count = "from vault.server import metrics; metrics.VALUES.inc(21)"
    show = "import sys; from vault.server import metrics; sys.stdout.buffer.write(metrics.exposition())"
    for program in (count, count):
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    done = subprocess.run([sys.executable, "-c", show], env=environment, check=True, capture_output=True)
    assert b"cvault_values_detokenized_total 42.0" in done.stdout
