"""Settings of a vault: `vault.toml` in the data directory, defaults for all that it leaves out.

Rules: every key is known (a misspelt one is an error, not a default), every problem is reported at
once, and units stand in the names.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from vault.errors import InvalidRequestError

CONFIG_NAME = "vault.toml"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: where the vault listens and how it is spread over processes."""

    listen: str = "127.0.0.1:8443"
    metrics_listen: str = "127.0.0.1:9464"
    workers: int = 0  # 0: one for each core
    threads: int = 4  # calls at work at the same time in a worker, besides reads, which take turns
    drain_seconds: int = 20
    dns_names: tuple[str, ...] = ("localhost",)
    ip_addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    certificate: str = ""  # PEM paths of an external CA's certificate for the server; empty: the vault's own
    certificate_key: str = ""
    client_ca: str = ""  # PEM path of an external CA whose clients are let in besides the vault's own
    certificate_days: int = 90


@dataclass(frozen=True, slots=True)
class Limits:
    """`[limits]`: the largest of everything. Exceeding one answers LIMIT_EXCEEDED with its name."""

    batch_tokens: int = 1000
    batch_entries: int = 1000
    batch_fields: int = 20_000
    fields_per_customer: int = 4096
    value_bytes: int = 65_536
    message_bytes: int = 4_194_304
    reply_bytes: int = 3_670_016
    shred_batch: int = 1000
    waiting_writes: int = 512  # for the commit thread of a worker
    waiting_reads: int = 1024  # Detokenize calls that wait for their turn in a worker
    waiting_calls: int = 128  # other calls that wait; urgent ones have as many places of their own
    waiting_items: int = 50_000  # what waiting calls weigh: 50 each, and 1 for each token or 38 bytes


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """`[audit]`: the access log."""

    directory: str = ""  # empty: `audit/` in the data directory
    sync: str = "interval"  # or "always"
    sync_interval_ms: int = 50
    segment_bytes: int = 16 * 2**20
    seal_seconds: int = 5  # between checkpoints of the sealed log; 0: nothing is sealed
    retain_days: int = 0  # sealed records older than that are removed; 0: none
    budget_bytes: int = 0  # of the directory, for alerts; 0: what the file system has


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """`[storage]`: space, and the AEAD suite of new records."""

    suite: str = "xchacha20-poly1305"
    low_water_bytes: int = 64 * 2**20
    reserve_bytes: int = 4 * 2**20
    dek_cache_bytes: int = 64 * 2**20  # guarded memory a worker, bounded by RLIMIT_MEMLOCK
    request_id_hours: int = 24


@dataclass(frozen=True, slots=True)
class Pkcs11Settings:
    """`[keys.pkcs11]`: a token behind a PKCS #11 module."""

    module: str = ""  # path of the vendor's shared library
    token_label: str = ""
    pin_file: str = ""  # empty: the PIN comes where a passphrase would come from
    require_hardware: bool = False  # refuse a token that does not say that it is hardware


@dataclass(frozen=True, slots=True)
class AwsKmsSettings:
    """`[keys.aws_kms]`: symmetric keys in AWS KMS. Credentials come from the AWS SDK's usual places."""

    region: str = ""
    endpoint: str = ""  # empty: the region's public one
    deletion_days: int = 7  # AWS takes 7 to 30
    alias_prefix: str = "customer-vault"  # keys are called alias/<prefix>/<root key id>


