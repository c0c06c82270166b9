"""Founds a vault: stores, first epoch, the vault's own secrets, first policy, first administrator.

`FORMAT` is written last, so that a crash leaves something that is not yet a vault and can be founded again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vault.config import Settings
from vault.core.directory import (
    DOMAIN,
    FIELD_CLASS,
    PURPOSE,
    RegisteredPrincipal,
    assign_numbers,
    stamp,
    store_policy,
)
from vault.core.indexkeys import EXTERNAL_INDEX
from vault.core.keyhistory import publish
from vault.core.rows import Rows
from vault.core.secrets import (
    CA_KEY,
    REQUEST_MAC,
    ROW_MAC,
    SIGNING_KEY,
    TOKEN_KEY,
    VaultSecrets,
)
from vault.crypto import certificates, hazmat
from vault.errors import InvalidRequestError
from vault.fields.config import load_field_classes
from vault.keys.keyring import Keyring
from vault.keys.unlock import create_epoch_key
from vault.model.ids import Epoch
from vault.model.secret import Secret
from vault.policy.bootstrap import initial_policy
from vault.policy.document import parse_policy
from vault.policy.examples import require_sound
from vault.policy.rules import is_principal_name
from vault.store.entries import EpochCurrent, EpochIntent, Genesis
from vault.store.files import write_durably
from vault.store.store import Store

_FIRST_EPOCH = Epoch(1)
_CA_DAYS = 3650
_REGION = 1


@dataclass(frozen=True, slots=True)
class Founded:
    """What a new vault's administrator needs."""

    vault_id: str
    ca: Path
    admin_certificate: Path
    admin_key: Path


def found(
    data_dir: Path,
    settings: Settings,
    passphrase: Secret | None,
    *,
    admin: str,
    policy: str | None = None,
    out: Path | None = None,
    principals: tuple[str, ...] = (),
) -> Founded:
    """Makes a new vault in `data_dir`.

    Args:
        data_dir: empty, or not there yet; a `vault.toml` may stand in it.
        settings: as read from that file.
        passphrase: seals the root key; None with a key file.
        admin: name of the first administrator.
        policy: the first policy; the least privilege one if None.
        out: where certificates and keys of principals go; `data_dir/admin` if None.
        principals: further principals to register and give certificates.

    Raises:
        InvalidRequestError: there is a vault already, or a name is wrong.
        PolicyInvalidError: the policy is wrong.
        KeyUnavailableError: the key provider failed.
    """
    if (data_dir / "FORMAT").exists():
        raise InvalidRequestError(f"there is a vault in {data_dir} already")
    for name in (admin, *principals):
        if not is_principal_name(name):
            raise InvalidRequestError("a principal's name has 1 to 255 printable characters", field="name")
    catalog = load_field_classes(settings.fields)
    document = policy if policy is not None else initial_policy(admin)
    parsed = parse_policy(document, catalog.names)
    require_sound(parsed, catalog.names)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    vault_id = hazmat.random_bytes(16)
    now_ms = _now_ms()
    target = out if out is not None else data_dir / "admin"
    root_key_id = f"root-{_FIRST_EPOCH}-{hazmat.random_bytes(4).hex()}"
    secrets, ca_pem = _new_secrets(vault_id)
    try:
        opened = VaultSecrets(secrets)
        with Store.create(data_dir, vault_id, _REGION, epoch=_FIRST_EPOCH, sign=opened.sign_as) as store:
            with store.write() as session:
                session.append(Genesis(vault_id, opened.public_key))
                session.append(EpochIntent(_FIRST_EPOCH, 1, root_key_id, settings.keys.provider))
                session.commit()
            edk = create_epoch_key(
                data_dir, settings, passphrase, vault_id=vault_id, epoch=_FIRST_EPOCH, root_key_id=root_key_id
            )
            keyring = Keyring(edk, vault_id, _FIRST_EPOCH)
            rows = Rows(opened, vault_id)
            with store.write() as session:
                session.append(EpochCurrent(_FIRST_EPOCH))
                for name, secret in secrets.items():
                    session.put_secret(name, keyring.wrap_secret(name, secret))
                assign_numbers(rows, session, {}, FIELD_CLASS, list(catalog.names))
                assign_numbers(rows, session, {}, DOMAIN, list(parsed.domains))
                assign_numbers(rows, session, {}, PURPOSE, list(parsed.purposes))
                store_policy(rows, session, document, applied_ms=now_ms, principal_id=1)
                stamp(rows, session, session.meta.access_version)
                for number, name in enumerate((admin, *principals), 1):
                    expires_ms = _issue(
                        target, name, secrets[CA_KEY], ca_pem, settings.server.certificate_days
                    )
                    made = RegisteredPrincipal(number, name, now_ms, expires_ms=expires_ms)
                    rows.put(session, "principals", name.encode(), made.pack())
                session.commit()
            _write_public(store, data_dir, ca_pem)
            store.finish_creation()
            edk.free()
    finally:
        opened.close()
    return Founded(
        vault_id.hex(), data_dir / "tls" / "ca.crt", target / f"{admin}.crt", target / f"{admin}.key"
    )


def _new_secrets(vault_id: bytes) -> tuple[dict[str, bytes], bytes]:
    ca = certificates.create_ca(f"Customer Vault {vault_id.hex()[:8]}", _CA_DAYS)
    names = (f"{TOKEN_KEY}1", SIGNING_KEY, ROW_MAC, REQUEST_MAC, EXTERNAL_INDEX)
    return {name: hazmat.random_bytes(32) for name in names} | {CA_KEY: ca.key_pem}, ca.cert_pem


def _write_public(store: Store, data_dir: Path, ca_pem: bytes) -> None:
    for name in ("public", "tls", "audit", "run"):
        (data_dir / name).mkdir(mode=0o700, exist_ok=True)
    publish(data_dir, store.vault_id, store.signers())
    write_durably(data_dir / "tls" / "ca.crt", ca_pem)


def _issue(target: Path, name: str, ca_key_pem: bytes, ca_pem: bytes, days: int) -> int:
    """Writes a principal's key and certificate; returns when it expires, in milliseconds since 1970."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    request = certificates.create_request(name)
    signed = certificates.sign_request(ca_key_pem, ca_pem, request.csr_pem, name=name, days=days)
    file_name = name.replace("/", "_")
    write_durably(target / f"{file_name}.key", request.key_pem)
    write_durably(target / f"{file_name}.crt", signed)
    return int(certificates.describe(signed).not_after.timestamp() * 1000)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
