"""Whether a caller's certificate is still of a CA that is let in: connections outlive the trust in a CA.

TLS asks at the handshake only. So each call looks again, at the chain that the caller has shown then and at
the CAs that the files hold now. What was found is remembered for the chain's bytes, until a file changes.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vault.crypto.certificates import Issuers
from vault.errors import InvalidRequestError, UnauthenticatedError

CERTIFICATE: Final = "x509_pem_cert"
CHAIN: Final = "x509_pem_cert_chain"
_REMEMBERED: Final = 4096

Fingerprint = tuple[tuple[int, int, int], ...]


class Anchors:
    """The CAs whose clients are let in, as their files hold them at each call. Safe for several threads."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Reads them.

        Args:
            files: PEM files of CAs, each replaced as a whole.

        Raises:
            OSError: one cannot be read.
            InvalidRequestError: one holds no certificate.
        """
        self._files = files
        self._lock = threading.Lock()
        self._seen = self._fingerprint()
        self._issuers = self._read()
        self._known: dict[bytes, bool] = {}

    def require(self, properties: Mapping[str, Sequence[bytes]]) -> None:
        """Checks the caller's certificate, by the properties that gRPC has of its connection.

        Raises:
            UnauthenticatedError: it is of no CA that is let in now.
        """
        chain = b"\n".join(properties.get(CHAIN) or properties.get(CERTIFICATE) or ())
        known = self._current()
        vouched = known.get(chain)
        if vouched is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            vouched = known[chain] = self._issuers.vouch_for(chain)
        if not vouched:
            raise UnauthenticatedError("the certificate is of a CA that is not let in any more")

    def _current(self) -> dict[bytes, bool]:
        """What is known of chains under the CAs of now; the last good ones while a file cannot be read."""
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
