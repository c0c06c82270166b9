"""`cvault witness`: keys, what is remembered, and what keeps it from starting."""

import socket
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cvault
from tests.unit.cli.test_offline_commands import data, founded  # noqa: F401 - fixtures
from tests.unit.tlog.samples import LOG_KEY, ORIGIN, Log, numbered
from tests.unit.witness.test_state import request_of
from vault.crypto import hazmat
from vault.tlog.notes import COSIGNATURE, VerifierKey
from vault.witness.state import WitnessState


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    state = WitnessState.create(tmp_path / "witness", "example.org/w")
    state.lock()
    state.add(request_of(Log(numbered(7)), 0, 7), {ORIGIN: [LOG_KEY]})
    state.close()
    return tmp_path / "witness"


def test_show_names_the_key_and_each_ledger(cvault: Cvault, directory: Path) -> None:
    ran = cvault("witness", "show", "--directory", directory)
    assert (ran.code, ran.err) == (0, "")
    assert "example.org/w+" in ran.out
    assert f"{ORIGIN}  7 " in ran.out
    document = cvault("witness", "show", "--directory", directory, "--json").document
    assert VerifierKey.parse(document["key"]).type == COSIGNATURE
    ((ledger),) = document["ledgers"]
    assert (ledger["origin"], ledger["size"]) == (ORIGIN, 7)


def test_show_of_nothing_is_refused(cvault: Cvault, tmp_path: Path) -> None:
    ran = cvault("witness", "show", "--directory", tmp_path)
    assert (ran.code, "no witness" in ran.err) == (1, True)


def test_log_prints_the_key_of_the_ledger(cvault: Cvault, data: Path) -> None:  # noqa: F811 - a fixture
    ran = cvault("witness", "log", "--data", data)
    assert (ran.code, ran.err) == (0, "")
    key = VerifierKey.parse(ran.out.strip())
    assert key.name.startswith("customervault/")
    assert cvault("witness", "log", "--data", data, "--json").document == {"key": str(key)}
    assert cvault("witness", "log", "--data", data / "none").code == 2


def test_a_witness_does_not_start_twice(cvault: Cvault, directory: Path) -> None:
    state = WitnessState.open(directory)
    state.lock()
    ran = cvault("witness", "serve", "--directory", directory, "--listen", "127.0.0.1:0")
    assert (ran.code, "KEY_UNAVAILABLE" in ran.err) == (4, True)
    state.close()


def test_a_port_that_is_taken_is_exit_4(cvault: Cvault, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = cvault("witness", "serve", "--directory", directory, "--listen", address)
    assert (ran.code, "cannot listen" in ran.err) == (4, True)


@pytest.mark.parametrize(
    "log", ["nonsense", str(VerifierKey("w", COSIGNATURE, hazmat.public_key(bytes(32))))]
)
def test_only_keys_that_sign_are_logs(cvault: Cvault, directory: Path, log: str) -> None:
    ran = cvault("witness", "serve", "--directory", directory, "--log", log)
    assert ran.code in (1, 2)


def test_a_witness_keeps_its_name(cvault: Cvault, directory: Path) -> None:
    assert cvault("witness", "serve", "--directory", directory, "--name", "other").code == 2
