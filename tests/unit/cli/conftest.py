"""Runs command lines in this process and gathers what they print."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.unit.client.scripted_vault import ScriptedVault
from vault.cli.main import main
from vault.crypto import certificates
from vault.crypto.certificates import KeyedCertificate


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Cvault = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "CA", "CERTIFICATE", "KEY", "DOMAIN", "PURPOSE", "DATA", "PASSPHRASE", "TIMEOUT"):
        monkeypatch.delenv(f"CVAULT_{name}", raising=False)


@pytest.fixture
def cvault(capfd: pytest.CaptureFixture[str]) -> Cvault:
    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(int(code), out, err)

    return run


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyedCertificate, Path]:
    """A CA, and a folder with ca.crt, client.crt and client.key."""
    folder = tmp_path_factory.mktemp("authority")
    ca = certificates.create_ca("test ca", 1)
    request = certificates.create_request("tester")
    signed = certificates.sign_request(ca.key_pem, ca.cert_pem, request.csr_pem, name="tester", days=1)
    (folder / "ca.crt").write_bytes(ca.cert_pem)
    (folder / "client.crt").write_bytes(signed)
    (folder / "client.key").write_bytes(request.key_pem)
    return ca, folder


@pytest.fixture
def server(
    authority: tuple[KeyedCertificate, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedVault]:
    """A scripted vault behind real mutual TLS, to which `cvault` connects by its environment."""
    ca, folder = authority
    own = certificates.issue_server((ca.key_pem, ca.cert_pem), [], ["127.0.0.1"], 1)
    scripted = ScriptedVault(
        grpc.ssl_server_credentials(
            [(own.key_pem, own.cert_pem)], root_certificates=ca.cert_pem, require_client_auth=True
        )
    )
    monkeypatch.setenv("CVAULT_ADDRESS", scripted.address)
    monkeypatch.setenv("CVAULT_CA", str(folder / "ca.crt"))
    monkeypatch.setenv("CVAULT_CERTIFICATE", str(folder / "client.crt"))
    monkeypatch.setenv("CVAULT_KEY", str(folder / "client.key"))
    yield scripted
    scripted.stop()
