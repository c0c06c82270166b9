"""What a peer can negotiate, shown with openssl against a real server; and certificates that change."""

import ipaddress
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from vault.errors import KeyUnavailableError
from vault.server import TLS12_CIPHER_SUITES
from vault.server.tls import CertificateSource, TlsFiles

OPENSSL = shutil.which("openssl") or ""
ROOT = Path(__file__).resolve().parents[3]
SERVER_NAMES = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
needs_openssl = pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")


class Listening:
    """A running server and the files of it and of one client."""

    def __init__(self, directory: Path, authority: Any, external: Any) -> None:
        self.directory, self.authority = directory, authority
        self.certificate, self.key = authority.issue("server", SERVER_NAMES).write(directory, "server")
        self.ca, other_ca = directory / "ca.crt", directory / "external.crt"
        self.ca.write_bytes(authority.pem)
        other_ca.write_bytes(external.pem.rstrip())  # no newline at its end: files are joined safely
        program = [sys.executable, str(Path(__file__).with_name("echo_server.py"))]
        self._process = subprocess.Popen(
            [*program, self.certificate, self.key, self.ca, other_ca],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate(timeout=20)

    def echo(self, client: Any, *, roots: bytes | None = None) -> bytes:
        """One call over a fresh connection."""
        credentials = grpc.ssl_channel_credentials(
            roots or self.authority.pem, client.key, client.certificate
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options) as channel:
            return echo_of(channel)(b"hello", timeout=10)

    def is_refused(self, client: Any, *, roots: bytes | None = None) -> bool:
        with pytest.raises(grpc.RpcError) as refused:
            self.echo(client, roots=roots)
        return refused.value.code() is grpc.StatusCode.UNAVAILABLE

    def openssl(self, *options: str) -> str:
        """The report of `openssl s_client`, offering what `options` say."""
        certificate, key = self.authority.issue("client").write(self.directory, "client")
        command = [OPENSSL, "s_client", "-connect", f"127.0.0.1:{self.port}", "-alpn", "h2", "-brief"]
        command += ["-cert", str(certificate), "-key", str(key), "-CAfile", str(self.ca)]
        done = subprocess.run(
            [*command, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
        )
        return (done.stdout + done.stderr).decode(errors="replace")


def echo_of(channel: grpc.Channel) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary("/test.Test/Echo")


@pytest.fixture(scope="module")
def external(new_authority: Any) -> Any:
    return new_authority()


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory, authority: Any, external: Any) -> Iterator[Listening]:
    server = Listening(tmp_path_factory.mktemp("tls"), authority, external)
    yield server
    server.stop()


@needs_openssl
def test_tls_1_3_is_preferred(listening: Listening) -> None:
    report = listening.openssl()
    assert "Protocol version: TLSv1.3" in report
    assert "Verification: OK" in report


@needs_openssl
@pytest.mark.parametrize("suite", [s for s in TLS12_CIPHER_SUITES.split(":") if "ECDSA" in s])
def test_tls_1_2_speaks_ecdhe_with_an_aead(listening: Listening, suite: str) -> None:
    report = listening.openssl("-tls1_2", "-cipher", suite)
    assert "Protocol version: TLSv1.2" in report
    assert f"Ciphersuite: {suite}" in report


@needs_openssl
@pytest.mark.parametrize(
    "options",
    [
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"),
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"),
        ("-tls1_2", "-cipher", "AES128-GCM-SHA256"),
        ("-tls1_2", "-cipher", "AES256-SHA"),
        ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"),
        ("-tls1_1", "-cipher", "ALL@SECLEVEL=0"),
        ("-tls1", "-cipher", "ALL@SECLEVEL=0"),
    ],
    ids=lambda options: "".join(options[::2]),
)
def test_everything_older_is_refused_by_the_server(listening: Listening, options: tuple[str, ...]) -> None:
    report = listening.openssl(*options)
    assert "CONNECTION ESTABLISHED" not in report
    # gRPC closes the connection without an alert; a client that could not offer the suite says so instead
    assert "alert" in report or "unexpected eof" in report, report


def test_the_suites_of_1_2_are_all_ecdhe_and_aead() -> None:
    for suite in TLS12_CIPHER_SUITES.split(":"):
        assert suite.startswith("ECDHE-")
        assert "GCM" in suite or "POLY1305" in suite


def test_clients_of_both_cas_are_let_in(listening: Listening, external: Any) -> None:
    assert listening.echo(listening.authority.issue("client")) == b"hello"
    assert listening.echo(external.issue("client")) == b"hello"


def test_foreign_and_expired_clients_are_refused(listening: Listening, new_authority: Any) -> None:
    assert listening.is_refused(new_authority().issue("client"))
    assert listening.is_refused(listening.authority.issue("client", days=-5))


def test_a_client_without_a_certificate_is_refused(listening: Listening) -> None:
    credentials = grpc.ssl_channel_credentials(listening.authority.pem)
    with (
        grpc.secure_channel(f"127.0.0.1:{listening.port}", credentials) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        echo_of(channel)(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_certificates_change_without_a_restart(listening: Listening, new_authority: Any) -> None:
    client = listening.authority.issue("client")
    renewed = new_authority()
    certificate, key = listening.certificate.read_bytes(), listening.key.read_bytes()
    new = renewed.issue("server", SERVER_NAMES)
    try:
        listening.certificate.write_bytes(new.certificate)
        assert listening.echo(client) == b"hello", "half a renewal leaves the old pair in use"
        listening.key.write_bytes(new.key)
        assert listening.echo(client, roots=renewed.pem) == b"hello"
        assert listening.is_refused(client)
        listening.key.unlink()
        assert listening.echo(client, roots=renewed.pem) == b"hello"
    finally:
        listening.certificate.write_bytes(certificate)
        listening.key.write_bytes(key)
    assert listening.echo(client) == b"hello"


def test_missing_or_mismatched_files_stop_the_start(tmp_path: Path, authority: Any, server_pair: Any) -> None:
    certificate, key = server_pair.write(tmp_path, "server")
    files = TlsFiles(certificate, key, (tmp_path / "ca.crt",))
    with pytest.raises(KeyUnavailableError, match="missing"):
        CertificateSource(files).load()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    CertificateSource(files).load()
    key.write_bytes(authority.issue("other").key)
    with pytest.raises(KeyUnavailableError):
        CertificateSource(files).load()
