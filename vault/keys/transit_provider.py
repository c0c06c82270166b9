"""Root keys in the transit engine of OpenBao or HashiCorp Vault: one named key for each, AES-256-GCM.

    name     the root key id; not exportable, no plaintext backup, not derived
    wrapped  the text `vault:v1:<base64>`, with the context as associated data

The root key is version 1 of the named key; what else the engine can do to versions does the rest:
- disabled: the key was rotated and its least version for encryption and decryption is 2;
- destroyed: versions before 2 were trimmed, which deletes their key material. The name stays and shows it, so
  that a destroyed key is told from one that is looked for under the wrong mount.

The policy on the server must not allow `create` on `encrypt/`: the engine would make up a missing key.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import hvac
import requests
from hvac import exceptions

from vault.config import TransitSettings
from vault.errors import KeyUnavailableError
from vault.keys.provider import (
    Assurance,
    Destruction,
    KeyDescription,
    KeyState,
    nothing_to_destroy,
    now_ms,
    read_secret_file,
    require_https,
    require_settings,
)

_TYPE = "aes256-gcm96"
_VERSION = 1  # the root key
_STAND_IN = 2  # the version that takes its place once it may not be used
_WRAPPED_PREFIX = b"vault:v1:"
_SECONDS = 15  # for one request
_RETENTION = (
    "snapshots and backups of the service hold the key as it was then, sealed by the service's own key; it "
    "can be restored from them until they are destroyed"
)


@dataclass(frozen=True, slots=True)
class _NamedKey:
    """What matters of the engine's answer about a named key."""

    latest: int
    encrypts: int  # least version for encryption; 0: the latest
    decrypts: int  # least version for decryption
    available: int  # least version that exists; the engine says 0 until it trims
    soft_deleted: bool  # OpenBao only

    @property
    def state(self) -> KeyState:
        if self.available > _VERSION:
            return KeyState.DESTROYED
        retired = max(self.encrypts, self.decrypts) > _VERSION
        return KeyState.DISABLED if retired or self.soft_deleted else KeyState.ACTIVE


