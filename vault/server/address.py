"""Addresses as texts, and the sockets that the supervisor binds for its children."""

import contextlib
import errno
import ipaddress
import socket
import time

from vault.config import ServerSettings
from vault.errors import InvalidRequestError, KeyUnavailableError

BIND_SECONDS = 6.0  # longer than orphaned workers of a supervisor that was killed go on listening
_RETRY_SECONDS = 0.1


def parse(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`.

    Raises:
        InvalidRequestError: not of this form.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidRequestError("an address has the form host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def spell(host: str, port: int) -> str:
    """The text of an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def check_loopback(server: ServerSettings) -> None:
    """Refuses addresses that others could reach.

    Raises:
        InvalidRequestError: names the setting.
    """
    for name, text in (("listen", server.listen), ("metrics_listen", server.metrics_listen)):
        if not is_loopback(parse(text)[0]):
            raise InvalidRequestError(f"{name}: a development vault listens on loopback only")


def reserve(text: str) -> tuple[socket.socket, str]:
    """A bound socket, not listening, that holds a port for workers to share; and its address.

    SO_REUSEPORT would let two vaults of one user share a port, each getting some of the calls. So the
    port is bound without it first, which fails while anybody listens.

    Raises:
        KeyUnavailableError: the address is taken or not of this machine.
    """
    bound = _bind(text)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    host, port = bound.getsockname()[:2]
    return bound, spell(host, port)


def listen(text: str) -> tuple[socket.socket, str]:
    """A listening socket and its address.

    Raises:
        KeyUnavailableError: the address is taken or not of this machine.
    """
    bound = _bind(text)
    bound.listen(16)
    host, port = bound.getsockname()[:2]
    return bound, spell(host, port)


def _bind(text: str) -> socket.socket:
    host, port = parse(text)
    give_up = time.monotonic() + BIND_SECONDS
    while True:
        try:
            return _bind_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                raise KeyUnavailableError(f"cannot listen on {text}: {error.strerror}") from error
            time.sleep(_RETRY_SECONDS)


def _bind_once(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
