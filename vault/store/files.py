"""The small files of a vault's directory, written so that a crash leaves the old content or the new.

    FORMAT           JSON: format 1, vault_id (32 hex digits), region. Written last when a vault is made.
    CURRENT          the epoch in use, in decimal
    INCOMPLETE       exists while a vault is being made: what stands beside it may be removed and redone
    RESTORING        exists while restored stores take the place of the old ones; see `swapping`
    values/          LMDB environment     keyring/<epoch>/, index/<epoch>/  LMDB environments
    ledger/entries   the ledger           ledger/mirrored  the directory of its mirror
    run/  small files shared by the running processes

Directories are 0700, files 0600.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.errors import IntegrityFailedError, StorageFormatError

STORE_FORMAT: Final = 1
FORMAT_FILE: Final = "FORMAT"
CURRENT_FILE: Final = "CURRENT"
INCOMPLETE_FILE: Final = "INCOMPLETE"
RESTORING_FILE: Final = "RESTORING"
VALUES: Final = "values"
KEYRING: Final = "keyring"
INDEX: Final = "index"
_SLICE_BYTES: Final = 4 << 20  # freed at a time
_SLICE_PAUSE_SECONDS: Final = 0.01
LEDGER: Final = "ledger"
RUN: Final = "run"
BUDGETS: Final = "budgets"  # in RUN
PLANES: Final = (VALUES, KEYRING, INDEX, LEDGER, RUN)
_MADE = (VALUES, KEYRING, INDEX, LEDGER)
_VAULT_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Format:
    """Contents of `FORMAT`."""

    vault_id: bytes
    region: int

    def write(self, root: Path) -> None:
        """Writes the file durably."""
        content = {"format": STORE_FORMAT, "vault_id": self.vault_id.hex(), "region": self.region}
        write_durably(root / FORMAT_FILE, json.dumps(content).encode() + b"\n")

    @classmethod
    def read(cls, root: Path) -> "Format":
        """Reads the file.

        Raises:
            StorageFormatError: there is no vault, its format is unknown, or its restore was interrupted.
            IntegrityFailedError: the file is damaged.
        """
        if (root / RESTORING_FILE).exists():
            raise StorageFormatError("a restore was interrupted; run `cvault backup restore` again first")
        try:
            content = json.loads((root / FORMAT_FILE).read_bytes())
            known, vault_id = content["format"], bytes.fromhex(content["vault_id"])
            region = int(content["region"])
        except FileNotFoundError as error:
            raise StorageFormatError("there is no vault in this directory") from error
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityFailedError(file=FORMAT_FILE) from error
        if known != STORE_FORMAT:
            raise StorageFormatError("the vault has an unknown format", format=str(known))
        if len(vault_id) != _VAULT_ID_BYTES or not 0 <= region <= 255:
            raise IntegrityFailedError(file=FORMAT_FILE)
        return cls(vault_id, region)


def clear_leftovers(root: Path) -> None:
    """Removes what an unfinished creation left behind, and marks the directory as one anew.

    Raises:
        StorageFormatError: there are stores that are no unfinished creation.
    """
    incomplete = root / INCOMPLETE_FILE
    if not incomplete.exists():
        if any((root / name).exists() for name in _MADE):
            raise StorageFormatError("this directory holds stores, but its FORMAT is missing")
        write_durably(incomplete, b"")
    for name in _MADE:
        if (root / name).exists():
            shutil.rmtree(root / name)
    remove_durably(root / CURRENT_FILE)


def read_current(root: Path) -> int:
    """The epoch in use.

    Raises:
        IntegrityFailedError: the file is missing or damaged.
    """
    try:
        epoch = int((root / CURRENT_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityFailedError(file=CURRENT_FILE) from error
    if epoch < 1:
        raise IntegrityFailedError(file=CURRENT_FILE)
    return epoch


def write_current(root: Path, epoch: int) -> None:
    """Makes `epoch` the one in use."""
    write_durably(root / CURRENT_FILE, f"{epoch}\n".encode())


def make_directory(path: Path) -> None:
    """Makes a directory 0700 if it is missing, and its name durable."""
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a file: write, fsync, rename, fsync of the directory."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = content
        while left:  # a nearly full disk may take only a part
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_directory(path.parent)


def remove_durably(path: Path) -> None:
    """Unlinks a file if it is there; the removal outlives a crash."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def remove_gradually(path: Path) -> None:
    """Unlinks a large file durably, and then frees its space slice by slice.

    Freed at once, it makes the syncs of everybody on that file system wait (200 MB on ext4: 0.2 s).
    No process may have the file mapped: what is cut off would be SIGBUS to it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        remove_durably(path)
        size = os.fstat(descriptor).st_size
        while size > 0:
            size = max(0, size - _SLICE_BYTES)
            os.ftruncate(descriptor, size)
            os.fdatasync(descriptor)
            time.sleep(_SLICE_PAUSE_SECONDS)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Makes a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
