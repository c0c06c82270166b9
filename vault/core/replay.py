"""Request ids: a write that is retried answers as it did the first time, also across a crash.

Row in `requests` (with the MAC of `rows`), written in the commit of the write that it speaks of:
    key    keyed hash 16 of principal id u32 | request id
    body   fingerprint 16 | expires_s u32 | answer (JSON)

Rules:
- The request id itself is not kept, only its keyed hash. The salt of a shred's commitment is made
  from it, so a retry gets the same salt although the vault keeps none.
- The fingerprint is a keyed hash of request id, method and body: the same id with another body is refused.
  The id in it is random and not kept, so that an old copy of these rows confirms no guess of a body.
- An answer holds customer and value numbers, outcomes and reasons; no value, no token, no id.
"""

import json
import struct
import uuid
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from vault.core.rows import Rows
from vault.core.secrets import VaultSecrets
from vault.errors import InvalidRequestError, RequestIdReusedError
from vault.model.columns import PackedParts
from vault.model.secret import Secret
from vault.store.entries import NO_REQUEST
from vault.store.session import WriteSession

_HEAD: Final = struct.Struct(">16sI")
_NO_PARTS: Final = PackedParts(0, b"", b"")
TABLE: Final = "requests"

Kept = TypeVar("Kept")
Part = bytes | str | Secret | None
"""One part of a request's body; None counts as empty."""


class Request:
    """One write's request id and fingerprint; without an id nothing is remembered."""

    __slots__ = ("_expires_s", "_fingerprint", "_key", "_now_s", "_rows", "_salt_seed", "_secrets")

    def __init__(
        self,
        *,
        rows: Rows,
        secrets: VaultSecrets,
        principal_id: int,
        request_id: str,
        method: str,
        body: Sequence[Part],
        now_s: int,
        hours: int,
        packed: PackedParts | None = None,
    ) -> None:
        self._rows = rows
        self._secrets = secrets
        self._key = b""
        self._now_s = now_s
        self._expires_s = now_s + hours * 3600
        if not request_id:
            return
        name = principal_id.to_bytes(4, "big") + parse_request_id(request_id)
        self._key = secrets.request_mac(b"id\0" + name)
        self._salt_seed = secrets.request_mac(b"salt\0" + name)
        texts = [method, *[part if isinstance(part, str) else _text(part) for part in body]]
        # Count and lengths in characters first, so that no two bodies are framed alike. Text that is no valid
        # Unicode is refused elsewhere.
        count, more_lengths, more_texts = packed or _NO_PARTS
        lengths = array("Q", (len(texts) + count, *map(len, texts))).tobytes() + more_lengths
        content = "".join(texts).encode(errors="surrogatepass") + more_texts
        self._fingerprint = secrets.request_mac(b"body\0" + name + lengths + content)

    @property
    def salt_seed(self) -> bytes | None:
        """16 bytes that only a holder of the request id and the vault can make; None without an id."""
        return self._salt_seed if self._key else None

    @property
    def identity(self) -> bytes:
        """Key and fingerprint, 32 bytes, for a ledger entry; zeros without an id."""
        return self._key + self._fingerprint if self._key else NO_REQUEST

    def derived(self, position: int) -> bytes | None:
        """16 bytes that stand for one item of this request, the same in every retry; None without an id."""
        if not self._key:
            return None
        return self._secrets.request_mac(b"item\0" + self.identity + position.to_bytes(4, "big"))

    def recall(self, session: WriteSession) -> Any | None:
        """The answer given before, or None.

        Raises:
            RequestIdReusedError: the id was used with another body.
        """
        if not self._key:
            return None
        body = self._rows.get(session, TABLE, self._key)
        if body is None:
            return None
        fingerprint, expires_s = _HEAD.unpack_from(body)
        if expires_s <= self._now_s:
            return None
        if fingerprint != self._fingerprint:
            raise RequestIdReusedError("the request id was used with another request")
        return json.loads(body[_HEAD.size :])

    def remember(
        self, session: WriteSession, answer: Kept, pack: Callable[[Kept], str] = lambda answer: _json(answer)
    ) -> None:
        """Keeps the answer for a retry; `pack` writes it as JSON."""
        if self._key:
            head = _HEAD.pack(self._fingerprint, self._expires_s)
            self._rows.put(session, TABLE, self._key, head + pack(answer).encode())


def _text(part: Secret | bytes | None) -> str:
    if isinstance(part, Secret):
        return part.reveal()
    return "" if part is None else part.decode("latin-1")


def remember_finished(
    rows: Rows, session: WriteSession, identity: bytes, expires_s: int, answer: object = 1
) -> None:
    """Keeps the answer for a request whose work another process has finished."""
    if identity != NO_REQUEST:
        key, fingerprint = identity[:16], identity[16:]
        rows.put(session, TABLE, key, _HEAD.pack(fingerprint, expires_s) + _json(answer).encode())


def _json(answer: object) -> str:
    return json.dumps(answer, separators=(",", ":"))


def parse_request_id(text: str) -> bytes:
    """The 16 bytes of a request id.

    Raises:
        InvalidRequestError: not a UUID.
    """
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise InvalidRequestError("request_id must be a UUID", field="request_id") from None


def expired(body: bytes, now_s: int) -> bool:
    """Whether a remembered answer may be forgotten."""
    return bool(_HEAD.unpack_from(body)[1] <= now_s)
