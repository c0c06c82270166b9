"""Root keys in files, one an epoch: `<root key id>.json` in the provider's directory.

    <id>.json            the root key               <id>.disabled.json   the same file, disabled
    <id>.destroyed       written before the key is overwritten, stays for good

    {"version": 1, "root_key_id": ..., "seal": "argon2id" | "key-file",
     "salt": b64(16), "opslimit": n, "memlimit": bytes, "sealed": b64(nonce 24 | ciphertext 48)}

The root key (32 bytes) is sealed with XChaCha20-Poly1305 under a key made from the passphrase
(Argon2id, RFC 9106, at the cost that `passphrases` names) or from the contents of a key file (keyed
BLAKE2b over the salt, RFC 7693), with the id as associated data. `destroy` overwrites, syncs and unlinks:
on SSDs, copy-on-write file systems and snapshots that proves nothing, so the assurance is best effort and
says so. The file `<id>.destroyed` tells a destroyed key from one that is looked for on the wrong disk.
"""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from vault.config import ProviderSettings
from vault.crypto import hazmat, suites
from vault.errors import IntegrityFailedError, KeyUnavailableError
from vault.keys import passphrases
from vault.keys.provider import (
    Assurance,
    Destruction,
    KeyDescription,
    KeyState,
    nothing_to_destroy,
    now_ms,
)
from vault.model.secret import Secret
from vault.store.files import remove_durably, sync_directory, write_durably

_MINIMUM_KEY_FILE_BYTES = 32
_RETENTION = (
    "copies of the root key's file in backups and snapshots of its disk open the epoch until they are gone"
)


