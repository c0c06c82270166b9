"""Signs checkpoints of the sealed access log, has them cosigned, and puts them where readers find them.

A witness that does not answer delays nothing: the checkpoint is published without it, and it is asked again.
"""

import contextlib

from vault.audit.sealed.checkpoints import TiledLog
from vault.audit.sealed.cosigning import Cosigning
from vault.audit.sealed.files import CHECKPOINT, COSIGNED, TreeFiles
from vault.errors import WitnessUnavailableError
from vault.store.files import write_durably
from vault.tlog.notes import Sign, VerifierKey


class Publisher:
    """Signs under one key, which `sign` holds the private half of."""

    def __init__(self, files: TreeFiles, key: VerifierKey, sign: Sign, cosigning: Cosigning | None) -> None:
        self._files = files
        self._key = key
        self._sign = sign
        self._cosigning = cosigning

    def publish(self, size: int) -> bool:
        """Signs the tree of this size; returns whether it is cosigned, or nobody is there to do so.

        Raises:
            LedgerBehindError: the witness has seen more of this log, or another.
        """
        log = TiledLog(self._files, size, self._key.name)
        note, cosigned = log.checkpoint().signed(self._key, self._sign), False
        if self._cosigning is not None:
            with contextlib.suppress(WitnessUnavailableError):
                note, cosigned = self._cosigning.cosign(log, note), True
        if cosigned:
            write_durably(self._files.root / COSIGNED, note.encode())
        write_durably(self._files.root / CHECKPOINT, note.encode())
        return cosigned or self._cosigning is None

    def close(self) -> None:
        """Ends the connection to the witness."""
        if self._cosigning is not None:
            self._cosigning.close()
