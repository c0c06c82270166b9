"""A development vault of its own for a benchmark: real processes, real files, gone afterwards.

Rules:
- The vault is the installed `cvault serve --dev` on a free loopback port, its data in a new folder.
- Only the process started here is ever signalled, by its id; it is asked to end by SIGTERM.
- It has to end by itself and without an error; one that does not is a failure of the benchmark.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from customervault import Vault

_START_SECONDS = 60.0
_STOP_SECONDS = 40.0
_LOG_BYTES = 3000
_SETTINGS = """\
[server]
metrics_listen = "127.0.0.1:0"
workers = {workers}
"""

CVAULT = Path(sys.executable).with_name("cvault")


class VaultProcessError(Exception):
    """The vault, or a command, did not do what was asked; the message holds its last output."""


@dataclass(frozen=True, slots=True)
class Ready:
    """How to connect to a vault, and which processes serve it; as its ready file says."""

    address: str
    ca: str
    certificates: dict[str, dict[str, str]]
    pid: int
    workers: tuple[int, ...]

    @property
    def port(self) -> int:
        """Of the API."""
        return int(self.address.rpartition(":")[2])


class ThrowAwayVault:
    """A development vault in `folder`. Start it, stop it, and start it again on the same data."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        """`settings` are further lines of its `vault.toml`."""
        self._settings = _SETTINGS + settings
        self.data = folder / "vault"
        self._log = folder / "vault.log"
        self._ready_file = folder / "ready.json"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, workers: int = 0, log_level: str = "info", settings: str = "") -> None:
        """Starts it and waits until every worker serves.

        Args:
            workers: How many; 0 for one a core.
            log_level: Of its log; with "debug" it has the times of every commit.
            settings: Further sections of its `vault.toml`.

        Raises:
            VaultProcessError: It ended, or was not ready in time.
        """
        self.data.mkdir(mode=0o700, exist_ok=True)
        (self.data / "vault.toml").write_text(self._settings.format(workers=workers) + settings)
        command = [str(CVAULT), "serve", "--dev", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--ready-file", str(self._ready_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"CVAULT_LOG_LEVEL": log_level},
            )
        give_up = time.monotonic() + _START_SECONDS
        while not self._ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self._end()
                raise VaultProcessError(f"the vault did not start; its last output:\n{self._tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Asks it to end and waits; does nothing when it does not run.

        Raises:
            VaultProcessError: It ended with an error, or not in time.
        """
        code = self._end()
        if code != 0:
            how = f"ended with exit code {code}" if code is not None else "did not end when asked to"
            raise VaultProcessError(f"the vault {how}; its last output:\n{self._tail()}")

    def end(self) -> None:
        """Asks it to end and waits, whatever comes of it: for a benchmark that has already failed."""
        self._end()

    @property
    def ready(self) -> Ready:
        """How to connect, and the workers of this moment."""
        document: dict[str, Any] = json.loads(self._ready_file.read_text())
        return Ready(
            address=document["address"],
            ca=document["ca"],
            certificates=document["certificates"],
            pid=document["pid"],
            workers=tuple(document["workers"]),
        )

    def connect(self, principal: str = "dev", **settings: Any) -> Vault:
        """A client that calls as `principal`; `settings` are further arguments of `Vault`."""
        ready = self.ready
        files = ready.certificates[principal]
        return Vault(
            ready.address, ca=ready.ca, certificate=files["certificate"], key=files["key"], **settings
        )

    def environment(self, principal: str = "dev") -> dict[str, str]:
        """The variables with which `cvault` connects as `principal`."""
        ready = self.ready
        files = ready.certificates[principal]
        return {
            "CVAULT_ADDRESS": ready.address,
            "CVAULT_CA": ready.ca,
            "CVAULT_CERTIFICATE": files["certificate"],
            "CVAULT_KEY": files["key"],
        }

    def cvault(self, *arguments: str | Path, principal: str | None = "dev") -> str:
        """Runs a `cvault` command; its standard output.

        Args:
            arguments: Of the command.
            principal: Calls as this one; None for a command that does not connect.

        Raises:
            VaultProcessError: Its exit code is not 0.
        """
        own = {name: value for name, value in os.environ.items() if not name.startswith("CVAULT_")}
        done = subprocess.run(
            [str(CVAULT), *map(str, arguments)],
            env=own | (self.environment(principal) if principal else {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout)[-_LOG_BYTES:].strip()
            raise VaultProcessError(f"cvault {arguments[0]} ended with exit code {done.returncode}:\n{said}")
        return done.stdout

    def cvault_json(self, *arguments: str | Path, principal: str | None = "dev") -> dict[str, Any]:
        """Runs a `cvault` command with --json; the object that it printed."""
        document: dict[str, Any] = json.loads(self.cvault(*arguments, "--json", principal=principal))
        return document

    def check(self) -> dict[str, Any]:
        """`cvault check` with keys and records opened; the vault must be stopped.

        Raises:
            VaultProcessError: Something is wrong in the stores.
        """
        passphrase = self.data / "dev" / "passphrase"
        return self.cvault_json("check", "--data", self.data, "--passphrase-file", passphrase, principal=None)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines with this event since the start, oldest first."""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line))["event"] == event]

    def _end(self) -> int | None:
        """The exit code; None when it took SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
        finally:
            self._ready_file.unlink(missing_ok=True)

    def _tail(self) -> str:
        return self._log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()


@contextmanager
def throwaway_vault(workers: int = 0) -> Iterator[tuple[ThrowAwayVault, Path]]:
    """A running vault and a folder for files; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="customer-vault-") as name:
        folder = Path(name)
        vault = ThrowAwayVault(folder)
        vault.start(workers)
        try:
            yield vault, folder
        except BaseException:
            vault.end()
            raise
        vault.stop()


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM end this program as Ctrl-C does, so that what it started is ended too."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
