"""Writes the receipts of shreds, three files for each.

    SHRED_ID.json   the statement, the very bytes that were signed
    SHRED_ID.sig    its Ed25519 signature, 64 bytes
    SHRED_ID.salt   32 bytes that open the commitment to the external id; nobody else has them

Rule: an existing file is never replaced, for a salt cannot be had again.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vault.cli.exits import UsageError

if TYPE_CHECKING:
    from customervault.results import Shredded


class ReceiptFolder:
    """A folder for receipts, made if it is not there."""

    def __init__(self, path: Path) -> None:
        """Makes sure, before anything is shredded, that the folder can be written.

        Raises:
            UsageError: It cannot.
        """
        self._path = path
        self.written = 0
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be made") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise UsageError(f"{path} cannot be written")

    def write_all(self, answers: "Sequence[Shredded]") -> None:
        """Writes what shreds gave, synced; a file that fails does not keep the others from being written.

        Raises:
            OSError, UsageError: The last failure.
        """
        failure: OSError | UsageError | None = None
        for answer in answers:
            if answer.erasure is not None:
                try:
                    self._write(answer)
                except (OSError, UsageError) as error:
                    failure = error
        if failure is not None:
            raise failure

    def _write(self, shredded: "Shredded") -> None:
        receipt = shredded.receipt
        parts = {".salt": shredded.salt}
        if receipt is not None:
            parts |= {".json": receipt.statement, ".sig": receipt.signature}
        for ending, content in parts.items():
            write_new(self._path / f"{shredded.shred_id}{ending}", content)
        self.written += 1


def write_new(path: Path, content: bytes) -> None:
    """Writes a file of mode 0600, synced; an existing one is an error.

    Raises:
        UsageError: The file exists.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists and is not replaced") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
