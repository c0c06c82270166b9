"""Runs a key provider in a short-lived child, so that no serving process ever holds its secrets.

The child (`python -m vault.keys.unlock create|open DATA_DIR`) reads the passphrase from standard
input and writes the 32 bytes of the epoch key (EDK) to the pipe that is its standard output; the
parent reads them straight into guarded memory. What the child says goes to standard error as one
line of JSON, `{"error": ...}` when it fails.

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
import time
from dataclasses import dataclass
from pathlib import Path

from vault.config import Settings, load_settings
from vault.crypto import hazmat
from vault.errors import KeyUnavailableError, VaultError
from vault.keys.provider import open_provider
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

    Raises:
        KeyUnavailableError: the provider failed; says why.
    """
    arguments = ["create", str(data_dir), vault_id.hex(), str(epoch), root_key_id]
    return _run_child(arguments, settings, passphrase)


def unlock(data_dir: Path, settings: Settings, passphrase: Secret | None) -> hazmat.GuardedMemory:
    """Opens the current epoch's EDK in the child; returns it in guarded memory.

    Raises:
        KeyUnavailableError: the provider is down, or the passphrase is wrong; says which.
    """
    return _run_child(["open", str(data_dir)], settings, passphrase)


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


def _run_child(arguments: list[str], settings: Settings, passphrase: Secret | None) -> hazmat.GuardedMemory:
    del settings  # the child reads the same file; passing them would need another format
    key_read, key_write = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "vault.keys.unlock", *arguments],
            stdin=subprocess.PIPE,
            stdout=key_write,
            stderr=subprocess.PIPE,
        )
        os.close(key_write)
        key_write = -1
        secret = passphrase.reveal_bytes() if passphrase is not None else b""
        said = _converse(child, secret)
        if child.returncode != 0:
            raise KeyUnavailableError(_reason(said))
        return receive_edk(key_read)
    finally:
        os.close(key_read)
        if key_write >= 0:
            os.close(key_write)


def _converse(child: "subprocess.Popen[bytes]", secret: bytes) -> bytes:
    """What the child says on standard error until it ends."""
    try:
        return child.communicate(secret, timeout=_CHILD_SECONDS)[1]
    except subprocess.TimeoutExpired as error:
        child.kill()
        child.communicate()
        raise KeyUnavailableError("the key provider did not answer in time") from error


def _reason(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    try:
        return str(json.loads(lines[-1])["error"])
    except (IndexError, KeyError, ValueError):
        return "the key provider ended without a word"


def _context(vault_id: bytes, epoch: int) -> bytes:
    return b"customervault edk v1\0" + vault_id + epoch.to_bytes(4, "big")


def _child(arguments: list[str]) -> bytes:
    command, data_dir = arguments[0], Path(arguments[1])
    passphrase = Secret(sys.stdin.buffer.read())
    provider = open_provider(data_dir, load_settings(data_dir), passphrase if len(passphrase) else None)
    if command == "create":
        vault_id, epoch, root_key_id = bytes.fromhex(arguments[2]), Epoch(int(arguments[3])), arguments[4]
        provider.create(root_key_id)
        edk = hazmat.random_bytes(EDK_BYTES)
        wrapped = provider.wrap(root_key_id, edk, _context(vault_id, epoch))
        now_ms = time.time_ns() // 1_000_000
        record = EdkFile(epoch, provider.name, root_key_id, provider.assurance, now_ms, wrapped)
        record.write(data_dir / "keyring" / str(epoch))
        return edk
    vault_id, epoch = _current(data_dir)
    record = EdkFile.read(data_dir / "keyring" / str(epoch))
    return provider.unwrap(record.root_key_id, record.wrapped, _context(vault_id, epoch))


def _current(data_dir: Path) -> tuple[bytes, Epoch]:
    """Vault id and epoch, from `FORMAT` and `CURRENT` of the data directory."""
    try:
        vault_id = bytes.fromhex(json.loads((data_dir / "FORMAT").read_text())["vault_id"])
        return vault_id, Epoch(int((data_dir / "CURRENT").read_text()))
    except (KeyError, ValueError, TypeError) as error:
        raise KeyUnavailableError("FORMAT or CURRENT of the data directory is damaged") from error


def main() -> int:
    """Entry point of the child process."""
    try:
        sys.stdout.buffer.write(_child(sys.argv[1:]))
        sys.stdout.buffer.flush()
    except (VaultError, OSError) as error:
        print(json.dumps({"error": str(error)}), file=sys.stderr)  # noqa: T201 - the child's one way to speak
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
