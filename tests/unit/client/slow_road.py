"""A relay before a server that lets the first bytes of each connection wait: so does a busy server."""

import contextlib
import socket
import threading
import time


class SlowRoad:
    """Relays connections on 127.0.0.1 to `address`, each after `seconds`, until it is stopped."""

    def __init__(self, address: str, seconds: float) -> None:
        host, _, port = address.rpartition(":")
        self._target, self._seconds = (host, int(port)), seconds
        self._door = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._door]
        self.address = f"127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._admit, daemon=True).start()

    def stop(self) -> None:
        """Ends every connection."""
        for each in self._open:
            with contextlib.suppress(OSError):  # the other side may have ended it
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _admit(self) -> None:
        with contextlib.suppress(OSError):  # the relay is stopped
            while True:
                caller, _ = self._door.accept()
                server = socket.create_connection(self._target)
                self._open += [caller, server]
                for way in [(caller, server, self._seconds), (server, caller, 0.0)]:
                    threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, seconds: float) -> None:
        with contextlib.suppress(OSError):  # either side has gone
            first = source.recv(65536)
            time.sleep(seconds)
            while first:
                target.sendall(first)
                first = source.recv(65536)
            target.shutdown(socket.SHUT_WR)
