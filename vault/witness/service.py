"""The HTTP service of a witness (c2sp.org/tlog-witness), one thread a connection.

    POST /add-checkpoint             200 signature lines · 400 malformed · 403 not signed by the log
                                     404 log not known · 409 the size remembered · 422 inconsistent
    POST /add-keys                   200 followed · 400 malformed · 403 not signed by the log
                                     404 log not known · 422 inconsistent; ours, see `successors`
    GET  /<origin hash>/checkpoint   200 the newest checkpoint cosigned · 404 none

Rules:
- Nobody is authenticated but by the signature on the checkpoint; listen where only vaults can call.
- Requests have a length, of 128 KiB at most, and come within ten seconds.
- What fails in the witness itself is a 500 without a word, and a line for the operator.
"""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from vault.errors import VaultError
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Logs, Refusal
from vault.witness.state import WitnessState
from vault.witness.successors import AddKeys

MAX_BODY_BYTES: Final = 128 << 10
IDLE_SECONDS: Final = 10.0
_TEXT = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"


class WitnessServer(ThreadingHTTPServer):
    """A listening witness; `serve_forever` serves, `server_address` says where."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], state: WitnessState, logs: Logs, say: Callable[[str], None]
    ) -> None:
        """Listens.

        Args:
            address: host and port; port 0 takes a free one.
            state: its lock is held.
            logs: whom the witness knows.
            say: takes a line for the operator.
        """
        super().__init__(address, _Handler)
        self.state = state
        self.logs = logs
        self.say = say


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server_version = "cvault-witness"
    sys_version = ""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the body stays unread
            self._answer(HTTPStatus.BAD_REQUEST)
            return
        body = self.rfile.read(int(length))
        if self.path not in ("/add-checkpoint", "/add-keys"):
            self._answer(HTTPStatus.NOT_FOUND)
            return
        try:
            content = self._added(body)
        except CheckpointRefusedError as refused:
            self.server.say(f"refused: {refused.refusal.name}")
            conflict = refused.refusal is Refusal.CONFLICT
            size = f"{refused.size}\n" if conflict else ""
            self._answer(HTTPStatus(refused.refusal.value), size, _SIZE if conflict else _TEXT)
        except (VaultError, OSError) as error:
            self.server.say(f"cannot cosign: {error}")
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._answer(HTTPStatus.OK, content)

    def do_GET(self) -> None:
        _, origin_hash, name = [*self.path.split("/"), "", ""][:3]
        note = self.server.state.note(origin_hash) if self.path == f"/{origin_hash}/{name}" else None
        if note is None or name != "checkpoint":
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, note.decode())

    def _added(self, body: bytes) -> str:
        """Does what a request asks for; returns the answer."""
        if self.path == "/add-keys":
            self.server.state.add_keys(AddKeys.parse(body), self.server.logs)
            return ""
        return self.server.state.add(AddCheckpoint.parse(body), self.server.logs).line()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing: what matters is said where it happens."""

    def _answer(self, status: HTTPStatus, content: str = "", content_type: str = _TEXT) -> None:
        encoded = content.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)