class TransitProvider:
    """Key provider `transit`."""

    name = "transit"
    assurance = Assurance.SERVICE_ATTESTED

    def __init__(self, settings: TransitSettings, *, backups_ms: int | None = None) -> None:
        """Takes what `keys.transit` says; `backups_ms` is how long backups of the service outlive a key."""
        require_settings("transit", url=settings.url, mount=settings.mount, token_file=settings.token_file)
        require_https(settings.url, "keys.transit.url")
        self._settings = settings
        self._backups_ms = backups_ms
        self._where = f"transit engine {settings.mount} of {urlsplit(settings.url).hostname}"

    def create(self, root_key_id: str) -> None:
        """Makes the named key."""
        seen = self.describe(root_key_id)
        if seen.state is KeyState.ACTIVE:
            return
        seen.require(KeyState.MISSING, self._where)
        with self._transit("create a key") as transit:
            transit.create_key(
                root_key_id,
                convergent_encryption=False,
                derived=False,
                exportable=False,
                allow_plaintext_backup=False,
                key_type=_TYPE,
                mount_point=self._settings.mount,
            )
        self.describe(root_key_id).require(KeyState.ACTIVE, self._where)

    def wrap(self, root_key_id: str, key: bytes, context: bytes) -> bytes:
        """Encrypts by version 1."""
        self.describe(root_key_id).require(KeyState.ACTIVE, self._where)
        with self._transit("encrypt") as transit:
            answer = transit.encrypt_data(
                root_key_id,
                plaintext=_text(key),
                key_version=_VERSION,
                associated_data=_text(context),
                mount_point=self._settings.mount,
            )
            wrapped: bytes = answer["data"]["ciphertext"].encode()
        if not wrapped.startswith(_WRAPPED_PREFIX):
            raise KeyUnavailableError(f"{self._where} did not encrypt by version {_VERSION} of the key")
        return wrapped

    def unwrap(self, root_key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypts."""
        self.describe(root_key_id).require(KeyState.ACTIVE, self._where)
        with self._transit("decrypt") as transit:
            try:
                answer = transit.decrypt_data(
                    root_key_id,
                    ciphertext=wrapped.decode(),
                    associated_data=_text(context),
                    mount_point=self._settings.mount,
                )
                return base64.b64decode(answer["data"]["plaintext"], validate=True)
            except (exceptions.InvalidRequest, UnicodeDecodeError, binascii.Error) as error:
                raise KeyUnavailableError("the root key does not open this keyring") from error

    def disable(self, root_key_id: str) -> None:
        """Puts version 1 below the least version for use."""
        seen = self.describe(root_key_id)
        if seen.state is not KeyState.DISABLED:
            seen.require(KeyState.ACTIVE, self._where)
            self._retire(root_key_id)

    def enable(self, root_key_id: str) -> None:
        """Lets version 1 be used again."""
        seen = self.describe(root_key_id)
        if seen.state is not KeyState.ACTIVE:
            seen.require(KeyState.DISABLED, self._where)
            self._set_least_versions(
                root_key_id, min_decryption_version=_VERSION, min_encryption_version=_VERSION
            )
            self.describe(root_key_id).require(KeyState.ACTIVE, self._where)

    def destroy(self, root_key_id: str) -> Destruction:
        """Trims version 1 and looks whether it is gone."""
        seen = self.describe(root_key_id)
        if seen.state is KeyState.MISSING:
            return nothing_to_destroy(seen, self.assurance)
        if seen.state is not KeyState.DESTROYED:
            self._retire(root_key_id)
            with self._transit("trim a key") as transit:
                transit.trim_key(root_key_id, min_version=_STAND_IN, mount_point=self._settings.mount)
            seen = self.describe(root_key_id)
            seen.require(KeyState.DESTROYED, self._where)
        return Destruction(
            root_key_id, seen.evidence, self.assurance, seen.observed_ms, _RETENTION, self._backups_ms
        )

    def describe(self, root_key_id: str) -> KeyDescription:
        """The state by the versions of the named key."""
        key = self._read(root_key_id)
        if key is None:
            evidence = f"{root_key_id} is unknown to {self._where}"
            return KeyDescription(root_key_id, KeyState.MISSING, evidence, _RETENTION, now_ms())
        evidence = f"{root_key_id} in {self._where}: latest version {key.latest}, "
        evidence += f"least for decryption {key.decrypts}, least that exists {max(key.available, _VERSION)}"
        return KeyDescription(root_key_id, key.state, evidence, _RETENTION, now_ms())

    def _read(self, root_key_id: str) -> _NamedKey | None:
        with self._transit("read a key") as transit:
            try:
                key = transit.read_key(root_key_id, mount_point=self._settings.mount)["data"]
            except exceptions.InvalidPath as error:
                if error.errors:  # the path leads to no engine; a missing key has no message
                    raise
                return None
            if key["type"] != _TYPE or key["derived"] or key.get("imported_key", False):
                raise KeyUnavailableError(f"{root_key_id} in {self._where} is not a key that the vault made")
            if key["exportable"] or key["allow_plaintext_backup"]:
                raise KeyUnavailableError(f"root key {root_key_id} may leave the {self._where}")
            return _NamedKey(
                latest=key["latest_version"],
                encrypts=key["min_encryption_version"],
                decrypts=key["min_decryption_version"],
                available=key["min_available_version"],
                soft_deleted=key.get("soft_deleted", False),
            )

    def _retire(self, root_key_id: str) -> None:
        """Makes sure of a second version, and lets nothing be used below it."""
        key = self._read(root_key_id)
        if key is not None and key.latest < _STAND_IN:
            with self._transit("rotate a key") as transit:
                transit.rotate_key(root_key_id, mount_point=self._settings.mount)
        self._set_least_versions(
            root_key_id, min_encryption_version=_STAND_IN, min_decryption_version=_STAND_IN
        )

    def _set_least_versions(self, root_key_id: str, **versions: int) -> None:
        """One setting a request: the client library refuses both at once when they are equal."""
        for name, version in versions.items():
            with self._transit("configure a key") as transit:
                transit.update_key_configuration(
                    root_key_id, mount_point=self._settings.mount, **{name: version}
                )

    @contextmanager
    def _transit(self, act: str) -> Iterator[Any]:
        """The engine's API for one act, whose errors become ours."""
        settings = self._settings
        client = hvac.Client(
            url=settings.url,
            token=read_secret_file(settings.token_file, "keys.transit.token_file").reveal(),
            verify=settings.ca_file or True,
            namespace=settings.namespace or None,
            timeout=_SECONDS,
        )
        try:
            yield client.secrets.transit
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise KeyUnavailableError(f"{self._where} denies this token to {act}") from error
        except exceptions.VaultDown as error:
            raise KeyUnavailableError(f"{self._where} is sealed or in maintenance") from error
        except exceptions.InvalidPath as error:
            raise KeyUnavailableError(f"{self._where}: the mount is not there") from error
        except exceptions.VaultError as error:
            raise KeyUnavailableError(f"{self._where} failed to {act} ({type(error).__name__})") from error
        except (requests.RequestException, OSError) as error:  # OSError: the CA file is not there
            raise KeyUnavailableError(f"{self._where} cannot be reached ({type(error).__name__})") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise KeyUnavailableError(f"{self._where} gave an answer of another form") from error
        finally:
            client.adapter.close()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
