"""What a key provider is: it makes, uses and destroys root keys, one for each epoch.

Rules:
- A root key never leaves its provider; the vault sees the epoch key (EDK) that it wraps.
- `context` is bound to what is wrapped: another context opens nothing.
- `create` may be repeated after a crash: a key of that id that is active is left as it is. Providers do not
  know whether a key was used; that no two epochs share one is held by `vault.keys.provider_child`.
- `destroy` is the last act of an epoch, may be repeated, and claims nothing for a key that it cannot find:
  the token, mount or directory may be the wrong one. What it proves is stated by `Assurance`, never more,
  and from when by `effective_ms`, never earlier.
- Providers run in a short-lived child process, so plain `bytes` are allowed here.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from vault.config import Settings
from vault.errors import InvalidRequestError, KeyUnavailableError
from vault.model.assurance import Assurance as Assurance
from vault.model.secret import Secret

MOST_BACKUPS_DAYS = 36_500
_DAY_MS = 86_400_000
PROVIDERS = ("file", "pkcs11", "aws-kms", "transit")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class KeyState(StrEnum):
    """Where a root key is in its life, as its provider tells it."""

    ACTIVE = "active"
    DISABLED = "disabled"  # wraps and opens nothing until it is enabled again
    PENDING_DESTRUCTION = "pending-destruction"  # of no use any more, but not gone
    DESTROYED = "destroyed"
    MISSING = "missing"  # the provider shows neither the key nor a trace of its destruction


_UNUSABLE = {
    KeyState.DISABLED: "is disabled in",
    KeyState.PENDING_DESTRUCTION: "is pending destruction in",
    KeyState.DESTROYED: "was destroyed in",
    KeyState.MISSING: "is not in",
}


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What the provider says of a root key at one moment."""

    root_key_id: str
    state: KeyState
    evidence: str  # what was seen, and where
    retention: str  # what the provider's own backups mean for a destroyed key
    observed_ms: int
    destruction_ms: int | None = None  # when a scheduled destruction is due

    def require(self, state: KeyState, where: str) -> None:
        """Checks the state.

        Raises:
            KeyUnavailableError: the key is in another one; says which.
        """
        if self.state is not state:
            said = _UNUSABLE.get(self.state, "is active in")
            raise KeyUnavailableError(f"root key {self.root_key_id} {said} {where}")


@dataclass(frozen=True, slots=True)
class Destruction:
    """Evidence of a destroyed root key, for certificates."""

    root_key_id: str
    evidence: str
    assurance: Assurance
    effective_ms: int | None  # not destroyed before; None: nothing is proven, or no date is set yet
    retention: str
    backups_ms: int | None = None  # how long the provider's own backups outlive the key; None: nobody knows

    def holds(self, seen: KeyDescription) -> bool:
        """Whether the key is gone, by what the provider showed at or after `effective_ms`.

        A scheduled destruction can be called off until its date, so the date alone proves nothing.
        """
        return (
            self.effective_ms is not None
            and seen.root_key_id == self.root_key_id
            and seen.observed_ms >= self.effective_ms
            and seen.state is KeyState.DESTROYED
        )


