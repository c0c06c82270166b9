"""Runs a key provider in a short-lived child, so that no serving process ever holds its secrets.

The child (`vault.keys.provider_child`) writes the 32 bytes of the epoch key (EDK) to a pipe; this side reads
them straight into guarded memory. `vault.keys.root_keys` asks the child about root keys.

The wrapped EDK stands in `keyring/<epoch>/EDK`:
    {"version": 1, "epoch": n, "provider": name, "root_key_id": id, "assurance": text,
     "created_ms": n, "wrapped": b64}
wrapped by the root key with `customervault edk v1 | 0 | vault id (16) | epoch u32` as context.
"""

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vault.config import Settings
from vault.crypto import hazmat
from vault.errors import KeyUnavailableError
from vault.model.ids import Epoch
from vault.model.secret import Secret
from vault.store.files import sync_directory

EDK_BYTES = 32
_CHILD_SECONDS = 120


@dataclass(frozen=True, slots=True)
class EdkFile:
    """What is written beside a keyring about its epoch key."""

    epoch: Epoch
    provider: str
    root_key_id: str
    assurance: str
    created_ms: int
    wrapped: bytes

    @classmethod
    def read(cls, keyring_dir: Path) -> "EdkFile":
        """Reads `EDK` of a keyring.

        Raises:
            KeyUnavailableError: the file is missing or damaged.
        """
        try:
            document = json.loads((keyring_dir / "EDK").read_text())
            return cls(
                epoch=Epoch(document["epoch"]),
                provider=document["provider"],
                root_key_id=document["root_key_id"],
                assurance=document["assurance"],
                created_ms=document["created_ms"],
                wrapped=base64.b64decode(document["wrapped"]),
            )
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise KeyUnavailableError("the keyring's EDK file is missing or damaged") from error

    def write(self, keyring_dir: Path) -> None:
        """Writes `EDK` durably; an existing one is an error, for it may be the only copy."""
        document = {
            "version": 1,
            "epoch": self.epoch,
            "provider": self.provider,
            "root_key_id": self.root_key_id,
            "assurance": self.assurance,
            "created_ms": self.created_ms,
            "wrapped": base64.b64encode(self.wrapped).decode(),
        }
        descriptor = os.open(keyring_dir / "EDK", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(keyring_dir)


def create_epoch_key(
    data_dir: Path,
    settings: Settings,
    passphrase: Secret | None,
    *,
    vault_id: bytes,
    epoch: Epoch,
    root_key_id: str,
) -> hazmat.GuardedMemory:
    """Makes the root key and the EDK of a new epoch in the child; returns the EDK in guarded memory.

    May be repeated with the same id after a crash, as long as no keyring has an EDK under it.

    Raises:
        KeyUnavailableError: the provider failed; says why.
    """
    del settings  # the child reads the same file; passing them would need another format
    return _receive_from_child(["create", str(data_dir), vault_id.hex(), str(epoch), root_key_id], passphrase)


def unlock(data_dir: Path, settings: Settings, passphrase: Secret | None) -> hazmat.GuardedMemory:
    """Opens the current epoch's EDK in the child; returns it in guarded memory.

    Its `EDK` file names the provider, so that a vault whose `keys.provider` was changed opens until its
    next epoch is made.

    Raises:
        KeyUnavailableError: the provider is down, or the passphrase is wrong; says which.
    """
    del settings  # as above
    return _receive_from_child(["open", str(data_dir)], passphrase)


def unlock_copy(
    data_dir: Path, passphrase: Secret | None, *, vault_id: bytes, keyring_dir: Path
) -> hazmat.GuardedMemory:
    """Opens the EDK that is described in `keyring_dir`, of which this need not be the vault's own directory.

    Settings and files of the provider are those of `data_dir`.

    Raises:
        KeyUnavailableError: as `unlock`; also when the root key of that epoch was destroyed.
    """
    return _receive_from_child(["open-copy", str(data_dir), vault_id.hex(), str(keyring_dir)], passphrase)


def send_edk(memory: hazmat.GuardedMemory, fd: int) -> None:
    """Writes the EDK from guarded memory to a pipe, without a copy in the Python heap."""
    if os.writev(fd, [memory.view(0, EDK_BYTES)]) != EDK_BYTES:
        raise KeyUnavailableError("the pipe to the process took only part of the key")


def receive_edk(fd: int) -> hazmat.GuardedMemory:
    """Reads an EDK from a pipe into guarded memory.

    Raises:
        KeyUnavailableError: the pipe ended early.
    """
    memory = hazmat.GuardedMemory(EDK_BYTES)
    received = 0
    while received < EDK_BYTES:
        count = os.readv(fd, [memory.view(received, EDK_BYTES - received)])
        if count == 0:
            memory.free()
            raise KeyUnavailableError("the pipe ended before the key was whole")
        received += count
    return memory


def run_child(arguments: list[str], passphrase: Secret | None, stdout: int) -> bytes:
    """Runs `vault.keys.provider_child` to its end; returns its answer where `stdout` is a new pipe.

    Raises:
        KeyUnavailableError: it failed, in its own words, or did not end in time.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "vault.keys.provider_child", *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    try:
        secret = passphrase.reveal_bytes() if passphrase is not None else b""
        answer, said = child.communicate(secret, timeout=_CHILD_SECONDS)
    except subprocess.TimeoutExpired as error:
        child.kill()
        child.communicate()
        raise KeyUnavailableError("the key provider did not answer in time") from error
    if child.returncode != 0:
        raise KeyUnavailableError(_reason(said))
    return answer or b""


def _receive_from_child(arguments: list[str], passphrase: Secret | None) -> hazmat.GuardedMemory:
    key_read, key_write = os.pipe()
    try:
        try:
            run_child(arguments, passphrase, key_write)
        finally:
            os.close(key_write)
        return receive_edk(key_read)
    finally:
        os.close(key_read)


def _reason(said: bytes) -> str:
    """The last line that the child meant for us; a provider's library may have spoken, too."""
    for line in reversed(said.decode(errors="replace").splitlines()):
        try:
            return str(json.loads(line)["error"])
        except (KeyError, ValueError, TypeError):
            continue
    return "the key provider ended without a word"
