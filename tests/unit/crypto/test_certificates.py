"""The certificate authority, checked by OpenSSL as a client or server would."""

import contextlib
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from vault.crypto import certificates
from vault.crypto.certificates import KeyedCertificate, describe, principal_name
from vault.errors import InvalidRequestError, KeyUnavailableError, UnauthenticatedError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAMES = [
    "spiffe://acme.example/crm/eu",
    "crm.example.com",
    "crm-eu",
    "CRM import (nightly)",
    "crm_eu",
    "Société Générale",
    "a" * 60 + ".example.com",
    "spiffe://acme.example/" + "long-" * 20,
    "10.0.0.1",
]


@pytest.fixture(scope="module")
def ca() -> KeyedCertificate:
    return certificates.create_ca("Customer Vault CA", 3650)


def openssl_verifies(ca: KeyedCertificate, certificate: bytes, purpose: str, directory: Path) -> bool:
    (directory / "ca.pem").write_bytes(ca.cert_pem)
    (directory / "cert.pem").write_bytes(certificate)
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "cert.pem"]
    return subprocess.run(command, cwd=directory, capture_output=True, timeout=30).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_client_certificate_names_its_principal(name: str, ca: KeyedCertificate, tmp_path: Path) -> None:
    request = certificates.create_request(name)
    certificate = certificates.sign_request(*ca, request.csr_pem, name=name, days=90)
    info = describe(certificate)
    assert principal_name(info.uris, info.dns_names, info.common_name) == name
    assert not info.is_ca
    assert openssl_verifies(ca, certificate, "sslclient", tmp_path)
    assert not openssl_verifies(ca, certificate, "sslserver", tmp_path)


def test_request_does_not_choose_its_name(ca: KeyedCertificate) -> None:
    request = certificates.create_request("spiffe://acme.example/admin")
    info = describe(certificates.sign_request(*ca, request.csr_pem, name="crm.example.com", days=1))
    assert (info.uris, info.dns_names, info.common_name) == ((), ("crm.example.com",), "crm.example.com")


def test_request_does_not_choose_its_extensions(ca: KeyedCertificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert not describe(certificates.sign_request(*ca, csr, name="crm", days=1)).is_ca


def test_request_must_prove_its_key(ca: KeyedCertificate) -> None:
    der = bytearray(
        x509.load_pem_x509_csr(certificates.create_request("crm").csr_pem).public_bytes(
            serialization.Encoding.DER
        )
    )
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(InvalidRequestError, match="not signed by its own key"):
        certificates.sign_request(*ca, forged, name="crm", days=1)


def request_for(key: PrivateKey) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_other_strong_keys_are_certified(key: PrivateKey, ca: KeyedCertificate) -> None:
    certificate = certificates.sign_request(*ca, request_for(key), name="crm", days=1)
    assert x509.load_pem_x509_certificate(certificate).public_key() == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - weak on purpose
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["RSA-1024", "P-521", "Ed25519"],
)
def test_weak_and_unusual_keys_are_refused(key: PrivateKey, ca: KeyedCertificate) -> None:
    with pytest.raises(InvalidRequestError, match="a certified key"):
        certificates.sign_request(*ca, request_for(key), name="crm", days=1)


@pytest.mark.parametrize(
    "csr",
    [b"", b"garbage", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"],
)
def test_garbage_is_no_request(csr: bytes, ca: KeyedCertificate) -> None:
    with pytest.raises(InvalidRequestError):
        certificates.sign_request(*ca, csr, name="crm", days=1)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 65 + "_",
        "a.b" * 100,
        "spiffe://",
        "spiffe://acme",
        "spiffe://acme/",
        "spiffe://a c/x",
        "line\nbreak",
        "nul\0",
    ],
)
def test_impossible_names_are_refused(name: str, ca: KeyedCertificate) -> None:
    request = certificates.create_request("crm")
    with pytest.raises(InvalidRequestError):
        certificates.sign_request(*ca, request.csr_pem, name=name, days=1)


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_impossible_validity_is_refused(days: int) -> None:
    with pytest.raises(InvalidRequestError):
        certificates.create_ca("ca", days)


def test_validity_counts_from_the_given_time(ca: KeyedCertificate) -> None:
    request = certificates.create_request("crm")
    info = describe(certificates.sign_request(*ca, request.csr_pem, name="crm", days=7, now=NOW))
    assert info.not_before == NOW - timedelta(minutes=5)
    assert info.not_after == NOW + timedelta(days=7)


def test_server_certificate(ca: KeyedCertificate, tmp_path: Path) -> None:
    server = certificates.issue_server(ca, ["localhost", "vault.example.com"], ["127.0.0.1", "::1"], 30)
    info = describe(server.cert_pem)
    assert info.dns_names == ("localhost", "vault.example.com")
    assert info.ip_addresses == ("127.0.0.1", "::1")
    assert openssl_verifies(ca, server.cert_pem, "sslserver", tmp_path)
    assert not openssl_verifies(ca, server.cert_pem, "sslclient", tmp_path)


@pytest.mark.parametrize(
    ("dns_names", "addresses"), [([], []), (["not a name"], []), (["10.0.0.1"], []), (["ok"], ["300.0.0.1"])]
)
def test_impossible_server_names_are_refused(
    dns_names: list[str], addresses: list[str], ca: KeyedCertificate
) -> None:
    with pytest.raises(InvalidRequestError):
        certificates.issue_server(ca, dns_names, addresses, 30)