@dataclass(frozen=True, slots=True)
class TransitSettings:
    """`[keys.transit]`: the transit engine of OpenBao or HashiCorp Vault."""

    url: str = ""
    mount: str = "transit"
    token_file: str = ""  # read at each use, so that an agent may renew it
    ca_file: str = ""  # PEM; empty: the CAs of the system's Python
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """`[ledger]`: who must hold an entry, besides this machine's ledger, before it is acknowledged."""

    mirror: str = ""  # directory, on another disk or machine; empty: none
    witness: str = ""  # http://host:port of a `cvault witness`; empty: none
    witness_key: str = ""  # its verifier key, as `cvault witness show` prints it


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`[keys]`: what holds the root key."""

    provider: str = "file"  # of new epochs: file, pkcs11, aws-kms, transit; old ones name their own
    directory: str = ""  # empty: `root/` in the data directory; better on another disk
    key_file: str = ""  # seals the root key with the contents of a file instead of a passphrase
    passphrase_file: str = ""  # read at start; else CVAULT_PASSPHRASE, else asked for on a terminal
    rotate_hours: int = 0  # a new epoch so long after the last, if anything was shredded since; 0: never
    rotate_shreds: int = 0  # a new epoch when so many shreds wait to become final; 0: never
    verified_copies: int = 0  # of the new keyring, before a former root key is destroyed
    provider_backups_days: int | None = None  # a destroyed key outlives in its backups; unset: unknown
    pkcs11: Pkcs11Settings = Pkcs11Settings()
    aws_kms: AwsKmsSettings = AwsKmsSettings()
    transit: TransitSettings = TransitSettings()


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """`[backup]`: data backups."""

    keep_days: int = 30  # how old a backup may be that is restored; a replaced data key lives as long


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one vault."""

    server: ServerSettings = ServerSettings()
    limits: Limits = Limits()
    audit: AuditSettings = AuditSettings()
    storage: StorageSettings = StorageSettings()
    ledger: LedgerSettings = LedgerSettings()
    keys: ProviderSettings = ProviderSettings()
    backup: BackupSettings = BackupSettings()
    fields: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # `[fields.<name>]`
    search: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # `[search.<compound>]`


Section = TypeVar("Section")
SECTIONS: Mapping[str, type[Any]] = {
    "server": ServerSettings,
    "limits": Limits,
    "audit": AuditSettings,
    "storage": StorageSettings,
    "ledger": LedgerSettings,
    "keys": ProviderSettings,
    "backup": BackupSettings,
}

_FREE = ("fields", "search")  # tables whose keys are names, read by `vault.fields`
_OPTIONAL: Mapping[object, type[Any]] = {int | None: int}
_EXPECTED = {int: "a whole number, not negative", str: "text", bool: "true or false"}


def load_settings(data_dir: Path) -> Settings:
    """Reads `vault.toml` of a data directory; a missing file means all defaults.

    Raises:
        InvalidRequestError: the file does not parse or holds unknown keys or wrong types.
    """
    path = data_dir / CONFIG_NAME
    return parse_settings(path.read_text() if path.exists() else "")


def parse_settings(text: str) -> Settings:
    """Parses the text of a `vault.toml`.

    Raises:
        InvalidRequestError: with every problem found, one a line.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequestError(f"{CONFIG_NAME}: {error}") from error
    problems: list[str] = []
    sections: dict[str, Any] = {}
    for name, table in document.items():
        if name in _FREE:
            sections[name] = table
        elif name not in SECTIONS:
            problems.append(f"[{name}]: unknown section")
        elif not isinstance(table, dict):
            problems.append(f"{name}: must be a table")
        else:
            sections[name] = _section(SECTIONS[name], name, table, problems)
    if problems:
        raise InvalidRequestError(f"{CONFIG_NAME}: " + "; ".join(problems))
    return Settings(**sections)


def _section(kind: type[Section], name: str, table: dict[str, Any], problems: list[str]) -> Section:
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(f"{name}.{key}: unknown key")
            continue
        wanted = _OPTIONAL.get(hints[key], hints[key])
        if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(value, dict):
            values[key] = _section(wanted, f"{name}.{key}", value, problems)
        elif wanted == tuple[str, ...] and isinstance(value, list) and all(isinstance(v, str) for v in value):
            values[key] = tuple(value)
        elif type(value) is wanted and (wanted is str or value >= 0):
            values[key] = value
        else:
            expected = _EXPECTED.get(wanted, "a table" if is_dataclass(wanted) else "a list of texts")
            problems.append(f"{name}.{key}: must be {expected}")
    return kind(**values)
