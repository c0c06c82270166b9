"""A witness that listens, in this process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.tlog.samples import LOG_KEY, ORIGIN
from vault.witness.service import WitnessServer
from vault.witness.state import WitnessState


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def server(tmp_path: Path, said: list[str]) -> Iterator[WitnessServer]:
    state = WitnessState.create(tmp_path / "witness", "example.org/w")
    state.lock()
    server = WitnessServer(("127.0.0.1", 0), state, {ORIGIN: [LOG_KEY]}, said.append)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    state.close()
