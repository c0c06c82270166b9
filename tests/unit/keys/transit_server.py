"""A small transit engine on 127.0.0.1 that checks each request strictly, for where no OpenBao can be built.

It knows the token, one mount, and of the engine's API what the provider is meant to use. Everything else is
an error: another path or method, an unknown or missing field, a field of another type, a version out of
range. The rules of versions are those of the engine's documentation; the ciphers are real.
"""

import base64
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MOUNT = "transit"
_PATH = re.compile(rf"/v1/{MOUNT}/(keys|encrypt|decrypt)/([a-z0-9.-]+)(?:/(config|rotate|trim))?")
_CREATE = {
    "type": "aes256-gcm96",
    "derived": False,
    "exportable": False,
    "allow_plaintext_backup": False,
    "convergent_encryption": False,
}


class RefusedError(Exception):
    """What the engine answers with a status and its words."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status, *errors)
        self.status, self.errors = status, errors


class NamedKey:
    """One named key and its versions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.versions = {1: os.urandom(32)}
        self.latest = 1
        self.least = {"min_decryption_version": 1, "min_encryption_version": 0, "min_available_version": 0}
        self.exportable = False

    def described(self) -> dict[str, Any]:
        usable = self.least["min_decryption_version"]
        return {
            "name": self.name,
            "type": "aes256-gcm96",
            "derived": False,
            "exportable": self.exportable,
            "allow_plaintext_backup": False,
            "deletion_allowed": False,
            "imported_key": False,
            "latest_version": self.latest,
            "keys": {str(version): 1 for version in self.versions if version >= usable},
            **self.least,
        }

    def configure(self, body: dict[str, Any]) -> None:
        if not body or not set(body) <= {"min_decryption_version", "min_encryption_version"}:
            raise RefusedError(400, "unexpected fields of the configuration")
        if any(type(version) is not int for version in body.values()):
            raise RefusedError(400, "versions are numbers")
        wanted = self.least | body
        decrypting, encrypting = wanted["min_decryption_version"], wanted["min_encryption_version"]
        if not max(self.least["min_available_version"], 1) <= decrypting <= self.latest:
            raise RefusedError(400, "min decryption version out of range")
        if encrypting and not decrypting <= encrypting <= self.latest:
            raise RefusedError(400, "min encryption version out of range")
        self.least = wanted

    def trim(self, body: dict[str, Any]) -> None:
        wanted = body.get("min_available_version")
        if set(body) != {"min_available_version"} or type(wanted) is not int:
            raise RefusedError(400, "missing min_available_version")
        most = min(self.least["min_decryption_version"], self.least["min_encryption_version"])
        if not max(self.least["min_available_version"], 1) <= wanted <= most:
            raise RefusedError(400, "min available version out of range")
        self.least["min_available_version"] = wanted
        self.versions = {version: key for version, key in self.versions.items() if version >= wanted}

    def encrypt(self, body: dict[str, Any]) -> dict[str, Any]:
        if set(body) != {"plaintext", "key_version", "associated_data"}:
            raise RefusedError(400, "unexpected fields to encrypt")
        version = body["key_version"]
        if version not in self.versions or version < self.least["min_encryption_version"]:
            raise RefusedError(400, "requested version for encryption is not allowed")
        nonce, plaintext = os.urandom(12), _decoded(body["plaintext"])
        sealed = nonce + AESGCM(self.versions[version]).encrypt(
            nonce, plaintext, _decoded(body["associated_data"])
        )
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}

    def decrypt(self, body: dict[str, Any]) -> dict[str, Any]:
        found = re.fullmatch(r"vault:v(\d+):(.+)", body.get("ciphertext", ""))
        if set(body) != {"ciphertext", "associated_data"} or found is None:
            raise RefusedError(400, "invalid ciphertext")
        version, sealed = int(found[1]), _decoded(found[2])
        if version not in self.versions or version < self.least["min_decryption_version"]:
            raise RefusedError(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            opened = AESGCM(self.versions[version]).decrypt(
                sealed[:12], sealed[12:], _decoded(body["associated_data"])
            )
        except (InvalidTag, ValueError) as error:
            raise RefusedError(400, "cipher: message authentication failed") from error
        return {"plaintext": base64.b64encode(opened).decode()}


class TransitServer:
    """The engine, listening. `keys`, `token` and `sealed` may be changed by a test."""

    def __init__(self, port: int = 0) -> None:
        self.keys: dict[str, NamedKey] = {}
        self.token = "s.local-test-token"
        self.sealed = False
        self.turn = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if self.sealed:
            raise RefusedError(503, "Vault is sealed")
        if token != self.token:
            raise RefusedError(403, "permission denied")
        found = _PATH.fullmatch(path)
        if found is None:
            raise RefusedError(404, f'no handler for route "{path}". route entry not found.')
        kind, name, act = found.groups()
        if (kind, method, act) == ("keys", "POST", None):
            if body != _CREATE:
                raise RefusedError(400, "unexpected fields of a new key")
            return self.keys.setdefault(name, NamedKey(name)).described()
        key = self.keys.get(name)
        if key is None:
            raise RefusedError(404) if method == "GET" else RefusedError(400, "encryption key not found")
        if (kind, method, act) == ("keys", "GET", None):
            return key.described()
        if method != "POST" or (kind != "keys") != (act is None):
            raise RefusedError(405, "unsupported operation")
        if act == "rotate":
            key.latest += 1
            key.versions[key.latest] = os.urandom(32)
        elif act == "config":
            key.configure(body)
        elif act == "trim":
            key.trim(body)
        else:
            return key.encrypt(body) if kind == "encrypt" else key.decrypt(body)
        return key.described()


@contextmanager
def running(port: int = 0) -> Iterator[TransitServer]:
    """A server until the context ends."""
    server = TransitServer(port)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def _handler(server: TransitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(json.loads(content) if content else {})

        def _answer(self, body: dict[str, Any]) -> None:
            try:
                with server.turn:
                    data = server.answer(self.command, self.path, self.headers.get("X-Vault-Token"), body)
                self._send(200, {"data": data})
            except RefusedError as refused:
                self._send(refused.status, {"errors": list(refused.errors)})

        def _send(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    return Handler


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise RefusedError(400, "expected text")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise RefusedError(400, "illegal base64 data") from error