def test_authority_signs_end_certificates_only(ca: KeyedCertificate, tmp_path: Path) -> None:
    assert describe(ca.cert_pem).is_ca
    other = certificates.create_ca("Another CA", 10)
    request = certificates.create_request("crm")
    certificate = certificates.sign_request(*other, request.csr_pem, name="crm", days=1)
    assert not openssl_verifies(ca, certificate, "sslclient", tmp_path)


def test_key_and_certificate_must_belong_together(ca: KeyedCertificate) -> None:
    other = certificates.create_ca("Another CA", 10)
    request = certificates.create_request("crm")
    with pytest.raises(KeyUnavailableError, match="belong together"):
        certificates.sign_request(other.key_pem, ca.cert_pem, request.csr_pem, name="crm", days=1)
    with pytest.raises(KeyUnavailableError, match="cannot be read"):
        certificates.sign_request(b"", ca.cert_pem, request.csr_pem, name="crm", days=1)


def test_mutual_tls_handshake(ca: KeyedCertificate, tmp_path: Path) -> None:
    server_pair = certificates.issue_server(ca, ["localhost"], [], 30)
    request = certificates.create_request("spiffe://acme.example/crm")
    client_cert = certificates.sign_request(*ca, request.csr_pem, name="spiffe://acme.example/crm", days=1)
    (tmp_path / "server.pem").write_bytes(server_pair.key_pem + server_pair.cert_pem)
    (tmp_path / "client.pem").write_bytes(request.key_pem + client_cert)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=ca.cert_pem.decode())
    server_context.load_cert_chain(tmp_path / "server.pem")
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context(cadata=ca.cert_pem.decode())
    client_context.load_cert_chain(tmp_path / "client.pem")
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):  # TLS 1.3: hello, answer, certificate
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    server.do_handshake()
    peer = server.getpeercert()
    assert peer is not None
    assert peer["subjectAltName"] == (("URI", "spiffe://acme.example/crm"),)


def test_name_precedence() -> None:
    assert principal_name(["https://x", "spiffe://a/b"], ["dns"], "cn") == "spiffe://a/b"
    assert principal_name(["https://x"], ["dns", "dns2"], "cn") == "dns"
    assert principal_name([], [], "cn") == "cn"


@pytest.mark.parametrize(
    ("uris", "dns_names", "common_name"),
    [
        ([], [], ""),
        (["spiffe://a/b", "spiffe://a/c"], ["dns"], "cn"),
        ([], [], "spiffe://a/b"),
        ([], ["spiffe://a/b"], ""),
    ],
)
def test_certificates_without_a_clear_name(uris: list[str], dns_names: list[str], common_name: str) -> None:
    with pytest.raises(UnauthenticatedError):
        principal_name(uris, dns_names, common_name)


def test_describe_refuses_garbage() -> None:
    with pytest.raises(InvalidRequestError):
        describe(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_private_keys_are_not_shown(ca: KeyedCertificate) -> None:
    request = certificates.create_request("crm")
    assert "PRIVATE" not in repr(ca) + str(ca) + f"{ca}" + repr(request)


def client_of(ca: KeyedCertificate, name: str = "crm") -> bytes:
    return certificates.sign_request(*ca, certificates.create_request(name).csr_pem, name=name, days=1)


def test_issuers_vouch_for_what_they_have_signed_and_for_nothing_else(ca: KeyedCertificate) -> None:
    other = certificates.create_ca("Customer Vault CA", 3650)  # of the same name
    both = certificates.Issuers(other.cert_pem + ca.cert_pem)
    assert both.vouch_for(client_of(ca))
    assert both.vouch_for(client_of(other))
    assert not certificates.Issuers(other.cert_pem).vouch_for(client_of(ca))
    end = certificates.create_request("crm")
    forged = KeyedCertificate(end.key_pem, certificates.sign_request(*ca, end.csr_pem, name="crm", days=1))
    below = client_of(forged, "admin")  # signed by a client, who is no authority
    assert not certificates.Issuers(ca.cert_pem).vouch_for(below + forged.cert_pem)


def test_issuers_vouch_through_authorities_in_between(ca: KeyedCertificate) -> None:
    key, between = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "b")]),
    )
    root = x509.load_pem_x509_certificate(ca.cert_pem)
    signer = serialization.load_pem_private_key(ca.key_pem, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    made = (
        x509.CertificateBuilder()
        .subject_name(between)
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    intermediate = KeyedCertificate(private, made.public_bytes(serialization.Encoding.PEM))
    leaf = client_of(intermediate)
    issuers = certificates.Issuers(ca.cert_pem)
    assert issuers.vouch_for(leaf + intermediate.cert_pem)
    assert not issuers.vouch_for(leaf)
    with pytest.raises(InvalidRequestError):
        issuers.vouch_for(b"")


def test_an_authoritys_certificate_is_found_among_several(ca: KeyedCertificate) -> None:
    other = certificates.create_ca("Customer Vault CA", 3650)
    assert certificates.matching(ca.key_pem, other.cert_pem + ca.cert_pem) == ca.cert_pem
    with pytest.raises(KeyUnavailableError):
        certificates.matching(ca.key_pem, other.cert_pem)
