"""A real server on a vault of the scenarios, and calls to it below the SDK: what a stranger could send."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from customervault import Vault
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from tests.scenarios.support.deployment import Deployment

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: the code, and the vault's own reason where it gave one."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = ""
    details: Mapping[str, str] | None = None


class Server:
    """A running vault, and whoever calls it."""

    def __init__(self, deployment: Deployment, ready: dict[str, Any], log: Path) -> None:
        self.deployment = deployment
        self.address = str(ready["address"])
        self.pid = int(ready["pid"])
        self.workers = [int(pid) for pid in ready["workers"]]
        self._metrics = str(ready["metrics"])
        self._log = log

    @property
    def ca(self) -> bytes:
        return (self.deployment.data_dir / "tls" / "ca.crt").read_bytes()

    def certificate(self, principal: str) -> tuple[Path, Path]:
        """Files of certificate and key."""
        made = self.deployment.data_dir / "admin"
        return made / f"{principal}.crt", made / f"{principal}.key"

    def connect(self, principal: str, **options: Any) -> Vault:
        """The SDK, as a principal."""
        certificate, key = self.certificate(principal)
        ca = self.deployment.data_dir / "tls" / "ca.crt"
        return Vault(self.address, ca=ca, certificate=certificate, key=key, **options)

    def channel(self, principal: str = "crm") -> grpc.Channel:
        """A bare channel, as a principal."""
        certificate, key = self.certificate(principal)
        return self.channel_with(certificate.read_bytes(), key.read_bytes())

    def channel_with(
        self, certificate: bytes | None, key: bytes | None, ca: bytes | None = None
    ) -> grpc.Channel:
        """A bare channel with any certificate, or none."""
        credentials = grpc.ssl_channel_credentials(ca or self.ca, key, certificate)
        return grpc.secure_channel(self.address, credentials, [("grpc.enable_retries", 0)])

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The workers stand still meanwhile, every thread of them: the signal alone takes its time."""
        for pid in self.workers:
            os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 10
        while not all(_stands_still(pid) for pid in self.workers):
            assert time.monotonic() < end, "a worker does not stop"
            time.sleep(0.001)
        try:
            yield
        finally:
            for pid in self.workers:
                os.kill(pid, signal.SIGCONT)

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        """Everything that any process has printed."""
        return self._log.read_text()


def call(channel: grpc.Channel, method: str, request: bytes | Any, timeout: float | None = 10.0) -> Answer:
    """One call with any bytes as the request, e.g. `TokenService/Detokenize`; how it ended."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    act = channel.unary_unary(f"/customervault.v1.{method}")
    try:
        act(raw, timeout=timeout)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        info = _info(status) if status is not None else ErrorInfo()
        return Answer(error.code(), info.reason, error.details() or "", dict(info.metadata))
    return Answer(grpc.StatusCode.OK)


def _info(status: Status) -> ErrorInfo:
    info = ErrorInfo()
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
    return info


def _stands_still(pid: int) -> bool:
    try:
        threads = [each.read_text() for each in Path("/proc", str(pid)).glob("task/*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
        return False
    return {each.rpartition(")")[2].split()[0] for each in threads} == {"T"}


@contextmanager
def serving(deployment: Deployment, directory: Path, *, log_level: str = "INFO") -> Iterator[Server]:
    """`cvault serve` with two workers, until the context ends; it must then end by itself, with code 0."""
    ready_file, log = directory / "ready.json", directory / "server.log"
    command = [str(Path(sys.executable).parent / "cvault"), "serve", "--data", str(deployment.data_dir)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--ready-file", str(ready_file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"CVAULT_LOG_LEVEL": log_level},
        )
    try:
        yield Server(deployment, _wait_ready(process, ready_file, log), log)
    finally:
        process.terminate()
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    assert code == 0, f"ended with {code}: {log.read_text()[-2000:]}"


def _wait_ready(process: "subprocess.Popen[bytes]", ready_file: Path, log: Path) -> dict[str, Any]:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"ended at start: {log.read_text()[-2000:]}"
        if ready_file.exists():
            ready: dict[str, Any] = json.loads(ready_file.read_text())
            return ready
        time.sleep(0.05)
    raise AssertionError(f"not ready in time: {log.read_text()[-2000:]}")


def tls_versions(address: str, ca: bytes, certificate: tuple[Path, Path]) -> list[str]:
    """The versions of TLS in which a client with a good certificate gets a connection."""
    found = []
    for version in (
        ssl.TLSVersion.TLSv1,
        ssl.TLSVersion.TLSv1_1,
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_3,
    ):
        if _connects(address, ca, certificate, version):
            found.append(version.name)
    return found


def _connects(address: str, ca: bytes, certificate: tuple[Path, Path], version: ssl.TLSVersion) -> bool:
    import socket
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the old versions are old is the point
        context = ssl.create_default_context(cadata=ca.decode())
        context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(*certificate)
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            secured.settimeout(5)
            secured.recv(1)  # in TLS 1.3 a refusal comes after the client's own handshake
            return True
    except (ssl.SSLError, OSError):
        return False
