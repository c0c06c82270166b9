"""What a key provider is: it makes, uses and destroys root keys, one for each epoch.

Rules:
- A root key never leaves its provider; the vault sees the epoch key (EDK) that it wraps.
- `destroy` is the last act of an epoch. What it proves is stated by `Assurance`, never more.
- Providers run in a short-lived child process, so plain `bytes` are allowed here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vault.config import Settings
from vault.errors import InvalidRequestError
from vault.model.assurance import Assurance as Assurance
from vault.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Destruction:
    """Evidence of a destroyed root key, for certificates."""

    root_key_id: str
    evidence: str
    assurance: Assurance


class KeyProvider(Protocol):
    """Holds root keys by id.

    Every method raises `KeyUnavailableError` when the provider cannot be used now.
    """

    name: str
    assurance: Assurance

    def create(self, root_key_id: str) -> None:
        """Makes a new root key. The id is recorded in the ledger before this is called."""

    def wrap(self, root_key_id: str, key: bytes, context: bytes) -> bytes:
        """Seals `key` (32 bytes) under the root key, bound to `context`."""

    def unwrap(self, root_key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Opens what `wrap` returned for the same context."""

    def destroy(self, root_key_id: str) -> Destruction:
        """Ends the root key; idempotent."""


def open_provider(data_dir: Path, settings: Settings, passphrase: Secret | None) -> KeyProvider:
    """The provider that `[keys] provider` names.

    Raises:
        InvalidRequestError: for an unknown provider.
    """
    from vault.keys.file_provider import FileProvider

    if settings.keys.provider != "file":
        raise InvalidRequestError(f"keys.provider: unknown provider {settings.keys.provider!r}; known: file")
    directory = Path(settings.keys.directory) if settings.keys.directory else data_dir / "root"
    key_file = Path(settings.keys.key_file) if settings.keys.key_file else None
    return FileProvider(directory, passphrase=passphrase, key_file=key_file)
