"""A scripted vault with mutual TLS, and both clients behind one blocking face."""

import asyncio
import datetime as dt
import inspect
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from customervault import AsyncVault, Vault

from tests.unit.client.scripted_vault import ScriptedVault


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A CA made for one test session."""

    ca: Path
    server: Identity
    client: Identity
    stranger_ca: Path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: str, public_key: Any, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, is_ca: bool
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _identity(folder: Path, name: str, ca_key: ec.EllipticCurvePrivateKey) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    identity = Identity(folder / f"{name}.crt", folder / f"{name}.key")
    identity.certificate.write_bytes(_certificate(name, key.public_key(), "test ca", ca_key, is_ca=False))
    identity.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return identity


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    ca_key, stranger_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca, stranger_ca = folder / "ca.crt", folder / "stranger.crt"
    ca.write_bytes(_certificate("test ca", ca_key.public_key(), "test ca", ca_key, is_ca=True))
    stranger_ca.write_bytes(
        _certificate("stranger", stranger_key.public_key(), "stranger", stranger_key, is_ca=True)
    )
    return Authority(
        ca, _identity(folder, "server", ca_key), _identity(folder, "client", ca_key), stranger_ca
    )


@pytest.fixture
def credentials(authority: Authority) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(authority.server.key.read_bytes(), authority.server.certificate.read_bytes())],
        root_certificates=authority.ca.read_bytes(),
        require_client_auth=True,
    )


@pytest.fixture
def server(credentials: grpc.ServerCredentials) -> Iterator[ScriptedVault]:
    scripted = ScriptedVault(credentials)
    yield scripted
    scripted.stop()


@pytest.fixture
def restart(
    server: ScriptedVault, credentials: grpc.ServerCredentials
) -> Iterator[Callable[[], ScriptedVault]]:
    """Starts another vault at the address of the first, which was stopped."""
    started: list[ScriptedVault] = []

    def start() -> ScriptedVault:
        started.append(ScriptedVault(credentials, server.address))
        return started[-1]

    yield start
    for scripted in started:
        scripted.stop()


class Blocking:
    """`AsyncVault` with each verb run to its end; listings become lists."""

    def __init__(self, vault: AsyncVault, loop: asyncio.AbstractEventLoop) -> None:
        self._vault = vault
        self._loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._vault, name)
        if name.startswith("_"):
            return verb  # type: ignore[no-any-return]

        async def drain(items: Any) -> list[Any]:
            return [item async for item in items]

        def call(*args: Any, **keywords: Any) -> Any:
            answer = verb(*args, **keywords)
            return self._loop.run_until_complete(drain(answer) if inspect.isasyncgen(answer) else answer)

        return call


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def settings(server: ScriptedVault, authority: Authority) -> dict[str, Any]:
    return {
        "address": server.address,
        "ca": authority.ca,
        "certificate": authority.client.certificate,
        "key": authority.client.key,
    }


Connect = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def connect(
    request: pytest.FixtureRequest,
    settings: dict[str, Any],
    loop: asyncio.AbstractEventLoop,
) -> Iterator[Connect]:
    """Makes clients of the scripted vault; each test runs once with either kind."""
    opened: list[Any] = []

    def make(**chosen: Any) -> Any:
        given = {**settings, **chosen}
        vault = Vault(**given) if request.param == "sync" else Blocking(AsyncVault(**given), loop)
        opened.append(vault)
        return vault

    yield make
    for vault in opened:
        vault.close()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "CA", "CERTIFICATE", "KEY", "DOMAIN", "PURPOSE", "TIMEOUT"):
        monkeypatch.delenv(f"CVAULT_{name}", raising=False)
