"""A development vault with real processes, for the tests of this package."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from vault.config import load_settings
from vault.core.founding import found
from vault.model.secret import Secret

SETTINGS = """
[server]
workers = 2
drain_seconds = 5
metrics_listen = "127.0.0.1:0"
"""
SERVE = [sys.executable, "-m", "vault.cli", "serve"]
SECONDS = 120.0


class RunningVault:
    """`cvault serve` on a free port, with its log in a file.

    Development mode unless a passphrase is given, which then founds the vault as `cvault init` does.
    """

    def __init__(self, folder: Path, *, passphrase: str = "") -> None:
        self.folder, self.data = folder, folder / "data"
        self.ready_file = folder / "ready.json"
        self.log = folder / "server.log"
        self.passphrase_file = folder / "passphrase"
        self.data.mkdir(mode=0o700)
        (self.data / "vault.toml").write_text(SETTINGS)
        self.dev = not passphrase
        if passphrase:
            self.passphrase_file.write_text(passphrase)
            found(self.data, load_settings(self.data), Secret(passphrase), admin="admin")
        self.start()

    def command(self, listen: str = "127.0.0.1:0") -> list[str | Path]:
        mode = ["--dev"] if self.dev else ["--passphrase-file", self.passphrase_file]
        return [*SERVE, *mode, "--data", self.data, "--listen", listen, "--ready-file", self.ready_file]

    def start(self, listen: str = "127.0.0.1:0") -> None:
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(listen), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self.wait_until(lambda: self.ready_file.exists() or self.process.poll() is not None)
        except BaseException:
            self.close()  # nobody else knows of it yet
            raise
        assert self.process.poll() is None, self.log.read_text()

    @property
    def ready(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.ready_file.read_text())
        return document

    @property
    def workers(self) -> list[int]:
        return list(self.ready["workers"])

    def children(self) -> list[int]:
        """Workers and keeper."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def channel(self, principal: str = "dev") -> grpc.Channel:
        """A fresh connection of its own."""
        files = self.data / "dev" / principal if self.dev else self.data / "admin" / "admin"
        key, certificate = (files.with_name(f"{files.name}.{kind}").read_bytes() for kind in ("key", "crt"))
        credentials = grpc.ssl_channel_credentials(Path(self.ready["ca"]).read_bytes(), key, certificate)
        return grpc.secure_channel(
            self.ready["address"], credentials, [("grpc.use_local_subchannel_pool", 1)]
        )

    def is_serving(self) -> bool:
        with self.channel() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.RpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def http(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.ready["metrics"], timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_whole(self) -> bool:
        return self.http("/healthz")[0] == 200

    def wait_until(self, condition: Callable[[], bool], seconds: float = SECONDS) -> None:
        give_up = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up, self.log.read_text()[-4000:]
            time.sleep(0.05)

    def terminate(self) -> int:
        """Ends the vault; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def close(self) -> None:
        """Ends the vault however it stands."""
        if self.process.poll() is None:
            self.terminate()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