class FileProvider:
    """Key provider `file`."""

    name = "file"
    assurance = Assurance.BEST_EFFORT

    def __init__(self, directory: Path, *, passphrase: Secret | None, key_file: Path | None) -> None:
        self.directory = directory
        self._passphrase = passphrase
        self._key_file = key_file

    @classmethod
    def of(cls, data_dir: Path, settings: ProviderSettings, passphrase: Secret | None) -> "FileProvider":
        """The provider of a vault, as its section `[keys]` has it."""
        directory = Path(settings.directory) if settings.directory else data_dir / "root"
        return cls(
            directory, passphrase=passphrase, key_file=Path(settings.key_file) if settings.key_file else None
        )

    def create(self, root_key_id: str) -> None:
        """Makes a root key file, synced before it returns; one that is there must open and stays."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = self.describe(root_key_id)
        if seen.state is KeyState.ACTIVE:
            self._root_key(root_key_id)
            return
        seen.require(KeyState.MISSING, str(self.directory))
        write_durably(self._path(root_key_id), self._sealed(root_key_id, hazmat.random_bytes(32)))

    def wrap(self, root_key_id: str, key: bytes, context: bytes) -> bytes:
        """Seals `key` under the root key with `context` as associated data."""
        return _seal(self._root_key(root_key_id), key, context)

    def unwrap(self, root_key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Opens a wrapped key.

        Raises:
            KeyUnavailableError: the file is missing, or passphrase or key file are not the right ones.
        """
        try:
            return _open(self._root_key(root_key_id), wrapped, context)
        except IntegrityFailedError as error:
            raise KeyUnavailableError("the root key does not open this keyring") from error

    def disable(self, root_key_id: str) -> None:
        """Renames the root key's file, so that no provider finds it."""
        self._rename(root_key_id, KeyState.ACTIVE, KeyState.DISABLED)

    def enable(self, root_key_id: str) -> None:
        """Gives the file its name back."""
        self._rename(root_key_id, KeyState.DISABLED, KeyState.ACTIVE)

    def destroy(self, root_key_id: str) -> Destruction:
        """Overwrites, syncs and unlinks the root key's file."""
        seen = self.describe(root_key_id)
        if seen.state is KeyState.MISSING:
            return nothing_to_destroy(seen, self.assurance)
        write_durably(self._destroyed(root_key_id), b"the root key of this name was destroyed\n")
        cut_off = self.directory.glob(f".{root_key_id}.*")  # by a crash while it was made or sealed anew
        for path in (self._path(root_key_id), self._disabled(root_key_id), *cut_off):
            if path.exists():
                with path.open("r+b") as file:
                    _overwrite(file)
                remove_durably(path)
        evidence = "file overwritten and unlinked; snapshots and worn flash cells may keep older blocks"
        return Destruction(root_key_id, evidence, self.assurance, now_ms(), _RETENTION)

    def describe(self, root_key_id: str) -> KeyDescription:
        """The state by the names of files; opens none.

        Raises:
            KeyUnavailableError: the directory is not there, for instance because its disk is not mounted.
        """
        self._require_directory()
        there = self._path(root_key_id).exists()
        disabled = self._disabled(root_key_id).exists()
        if self._destroyed(root_key_id).exists():
            state = KeyState.PENDING_DESTRUCTION if there or disabled else KeyState.DESTROYED
        elif there:
            state = KeyState.ACTIVE
        else:
            state = KeyState.DISABLED if disabled else KeyState.MISSING
        evidence = f"{state} by the files of {self.directory}"
        return KeyDescription(root_key_id, state, evidence, _RETENTION, now_ms())

    def sealed_root_keys(self) -> list[str]:
        """Ids of the root keys that are there, active or disabled; not those being destroyed.

        Raises:
            KeyUnavailableError: the directory is not there.
        """
        self._require_directory()
        names = {path.name.removesuffix(".json") for path in self.directory.glob("[!.]*.json")}
        found = {name.removesuffix(".disabled") for name in names if not name.endswith(".aws-kms")}
        return sorted(name for name in found if not self._destroyed(name).exists())

    def check_opens(self, root_key_id: str) -> None:
        """Returns if this provider's secret opens a root key, active or disabled.

        Raises:
            KeyUnavailableError: it does not.
        """
        self._open_file(self._file(root_key_id), root_key_id)

    def seal_anew(self, root_key_id: str, old: "FileProvider") -> None:
        """Replaces a root key's file, which `old` opens, by one that this provider's secret opens."""
        path = self._file(root_key_id)
        content = self._sealed(root_key_id, old._open_file(path, root_key_id))
        with path.open("r+b") as former:
            write_durably(path, content)
            _overwrite(former)

    def _require_directory(self) -> None:
        if not self.directory.is_dir():
            raise KeyUnavailableError(f"the directory of root keys {self.directory} is not there")

    def _rename(self, root_key_id: str, old: KeyState, new: KeyState) -> None:
        seen = self.describe(root_key_id)
        if seen.state is new:
            return
        seen.require(old, str(self.directory))
        names = {KeyState.ACTIVE: self._path(root_key_id), KeyState.DISABLED: self._disabled(root_key_id)}
        names[old].rename(names[new])
        sync_directory(self.directory)

    def _path(self, root_key_id: str) -> Path:
        return self.directory / f"{root_key_id}.json"

    def _disabled(self, root_key_id: str) -> Path:
        return self.directory / f"{root_key_id}.disabled.json"

    def _destroyed(self, root_key_id: str) -> Path:
        return self.directory / f"{root_key_id}.destroyed"

    def _file(self, root_key_id: str) -> Path:
        disabled = self._disabled(root_key_id)
        return disabled if disabled.exists() else self._path(root_key_id)

    def _sealed(self, root_key_id: str, root_key: bytes) -> bytes:
        """The content of a root key's file."""
        salt = hazmat.random_bytes(16)
        cost = passphrases.cost_of(self._passphrase or Secret(b""))
        key = self._sealing_key(salt, cost.opslimit, cost.memlimit)
        document = {
            "version": 1,
            "root_key_id": root_key_id,
            "seal": "key-file" if self._key_file else "argon2id",
            "salt": base64.b64encode(salt).decode(),
            "opslimit": cost.opslimit,
            "memlimit": cost.memlimit,
            "sealed": base64.b64encode(_seal(key, root_key, _aad(root_key_id))).decode(),
        }
        return json.dumps(document, indent=2).encode()

    def _root_key(self, root_key_id: str) -> bytes:
        self.describe(root_key_id).require(KeyState.ACTIVE, str(self.directory))
        return self._open_file(self._path(root_key_id), root_key_id)

    def _open_file(self, path: Path, root_key_id: str) -> bytes:
        try:
            document = json.loads(path.read_text())
            salt, sealed = (base64.b64decode(document[name]) for name in ("salt", "sealed"))
            key = self._sealing_key(salt, document["opslimit"], document["memlimit"])
            return _open(key, sealed, _aad(root_key_id))
        except IntegrityFailedError as error:
            wanted = "key file" if self._key_file else "passphrase"
            raise KeyUnavailableError(f"the {wanted} does not open root key {root_key_id}") from error
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise KeyUnavailableError(f"the file of root key {root_key_id} is damaged") from error

    def _sealing_key(self, salt: bytes, opslimit: int, memlimit: int) -> bytes:
        if self._key_file is not None:
            return _key_from_file(self._key_file, salt)
        if self._passphrase is None or not len(self._passphrase):
            raise KeyUnavailableError("a passphrase is needed to open the keyring")
        return hazmat.argon2id(self._passphrase.reveal_bytes(), salt, opslimit=opslimit, memlimit=memlimit)


def _key_from_file(path: Path, salt: bytes) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyUnavailableError(f"the key file {path} cannot be read: {error.strerror}") from error
    if len(content) < _MINIMUM_KEY_FILE_BYTES:
        raise KeyUnavailableError(f"the key file {path} holds less than {_MINIMUM_KEY_FILE_BYTES} bytes")
    return hashlib.blake2b(content, digest_size=32, key=salt, person=b"cv-root-keyfile").digest()


def _aad(root_key_id: str) -> bytes:
    return b"customervault root key v1\0" + root_key_id.encode()


def _seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    memory = hazmat.GuardedMemory(32)
    try:
        hazmat.load_key(memory.pointer(0), key)
        return hazmat.seal(suites.XCHACHA20_POLY1305, memory.pointer(0), plaintext, aad)
    finally:
        memory.free()


def _open(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    memory = hazmat.GuardedMemory(32)
    try:
        hazmat.load_key(memory.pointer(0), key)
        return hazmat.Opener().open(
            suites.XCHACHA20_POLY1305, memory.pointer(0), sealed[:24], sealed[24:], aad
        )
    finally:
        memory.free()


def _overwrite(file: BinaryIO) -> None:
    file.write(hazmat.random_bytes(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())
