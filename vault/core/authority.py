"""The vault's own CA: its certificates, and how another CA takes its place while the vault serves.

    overlap   a new CA signs principals from now on; both CAs are trusted. The server's certificate stays
              one of the old CA, which every client knows
    end       the server's certificate is one of the new CA, and nobody trusts the old one any more

    secrets   ca-key, ca-key/former (in the overlap only)    private keys, PEM
              ca-certs                                       what `tls/ca.crt` has to hold, PEM; absent before
                                                             the first change: the file then speaks for itself

Rules:
- Each step is one change of the keyring. The files follow it: the command writes them, and the keeper writes
  what a crash has kept back.
- Between the two steps every principal needs a new certificate and `tls/ca.crt` as it is then.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vault.config import Settings
from vault.core.engine import Engine
from vault.core.secretchanges import change_secrets
from vault.core.secrets import CA_CERTS, CA_KEY, FORMER_CA_KEY
from vault.core.trail import Trail
from vault.crypto import certificates, hazmat
from vault.errors import InvalidRequestError
from vault.store.files import write_durably
from vault.store.session import WriteSession

CA_FILE: Final = Path("tls") / "ca.crt"
CA_DAYS: Final = 3650
_SERVER_CERTIFICATE: Final = Path("tls") / "server.crt"
_SERVER_KEY: Final = Path("tls") / "server.key"


def ca_certificates(engine: Engine) -> bytes:
    """The certificates of the CAs that are trusted now, PEM, the one that signs first."""
    return engine.secrets.ca_certs_pem or (engine.data_dir / CA_FILE).read_bytes()


def begin_ca_change(engine: Engine, trail: Trail) -> str:
    """Makes a new CA, which signs principals from now on; returns its fingerprint.

    Raises:
        InvalidRequestError: a change is under way.
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """
    name = f"Customer Vault {engine.vault_id.hex()[:8]} {hazmat.random_bytes(3).hex()}"
    made = certificates.create_ca(name, CA_DAYS)
    fingerprint = certificates.describe(made.cert_pem).fingerprint.hex()
    old = ca_certificates(engine)

    def job(session: WriteSession) -> None:
        if session.secret(FORMER_CA_KEY) is not None:
            raise InvalidRequestError("another CA is taking this one's place already; end that first")
        keyring = engine.keyrings.at(session.epoch)
        row = session.secret(CA_KEY)
        former = keyring.unwrap_secret(CA_KEY, row) if row is not None else engine.secrets.ca_key_pem
        trail.local("BeginCaChange", ca=fingerprint)
        for secret, content in (
            (FORMER_CA_KEY, former),
            (CA_KEY, made.key_pem),
            (CA_CERTS, made.cert_pem + old),
        ):
            session.put_secret(secret, keyring.wrap_secret(secret, content))

    change_secrets(engine, job)
    publish_ca(engine)
    return fingerprint


def end_ca_change(engine: Engine, settings: Settings, trail: Trail) -> str:
    """Ends the trust in the old CA; returns the fingerprint of the one that stays. May be repeated.

    Raises:
        InvalidRequestError: there never was a change.
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """
    if not engine.secrets.ca_certs_pem:
        raise InvalidRequestError("no CA is taking this one's place; begin with that")

    def job(session: WriteSession) -> None:
        if session.secret(FORMER_CA_KEY) is None:
            return
        keyring = engine.keyrings.at(session.epoch)
        newest = certificates.matching(engine.secrets.ca_key_pem, engine.secrets.ca_certs_pem)
        trail.local("EndCaChange", ca=certificates.describe(newest).fingerprint.hex())
        session.put_secret(CA_CERTS, keyring.wrap_secret(CA_CERTS, newest))
        session.delete_secret(FORMER_CA_KEY)

    change_secrets(engine, job)
    issue_server_certificate(engine, settings)
    publish_ca(engine)
    return certificates.describe(ca_certificates(engine)).fingerprint.hex()


def publish_ca(engine: Engine) -> None:
    """Writes `tls/ca.crt` if it is not what the keyring says."""
    path, certs = engine.data_dir / CA_FILE, engine.secrets.ca_certs_pem
    if certs and (not path.exists() or path.read_bytes() != certs):
        write_durably(path, certs)


def issue_server_certificate(
    engine: Engine, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Writes `tls/server.crt` and `.key` if missing, of another CA, or in the last third of their life."""
    certificate, server = engine.data_dir / _SERVER_CERTIFICATE, settings.server
    key_pem = engine.secrets.former_ca_key_pem or engine.secrets.ca_key_pem
    ca_pem = certificates.matching(key_pem, ca_certificates(engine))
    if certificate.exists() and (engine.data_dir / _SERVER_KEY).exists():
        held = certificate.read_bytes()
        left = certificates.describe(held).not_after - clock()
        if left.days * 3 > server.certificate_days and certificates.Issuers(ca_pem).vouch_for(held):
            return
    names = server.dns_names, server.ip_addresses
    made = certificates.issue_server((key_pem, ca_pem), *names, server.certificate_days)
    write_durably(engine.data_dir / _SERVER_KEY, made.key_pem)
    write_durably(certificate, made.cert_pem)
