"""The vault's own certificate authority: X.509 (RFC 5280), ECDSA over P-256.

Rules:
- A principal's name is the certificate's SPIFFE URI, else its first DNS name, else its common name.
- The authority writes the name that an administrator gave; what a request asks for is ignored. Of a
  request only the public key counts, and its signature, which proves that the sender has the key.
- Client certificates are for clients only, server certificates for servers only.
- Validity starts five minutes before now, for clocks that are behind. `now` is read from the clock
  unless it is given: the one clock in this package.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vault.errors import InvalidRequestError, KeyUnavailableError, UnauthenticatedError

SPIFFE: Final = "spiffe://"
MAX_COMMON_NAME_CHARS: Final = 64  # ub-common-name, RFC 5280 appendix A.1
_MAX_NAME_CHARS: Final = 255
_CLOCK_SKEW: Final = timedelta(minutes=5)
_MIN_RSA_BITS: Final = 2048
_SPIFFE_NAME: Final = re.compile(r"spiffe://[a-z0-9._-]+(?:/[A-Za-z0-9._-]+)+")
_DNS_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_USAGE_OFF: Final = {
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "encipher_only": False,
    "decipher_only": False,
}


_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class KeyedCertificate(NamedTuple):
    """A private key (PKCS #8, not encrypted) and its certificate, both PEM."""

    key_pem: bytes
    cert_pem: bytes

    def __repr__(self) -> str:
        return "<key and certificate>"


class KeyedRequest(NamedTuple):
    """A private key (PKCS #8, not encrypted) and its signing request, both PEM."""

    key_pem: bytes
    csr_pem: bytes

    def __repr__(self) -> str:
        return "<key and signing request>"


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What a certificate says. Times are in UTC; `fingerprint` is the SHA-256 of its DER form."""

    common_name: str
    uris: Sequence[str]
    dns_names: Sequence[str]
    ip_addresses: Sequence[str]
    serial: int
    not_before: datetime
    not_after: datetime
    is_ca: bool
    fingerprint: bytes


def principal_name(uris: Sequence[str], dns_names: Sequence[str], common_name: str) -> str:
    """The principal that a verified client certificate names.

    Raises:
        UnauthenticatedError: none, or more than one SPIFFE id.
    """
    spiffe_ids = [uri for uri in uris if uri.startswith(SPIFFE)]
    if len(spiffe_ids) > 1:
        raise UnauthenticatedError("the certificate holds more than one SPIFFE id")
    # A SPIFFE id counts as a URI only: an authority that vouches for names alone cannot forge one.
    name = next(iter([*spiffe_ids, *dns_names, common_name]), "")
    if not name or (not spiffe_ids and name.startswith(SPIFFE)):
        raise UnauthenticatedError("the certificate names no principal")
    return name


def create_ca(common_name: str, days: int, *, now: datetime | None = None) -> KeyedCertificate:
    """A self-signed authority that may sign end certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _common_name(common_name)
    builder = (
        _builder(subject, subject, key.public_key(), days, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(for_ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return KeyedCertificate(_key_pem(key), _cert_pem(builder.sign(key, hashes.SHA256())))


def issue_server(
    ca: tuple[bytes, bytes],
    dns_names: Sequence[str],
    ip_addresses: Sequence[str],
    days: int,
    *,
    now: datetime | None = None,
) -> KeyedCertificate:
    """A server's key and certificate for these names and addresses.

    Args:
        ca: key and certificate of the authority, PEM.
        dns_names: names that clients dial.
        ip_addresses: addresses that clients dial.
        days: validity.
        now: start of validity; the clock's time if not given.

    Raises:
        InvalidRequestError: no name at all, or one that is not valid.
        KeyUnavailableError: the authority's key or certificate cannot be read.
    """
    try:
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
    except ValueError:
        raise InvalidRequestError("not an IP address") from None
    if not all(_is_dns_name(name) for name in dns_names):
        raise InvalidRequestError("not a DNS name")
    names = [*(x509.DNSName(name) for name in dns_names), *addresses]
    if not names:
        raise InvalidRequestError("a server certificate needs a name")
    key = ec.generate_private_key(ec.SECP256R1())
    signer, issuer = _load_ca(*ca)
    subject = _common_name(next((n for n in dns_names if len(n) <= MAX_COMMON_NAME_CHARS), "customer-vault"))
    builder = _end_certificate(
        _builder(subject, issuer.subject, key.public_key(), days, now),
        signer,
        ExtendedKeyUsageOID.SERVER_AUTH,
    ).add_extension(x509.SubjectAlternativeName(names), critical=False)
    return KeyedCertificate(_key_pem(key), _cert_pem(builder.sign(signer, hashes.SHA256())))


def matching(key_pem: bytes, bundle_pem: bytes) -> bytes:
    """The certificate (PEM) of an authority's key, among several.

    Raises:
        KeyUnavailableError: there is none, or something cannot be read.
    """
    return _cert_pem(_load_ca(key_pem, bundle_pem)[1])


class Issuers:
    """Authorities that are trusted, each with the certificates that it has signed."""

    def __init__(self, bundle_pem: bytes) -> None:
        """From their certificates, PEM.

        Raises:
            InvalidRequestError: there is none.
        """
        self._trusted = _certificates(bundle_pem)

    def vouch_for(self, chain_pem: bytes) -> bool:
        """Whether a chain leads to one of the authorities.

        Looks at issuers' names and signatures, and that each issuer is an authority (RFC 5280, section 6.1.3
        and 6.1.4 k). Everything else is for the TLS handshake that has let the chain in.

        Raises:
            InvalidRequestError: it holds no certificate.
        """
        current, *others = _certificates(chain_pem)
        for _ in range(len(others) + 1):
            if any(_issued(current, trusted) for trusted in self._trusted):
                return True
            above = [each for each in others if _issued(current, each)]
            if not above:
                return False
            current = above[0]
        return False


def create_request(name: str) -> KeyedRequest:
    """A new key and a signing request for a principal of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, alternative = _principal_names(name)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternative is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
    request = builder.sign(key, hashes.SHA256())
    return KeyedRequest(_key_pem(key), request.public_bytes(serialization.Encoding.PEM))


def sign_request(
    ca_key_pem: bytes,
    ca_cert_pem: bytes,
    csr_pem: bytes,
    *,
    name: str,
    days: int,
    now: datetime | None = None,
) -> bytes:
    """A client certificate (PEM) for the key in a signing request, under the given name.

    Subject and extensions of the request are ignored. The name is written as a URI if it is a
    SPIFFE id, else as a DNS name if it has that form, and as common name where it fits.

    Raises:
        InvalidRequestError: the request or the name is not valid, or its key too weak.
        KeyUnavailableError: the authority's key or certificate cannot be read.
    """
    key = _requested_key(csr_pem)
    subject, alternative = _principal_names(name)
    signer, issuer = _load_ca(ca_key_pem, ca_cert_pem)
    builder = _end_certificate(
        _builder(subject, issuer.subject, key, days, now), signer, ExtendedKeyUsageOID.CLIENT_AUTH
    )
    if alternative is not None:
        # RFC 5280, 4.2.1.6: critical where the subject is empty.
        builder = builder.add_extension(
            x509.SubjectAlternativeName([alternative]), critical=not list(subject)
        )
    return _cert_pem(builder.sign(signer, hashes.SHA256()))


def describe(cert_pem: bytes) -> CertificateInfo:
    """What the first certificate in `cert_pem` says. Verifies nothing.

    Raises:
        InvalidRequestError: not a certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(cert_pem)
        extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension):
        raise InvalidRequestError("not a PEM certificate") from None
    names = _extension(extensions, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])
    constraints = _extension(extensions, x509.BasicConstraints)
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateInfo(
        common_name=str(common_names[0].value) if common_names else "",
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        ip_addresses=tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=constraints is not None and constraints.ca,
        fingerprint=certificate.fingerprint(hashes.SHA256()),
    )


def _common_name(text: str) -> x509.Name:
    if not 0 < len(text) <= MAX_COMMON_NAME_CHARS or not text.isprintable():
        raise InvalidRequestError("a common name has 1 to 64 printable characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _principal_names(name: str) -> tuple[x509.Name, x509.GeneralName | None]:
    """Subject and alternative name that `principal_name` reads back as `name`."""
    if len(name) > _MAX_NAME_CHARS:
        raise InvalidRequestError("a principal's name has at most 255 characters")
    alternative: x509.GeneralName
    if name.startswith(SPIFFE):
        if _SPIFFE_NAME.fullmatch(name) is None:
            raise InvalidRequestError("not a SPIFFE id")
        alternative = x509.UniformResourceIdentifier(name)
    elif _is_dns_name(name):
        alternative = x509.DNSName(name)
    else:
        return _common_name(name), None
    return (_common_name(name) if len(name) <= MAX_COMMON_NAME_CHARS else x509.Name([])), alternative


def _is_dns_name(name: str) -> bool:
    if _DNS_NAME.fullmatch(name) is None or len(name) > 253:
        return False
    return not name.rpartition(".")[2].isdigit()  # 10.0.0.1 is an address


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    days: int,
    now: datetime | None,
) -> x509.CertificateBuilder:
    if not 0 < days <= 36500:
        raise InvalidRequestError("a certificate is valid for 1 to 36500 days")
    start = (now or datetime.now(UTC)).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _CLOCK_SKEW)
        .not_valid_after(start + timedelta(days=days))
    )


def _end_certificate(
    builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(for_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(authority, critical=False)
    )


def _usage(*, for_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=not for_ca, key_cert_sign=for_ca, crl_sign=for_ca, **_USAGE_OFF)


def _requested_key(csr_pem: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        genuine, key = request.is_signature_valid, request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise InvalidRequestError("not a PEM certificate signing request") from None
    if not genuine:
        raise InvalidRequestError("the signing request is not signed by its own key")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    raise InvalidRequestError("a certified key is ECDSA P-256 or P-384, or RSA of 2048 bits or more")


def _load_ca(key_pem: bytes, cert_pem: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
        bundle = x509.load_pem_x509_certificates(cert_pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnavailableError("the authority's key or certificate cannot be read") from None
    own = [each for each in bundle if each.public_key() == key.public_key()]
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not own:
        raise KeyUnavailableError("the authority's key and certificate do not belong together")
    return key, own[0]


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidRequestError("not a PEM certificate") from None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    constraints = _extension(issuer.extensions, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _cert_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
