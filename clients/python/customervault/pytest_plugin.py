"""A real, throw-away vault for the tests of a service that uses one.

Rules:
- Inert unless the fixture is used: loading this module imports nothing but pytest and the
  standard library.
- The vault is a process of the installed `cvault`, on a free loopback port, with its data in
  pytest's temporary folder. No part of it is imitated.
- Only the process started here is ever signalled. It is asked to end by SIGTERM, and a vault
  that does not end is a failure of the test session.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from customervault import Vault

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_OUTPUT_BYTES = 4000


class ThrowAwayVault:
    """A running vault that ends with the test session."""

    def __init__(self, process: "subprocess.Popen[bytes]", ready: dict[str, Any]) -> None:
        self._process = process
        self._ready = ready

    @property
    def address(self) -> str:
        """`host:port` of its API."""
        return str(self._ready["address"])

    @property
    def environment(self) -> dict[str, str]:
        """`CVAULT_*` variables with which a service or `cvault` connects as principal `dev`."""
        certificate = self._certificate("dev")
        return {
            "CVAULT_ADDRESS": self.address,
            "CVAULT_CA": str(self._ready["ca"]),
            "CVAULT_CERTIFICATE": str(certificate["certificate"]),
            "CVAULT_KEY": str(certificate["key"]),
        }

    def connect(self, principal: str = "dev", *, domain: str = "", purpose: str = "") -> "Vault":
        """A client that calls as `principal`: `dev`, `admin` or `dev-other` (another domain).

        Raises:
            ValueError: The vault has no certificate of that name.
        """
        from customervault import Vault

        certificate = self._certificate(principal)
        return Vault(
            self.address,
            ca=self._ready["ca"],
            certificate=certificate["certificate"],
            key=certificate["key"],
            domain=domain,
            purpose=purpose,
        )

    def _certificate(self, principal: str) -> dict[str, str]:
        certificates: dict[str, dict[str, str]] = self._ready["certificates"]
        if principal not in certificates:
            raise ValueError(f"no certificate for {principal!r}; there are {', '.join(sorted(certificates))}")
        return certificates[principal]


@pytest.fixture(scope="session")
def customer_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowAwayVault]:
    """A real vault for this test session; skips where `cvault` is not installed."""
    executable = find_executable()
    if executable is None:
        pytest.skip("cvault is not installed; install customer-vault to run this test")
    folder = tmp_path_factory.mktemp("customer-vault")
    vault, process = start(executable, folder)
    try:
        yield vault
    finally:
        stop(process, folder)


def find_executable() -> str | None:
    """`cvault` beside this interpreter, else on PATH."""
    beside = Path(sys.executable).parent / "cvault"
    return str(beside) if beside.is_file() else shutil.which("cvault")


def start(
    executable: str, folder: Path, limit_seconds: float = _START_SECONDS
) -> "tuple[ThrowAwayVault, subprocess.Popen[bytes]]":
    """Start `cvault serve --dev` and wait until it is ready.

    Raises:
        pytest.fail.Exception: It ended, or was not ready in time; holds its last output.
    """
    ready_file = folder / "ready.json"
    command = [executable, "serve", "--dev", "--data", str(folder / "data"), "--listen", "127.0.0.1:0"]
    with _log(folder).open("wb") as log:
        process = subprocess.Popen(
            [*command, "--ready-file", str(ready_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        return ThrowAwayVault(process, _wait_ready(process, folder, ready_file, limit_seconds)), process
    except BaseException:
        _end(process, _STOP_SECONDS)
        raise


def stop(process: "subprocess.Popen[bytes]", folder: Path, limit_seconds: float = _STOP_SECONDS) -> None:
    """Ask the vault to end and check that it has.

    Raises:
        pytest.fail.Exception: It had to be killed, or ended with an error.
    """
    code = _end(process, limit_seconds)
    if code is None:
        pytest.fail(
            f"the vault did not end within {limit_seconds:g} s of SIGTERM{_tail(folder)}", pytrace=False
        )
    if code != 0:
        pytest.fail(f"the vault ended with exit code {code}{_tail(folder)}", pytrace=False)


def _end(process: "subprocess.Popen[bytes]", limit_seconds: float) -> int | None:
    """Exit code after SIGTERM; None when it took SIGKILL."""
    process.terminate()
    try:
        return process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _wait_ready(
    process: "subprocess.Popen[bytes]", folder: Path, ready_file: Path, limit_seconds: float
) -> dict[str, Any]:
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        ready = _read_ready(ready_file)
        if ready is not None:
            return ready
        if process.poll() is not None:
            pytest.fail(
                f"the vault ended at start, exit code {process.returncode}{_tail(folder)}", pytrace=False
            )
        time.sleep(0.05)
    pytest.fail(f"the vault was not ready within {limit_seconds:g} s{_tail(folder)}", pytrace=False)


def _read_ready(path: Path) -> dict[str, Any] | None:
    """The ready file, or None while it is absent or half written."""
    try:
        ready: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return ready


def _log(folder: Path) -> Path:
    return folder / "server.log"


def _tail(folder: Path) -> str:
    text = _log(folder).read_bytes()[-_OUTPUT_BYTES:].decode(errors="replace").strip()
    return f"; its last output:\n{text}" if text else "; it printed nothing"
