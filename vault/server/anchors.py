"""Whether a caller's certificate is still of a CA that is let in: connections outlive the trust in a CA.

TLS asks at the handshake only. So each call looks again, at the chain that the caller has shown then and at
the CAs that the files hold. Whether these have changed is looked at every `LOOK_SECONDS`: a CA that was taken
out ceases to count by then. What was found is remembered for the bytes of certificate and chain, until a file
changes: the principal's name follows from the certificate alone, and whether it is let in from both.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vault.crypto.certificates import Issuers
from vault.errors import InvalidRequestError, UnauthenticatedError
from vault.server.identity import name_in

CERTIFICATE: Final = "x509_pem_cert"
CHAIN: Final = "x509_pem_cert_chain"
LOOK_SECONDS: Final = 0.05
_REMEMBERED: Final = 4096
_NOT_LET_IN: Final = ""  # nobody's name

Fingerprint = tuple[tuple[int, int, int], ...]
Shown = tuple[bytes, ...]
"""A certificate and its chain, as PEM."""


class Anchors:
    """The CAs whose clients are let in, as their files hold them. Safe for several threads."""

    def __init__(self, files: Sequence[Path], look_seconds: float = LOOK_SECONDS) -> None:
        """Reads them.

        Args:
            files: PEM files of CAs, each replaced as a whole.
            look_seconds: how long a file's change may go unnoticed.

        Raises:
            OSError: one cannot be read.
            InvalidRequestError: one holds no certificate.
        """
        self._files = files
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._look_at = time.monotonic() + look_seconds
        self._seen = self._fingerprint()
        self._issuers = self._read()
        self._known: dict[Shown, str] = {}

    def principal(self, properties: Mapping[str, Sequence[bytes]]) -> str:
        """Names the caller by the properties that gRPC has of its connection.

        Raises:
            UnauthenticatedError: its certificate names no one, or is of no CA that is let in now.
        """
        shown = (*properties.get(CERTIFICATE, ()), *properties.get(CHAIN, ()))
        known = self._current()
        name = known.get(shown)
        if name is None:
            name = name_in(properties)
            if len(known) >= _REMEMBERED:
                known.clear()
            name = known[shown] = name if self._issuers.vouch_for(_chain(properties)) else _NOT_LET_IN
        if name == _NOT_LET_IN:
            raise UnauthenticatedError("the certificate is of a CA that is not let in any more")
        return name

    def _current(self) -> dict[Shown, str]:
        """Who is known under the CAs of now; the last good ones while a file cannot be read."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + self._look_seconds
            try:
                fingerprint = self._fingerprint()
                if fingerprint != self._seen:
                    with self._lock:
                        self._issuers, self._known, self._seen = self._read(), {}, fingerprint
            except (OSError, InvalidRequestError):
                return self._known
        return self._known

    def _fingerprint(self) -> Fingerprint:
        stats = [path.stat() for path in self._files]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _read(self) -> Issuers:
        return Issuers(b"\n".join(path.read_bytes() for path in self._files))


def _chain(properties: Mapping[str, Sequence[bytes]]) -> bytes:
    return b"\n".join(properties.get(CHAIN) or properties.get(CERTIFICATE) or ())
