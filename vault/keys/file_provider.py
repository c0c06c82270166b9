"""Root keys in files, one an epoch: `<root key id>.json` in the provider's directory.

    {"version": 1, "root_key_id": ..., "seal": "argon2id" | "key-file",
     "salt": b64(16), "opslimit": n, "memlimit": bytes, "sealed": b64(nonce 24 | ciphertext 48)}

The root key (32 bytes) is sealed with XChaCha20-Poly1305 under a key made from the passphrase
(Argon2id, RFC 9106) or from the contents of a key file (keyed BLAKE2b over the salt, RFC 7693),
with the id as associated data. `destroy` overwrites, syncs and unlinks: on SSDs, copy-on-write file
systems and snapshots that proves nothing, so the assurance is best effort and says so.
"""

import base64
import hashlib
import json
import os
from pathlib import Path

from vault.crypto import hazmat, suites
from vault.errors import IntegrityFailedError, KeyUnavailableError
from vault.keys.provider import Assurance, Destruction
from vault.model.secret import Secret

OPSLIMIT = 3  # passes over the memory
MEMLIMIT = 256 * 2**20  # bytes; about half a second on one core
_MINIMUM_KEY_FILE_BYTES = 32


class FileProvider:
    """Key provider `file`."""

    name = "file"
    assurance = Assurance.BEST_EFFORT

    def __init__(self, directory: Path, *, passphrase: Secret | None, key_file: Path | None) -> None:
        self._directory = directory
        self._passphrase = passphrase
        self._key_file = key_file

    def create(self, root_key_id: str) -> None:
        """Makes a root key file, synced before it returns. An existing id is an error."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        salt = hazmat.random_bytes(16)
        key = self._sealing_key(salt, OPSLIMIT, MEMLIMIT)
        sealed = _seal(key, hazmat.random_bytes(32), _aad(root_key_id))
        document = {
            "version": 1,
            "root_key_id": root_key_id,
            "seal": "key-file" if self._key_file else "argon2id",
            "salt": base64.b64encode(salt).decode(),
            "opslimit": OPSLIMIT,
            "memlimit": MEMLIMIT,
            "sealed": base64.b64encode(sealed).decode(),
        }
        descriptor = os.open(self._path(root_key_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(self._directory)

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

    def destroy(self, root_key_id: str) -> Destruction:
        """Overwrites, syncs and unlinks the root key's file."""
        path = self._path(root_key_id)
        if path.exists():
            with path.open("r+b") as file:
                file.write(hazmat.random_bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            _sync_directory(self._directory)
        evidence = "file overwritten and unlinked; snapshots and worn flash cells may keep older blocks"
        return Destruction(root_key_id, evidence, self.assurance)

    def _path(self, root_key_id: str) -> Path:
        return self._directory / f"{root_key_id}.json"

    def _root_key(self, root_key_id: str) -> bytes:
        try:
            document = json.loads(self._path(root_key_id).read_text())
            salt, sealed = (base64.b64decode(document[name]) for name in ("salt", "sealed"))
            key = self._sealing_key(salt, document["opslimit"], document["memlimit"])
            return _open(key, sealed, _aad(root_key_id))
        except FileNotFoundError as error:
            raise KeyUnavailableError(f"root key {root_key_id} is not in {self._directory}") from error
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


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
