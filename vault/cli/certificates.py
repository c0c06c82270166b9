"""Writes the certificates of shreds, two files for each.

    SHRED_ID.json   the certificate at stage effective; a later one can be had of the vault at any time
    SHRED_ID.salt   32 bytes that open its commitment to the external id; nobody else has them

Rules: the salt comes first, for it cannot be had again; an existing file is never replaced.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vault.cli.exits import UsageError

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import Shredded


class CertificateFolder:
    """A folder for certificates, made if it is not there."""

    def __init__(self, path: Path, vault: "Vault") -> None:
        """Makes sure, before anything is shredded, that the folder can be written.

        Raises:
            UsageError: It cannot.
        """
        self._path = path
        self._vault = vault
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
            VaultError: An answer lacked its certificate, and it cannot be had now; all salts are written.
        """
        failure: OSError | UsageError | None = None
        gone = [answer for answer in answers if answer.erasure is not None]
        certified = [answer for answer in gone if answer.outcome != "held"]  # the others have none yet
        for write, chosen in ((self._write_salt, gone), (self._write_certificate, certified)):
            for answer in chosen:
                try:
                    write(answer)
                except (OSError, UsageError) as error:
                    failure = error
        if failure is not None:
            raise failure

    def _write_salt(self, shredded: "Shredded") -> None:
        write_new(self._path / f"{shredded.shred_id}.salt", shredded.salt)

    def _write_certificate(self, shredded: "Shredded") -> None:
        certificate = shredded.certificate or self._vault.certificate(shredded.shred_id)
        write_new(self._path / f"{shredded.shred_id}.json", certificate.content)
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
