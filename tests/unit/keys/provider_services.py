"""What the providers talk to, real where it can be: a SoftHSM2 token, moto's KMS server, OpenBao's transit.

OpenBao is used where `make openbao` has built it, else a local server that checks requests strictly.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hvac
import pytest

from tests.unit.keys import transit_server

TOOLS = Path(__file__).resolve().parents[3] / ".tools"
TOKEN_LABEL = "customer-vault"
OTHER_TOKEN = "another"
PIN = "123456"
_WAIT_SECONDS = 30.0


def softhsm_module() -> Path | None:
    """SoftHSM's shared library, installed or under .tools."""
    for root in (TOOLS / "softhsm", Path("/")):
        if found := sorted(root.glob("usr/lib/*/softhsm/libsofthsm2.so")):
            return found[0]
    return None


def make_tokens(module: Path, directory: Path) -> Path:
    """Two fresh tokens; returns the configuration to be named by SOFTHSM2_CONF."""
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\n")
    local = TOOLS / "softhsm" / "usr" / "bin" / "softhsm2-util"
    program = str(local) if local.exists() else "softhsm2-util"
    for label in (TOKEN_LABEL, OTHER_TOKEN):
        subprocess.run(
            [
                *(program, "--module", module, "--init-token", "--free"),
                *("--label", label, "--pin", PIN, "--so-pin", "87654321"),
            ],
            env=os.environ | {"SOFTHSM2_CONF": str(configuration)},
            check=True,
            capture_output=True,
        )
    return configuration


@contextmanager
def kms_server(log: Path) -> Iterator[str]:
    """moto's server in a process of its own; yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _process(command, log, lambda: _accepts(port)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def transit_engine(directory: Path) -> Iterator[tuple[str, str]]:
    """OpenBao where it was built, else the local server; yields its URL and a token."""
    bao = TOOLS / "bin" / "bao"
    if not bao.exists():
        with transit_server.running() as server:
            yield server.url, server.token
        return
    port, token = free_port(), "root-of-the-tests"
    command = [str(bao), "server", "-dev", f"-dev-listen-address=127.0.0.1:{port}"]
    command += [f"-dev-root-token-id={token}", "-dev-no-store-token"]
    with _process(command, directory / "bao.log", lambda: _accepts(port)):
        client = hvac.Client(url=f"http://127.0.0.1:{port}", token=token)
        _until(client.sys.is_initialized)
        client.sys.enable_secrets_engine("transit")
        client.adapter.close()
        yield f"http://127.0.0.1:{port}", token


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _until(lambda: ready() or process.poll() is not None)
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended: {log.read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not happened():
        if time.monotonic() > end:
            pytest.fail("the service did not start in time")
        time.sleep(0.05)
