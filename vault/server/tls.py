"""TLS of the workers: certificates are required of clients, and may change while the server runs.

gRPC asks for the configuration at each handshake. It is read anew when a file's (mtime, size, inode)
changed, so that neither a renewal nor a change of the CAs whose clients are let in needs a restart. A pair
that does not fit together, as between the two writes of a renewal, is left alone until it does; the last
good one stays in use. Connections that are open are looked at again with each call, see `anchors`.
Versions: gRPC speaks 1.2 and 1.3 only; the suites of 1.2 are set in the package's `__init__`.
"""

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc

from vault.config import ServerSettings
from vault.errors import KeyUnavailableError

Fingerprint = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the server: its chain, its key, and the CAs whose clients are let in."""

    certificate: Path
    key: Path
    client_cas: tuple[Path, ...]

    @classmethod
    def of(cls, data_dir: Path, settings: ServerSettings) -> "TlsFiles":
        """The files in `data_dir/tls`, or those that the settings name instead."""
        own = data_dir / "tls"
        external = (Path(settings.client_ca),) if settings.client_ca else ()
        return cls(
            certificate=Path(settings.certificate) if settings.certificate else own / "server.crt",
            key=Path(settings.certificate_key) if settings.certificate_key else own / "server.key",
            client_cas=(own / "ca.crt", *external),
        )

    def fingerprint(self) -> Fingerprint:
        """Changes whenever one of the files does."""
        stats = [path.stat() for path in (self.certificate, self.key, *self.client_cas)]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)


class CertificateSource:
    """Reads the files and remembers what it read; safe for gRPC's handshake threads."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._loaded: Fingerprint = ()

    def load(self) -> grpc.ServerCertificateConfiguration:
        """The configuration that the files hold now.

        Raises:
            KeyUnavailableError: a file is missing, or key and certificate do not fit together.
        """
        try:
            fingerprint = self._files.fingerprint()
            configuration = self._read()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise KeyUnavailableError(f"the server's TLS files cannot be used: {_why(error)}") from error
        self._loaded = fingerprint
        return configuration

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new configuration, or None when nothing usable changed. Called at each handshake."""
        with self._lock:
            try:
                if self._files.fingerprint() == self._loaded:
                    return None
                return self.load()
            except (OSError, KeyUnavailableError):
                return None

    def _read(self) -> grpc.ServerCertificateConfiguration:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files.certificate, self._files.key, password="")
        for ca in self._files.client_cas:
            context.load_verify_locations(ca)
        pair = (self._files.key.read_bytes(), self._files.certificate.read_bytes())
        roots = b"\n".join(ca.read_bytes() for ca in self._files.client_cas)
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)


def server_credentials(source: CertificateSource) -> grpc.ServerCredentials:
    """Mutual TLS from `source`.

    Raises:
        KeyUnavailableError: the files cannot be used at the start.
    """
    return grpc.dynamic_ssl_server_credentials(
        source.load(),
        source.changed,  # type: ignore[arg-type]  # None is "unchanged"
        require_client_authentication=True,
    )


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} is missing"
    return getattr(error, "reason", None) or type(error).__name__