class KeyProvider(Protocol):
    """Holds root keys by id.

    Every method raises `KeyUnavailableError` when the provider cannot be used now.
    """

    name: str

    @property
    def assurance(self) -> Assurance:
        """What a destruction by this provider proves, as it is set up now."""

    def create(self, root_key_id: str) -> None:
        """Makes a new root key. The id is recorded in the ledger before this is called.

        An active key of that id is left as it is, so that a create that a crash cut off can be repeated; in
        any other state it is an error.
        """

    def wrap(self, root_key_id: str, key: bytes, context: bytes) -> bytes:
        """Seals `key` (32 bytes) under the root key, bound to `context`."""

    def unwrap(self, root_key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Opens what `wrap` returned for the same context."""

    def disable(self, root_key_id: str) -> None:
        """Stops all use of the root key, reversibly; idempotent. A rehearsal of its destruction."""

    def enable(self, root_key_id: str) -> None:
        """Takes `disable` back; idempotent."""

    def destroy(self, root_key_id: str) -> Destruction:
        """Ends the root key, for good; idempotent. An id that is missing gives no `effective_ms`."""

    def describe(self, root_key_id: str) -> KeyDescription:
        """The state of the root key. Needs no passphrase and no PIN where the provider can do without."""


def nothing_to_destroy(seen: KeyDescription, assurance: Assurance) -> Destruction:
    """What `destroy` answers for a key of which the provider shows no trace."""
    return Destruction(
        seen.root_key_id, f"nothing destroyed: {seen.evidence}", assurance, None, seen.retention
    )


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def open_provider(
    data_dir: Path, settings: Settings, passphrase: Secret | None, *, name: str | None = None
) -> KeyProvider:
    """A provider, set up as `[keys]` says.

    Args:
        data_dir: Where files of the providers stand unless `keys.directory` says otherwise.
        settings: All providers' settings stand side by side, so that an epoch can move between two.
        passphrase: Passphrase of the provider `file`, PIN of `pkcs11`; the others take none.
        name: Which; else the one that `keys.provider` names.

    Raises:
        InvalidRequestError: for an unknown provider, or a setting that it lacks.
        KeyUnavailableError: its library is not installed, or what it needs cannot be read.
    """
    name = name or settings.keys.provider
    directory = Path(settings.keys.directory) if settings.keys.directory else data_dir / "root"
    try:
        if name == "file":
            from vault.keys.file_provider import FileProvider

            return FileProvider.of(data_dir, settings.keys, passphrase)
        if name == "pkcs11":
            from vault.keys.pkcs11_provider import Pkcs11Provider

            return Pkcs11Provider(settings.keys.pkcs11, passphrase, backups_ms=_backups_ms(settings))
        if name == "aws-kms":
            from vault.keys.aws_kms_provider import AwsKmsProvider

            return AwsKmsProvider(settings.keys.aws_kms, directory)
        if name == "transit":
            from vault.keys.transit_provider import TransitProvider

            return TransitProvider(settings.keys.transit, backups_ms=_backups_ms(settings))
    except ModuleNotFoundError as error:
        raise KeyUnavailableError(
            f"key provider {name} needs the library {error.name}: install customer-vault[{name}]"
        ) from error
    raise InvalidRequestError(f"keys.provider: unknown provider {name!r}; known: {', '.join(PROVIDERS)}")


def _backups_ms(settings: Settings) -> int | None:
    """How long the provider's own backups outlive a destroyed key, as its administrator says."""
    days = settings.keys.provider_backups_days
    if days is not None and days > MOST_BACKUPS_DAYS:
        raise InvalidRequestError(f"keys.provider_backups_days: at most {MOST_BACKUPS_DAYS:,}")
    return None if days is None else days * _DAY_MS


def require_settings(table: str, **values: str) -> None:
    """Checks that settings which have no default are there.

    Raises:
        InvalidRequestError: names those that are empty.
    """
    if missing := [f"keys.{table}.{name}" for name, value in values.items() if not value]:
        raise InvalidRequestError(f"{', '.join(missing)}: must be set for this key provider")


def require_https(url: str, setting: str) -> None:
    """Checks that epoch keys would not go over the network in clear.

    Raises:
        InvalidRequestError: it is neither https nor http to this machine.
    """
    address = urlsplit(url)
    local = address.scheme == "http" and address.hostname in _LOOPBACK
    if not address.hostname or (address.scheme != "https" and not local):
        raise InvalidRequestError(f"{setting}: must be https; epoch keys go over this connection")


def read_secret_file(path: str, setting: str) -> Secret:
    """A PIN or token from a file, without the line end.

    Raises:
        KeyUnavailableError: it cannot be read, or is empty.
    """
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnavailableError(f"{setting}: the file {path} cannot be read") from error
    if not text:
        raise KeyUnavailableError(f"{setting}: the file {path} is empty")
    return Secret(text)
