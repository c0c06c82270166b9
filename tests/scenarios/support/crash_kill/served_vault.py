"""A development vault served by real processes, of which any may be killed.

Only processes started here are ever signalled: the supervisor, and what the kernel lists as its children. A
child is held by a pidfd from the moment it is found, so that no other process of the same number is hit.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from customervault import Vault

WORKERS = 2
START_SECONDS = 60.0
STOP_SECONDS = 45.0
CHECK_SECONDS = 120.0
_CVAULT = Path(sys.executable).parent / "cvault"
_SETTINGS = """
[server]
workers = {workers}
metrics_listen = "127.0.0.1:0"
[keys]
key_file = {key_file}
"""


class Victim(Enum):
    """Who is killed."""

    WORKER = "a worker"
    KEEPER = "the keeper"
    SUPERVISOR = "the supervisor"
    ALL = "all processes"


class ServedVault:
    """One data directory and the processes that serve it. The address stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        self._ready_file = folder / "ready.json"
        self._log = folder / "server.log"
        (folder / "key").write_bytes(os.urandom(64))
        key_file = json.dumps(str(folder / "key"))
        (self.data / "vault.toml").write_text(_SETTINGS.format(workers=WORKERS, key_file=key_file))
        self._address = "127.0.0.1:0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the supervisor and waits until every worker serves."""
        self._ready_file.unlink(missing_ok=True)
        command = [_CVAULT, "serve", "--dev", "--data", self.data, "--listen", self._address]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--ready-file", self._ready_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_whole()
        self._address = self._ready()["address"]

    def wait_whole(self) -> None:
        """Waits until the supervisor says that every worker serves, and none of them is dead."""
        give_up = time.monotonic() + START_SECONDS
        while not self._is_whole():
            assert self._running.poll() is None, f"the supervisor has ended:\n{self.last_output()}"
            assert time.monotonic() < give_up, f"the vault is not whole in time:\n{self.last_output()}"
            time.sleep(0.02)

    def kill(self, victim: Victim, chance: random.Random) -> None:
        """Kills with SIGKILL. After SUPERVISOR and ALL the vault has to be started again."""
        supervisor = self._running
        workers = [pid for pid in self._ready()["workers"] if _parent_of(pid) == supervisor.pid]
        with contextlib.ExitStack() as held:
            children = {pid: held.enter_context(_held(pid)) for pid in _children_of(supervisor.pid)}
            keeper = [pid for pid in children if pid not in workers]
            match victim:
                case Victim.WORKER:
                    _kill([children[chance.choice(workers)]])
                case Victim.KEEPER:
                    _kill([children[pid] for pid in keeper])
                case Victim.SUPERVISOR:
                    supervisor.kill()
                case Victim.ALL:
                    supervisor.kill()
                    _kill(list(children.values()))
        if victim in (Victim.SUPERVISOR, Victim.ALL):
            supervisor.wait()

    def stop(self) -> None:
        """Ends the vault in order."""
        self._running.terminate()
        code = self._running.wait(STOP_SECONDS)
        assert code == 0, f"the vault ended with {code}:\n{self.last_output()}"

    def abandon(self) -> None:
        """Ends whatever still runs, at the end of a test."""
        if self._process is not None and self._process.poll() is None:
            self.kill(Victim.ALL, random.Random())

    def check(self) -> None:
        """The offline check must find nothing wrong."""
        ran = subprocess.run(
            [_CVAULT, "check", "--data", self.data, "--json"],
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
        )
        assert ran.returncode == 0, f"cvault check: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
        assert json.loads(ran.stdout)["opened"], "keys and records were not opened"

    def connect(self, *, channels: int = 1, timeout_seconds: float = 10.0) -> Vault:
        """A client that sends each request once."""
        files = self._ready()["certificates"]["dev"]
        return Vault(
            self._address,
            ca=self.data / "tls" / "ca.crt",
            certificate=files["certificate"],
            key=files["key"],
            purpose="support",
            timeout=timeout_seconds,
            channels=channels,
            max_attempts=1,
        )

    def last_output(self) -> str:
        """The end of the processes' log."""
        return self._log.read_bytes()[-4000:].decode(errors="replace")

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the vault was not started"
        return self._process

    def _ready(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._ready_file.read_text())
        return content

    def _is_whole(self) -> bool:
        if not self._ready_file.exists():
            return False
        ready = self._ready()
        alive = [pid for pid in ready["workers"] if _parent_of(pid) == self._running.pid]
        return ready["pid"] == self._running.pid and len(alive) == WORKERS == len(ready["workers"])


@contextlib.contextmanager
def _held(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _kill(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def _children_of(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listed in lists for child in listed.read_text().split()]


def _parent_of(pid: int) -> int:
    """The parent of a living process; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[1])
