"""Asks a witness to cosign a checkpoint (c2sp.org/tlog-witness).

Rules:
- One connection, kept open; a request that fails on a connection used before is made once more on a new one.
- An answer counts only with a cosignature that verifies under the configured key: whoever sits between vault
  and witness can keep them apart, nothing else. Plain HTTP therefore suffices.
- A witness that does not answer costs one timeout: calls are made while the vault's write lock is held.
"""

import http.client
import threading
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from vault.errors import IntegrityFailedError, InvalidRequestError, WitnessUnavailableError
from vault.store.signers import Announcement
from vault.tlog import notes
from vault.tlog.checkpoints import parse_size
from vault.tlog.notes import COSIGNATURE, Signature, VerifierKey, parse_signatures
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Refusal
from vault.witness.successors import AddKeys

TIMEOUT_SECONDS: Final = 1.5
_MAX_ANSWER_BYTES = 64 << 10
_URL_FORM: Final = "a witness's address has the form http://host:port"
_REFUSALS: Final = {refusal.value: refusal for refusal in Refusal}


class WitnessClient:
    """One witness. Safe to use from several threads."""

    def __init__(self, url: str, key: VerifierKey, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Connects when first asked.

        Args:
            url: the witness's submission prefix, `http://host:port` or `https://…`.
            key: of the witness, of type `COSIGNATURE`.
            timeout_seconds: for connecting, and for each read.

        Raises:
            InvalidRequestError: the URL or the key is not usable.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidRequestError(_URL_FORM) from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidRequestError(_URL_FORM)
        if key.type != COSIGNATURE:
            raise InvalidRequestError("a witness's key is of the type that cosigns")
        self.key = key
        self._prefix = parts.path.rstrip("/")
        kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
        self._connection = kind(parts.hostname, port, timeout=timeout_seconds)
        self._turn = threading.Lock()

    def add_checkpoint(self, request: AddCheckpoint) -> Signature:
        """The witness's cosignature, verified.

        Raises:
            CheckpointRefusedError: the witness does not cosign; says why.
            WitnessUnavailableError: it cannot be reached, or its answer is not to be trusted.
        """
        with self._turn:
            status, content = self._post("/add-checkpoint", request.encode())
        if status == HTTPStatus.OK:
            return self._cosignature(request, content)
        refusal = _refusal(status)
        try:
            size = parse_size(content.decode().removesuffix("\n")) if refusal is Refusal.CONFLICT else 0
        except (InvalidRequestError, UnicodeDecodeError) as error:
            raise WitnessUnavailableError("the witness's answer is malformed") from error
        raise CheckpointRefusedError(refusal, size)

    def add_keys(self, origin: str, announcements: Sequence[Announcement]) -> None:
        """Has the witness follow a log's keys; see `successors`.

        Raises:
            CheckpointRefusedError: the witness does not follow; UNKNOWN_LOG also if it follows nobody.
            WitnessUnavailableError: it cannot be reached, or fails.
        """
        with self._turn:
            status, _ = self._post("/add-keys", AddKeys(origin, tuple(announcements)).encode())
        if status != HTTPStatus.OK:
            raise CheckpointRefusedError(_refusal(status))

    def close(self) -> None:
        """Ends the connection."""
        with self._turn:
            self._connection.close()

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        while True:
            reused = self._connection.sock is not None
            try:
                self._connection.request("POST", self._prefix + path, body)
                answer = self._connection.getresponse()
                content = answer.read(_MAX_ANSWER_BYTES)
                if not answer.isclosed():  # longer than any answer
                    self._connection.close()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not reused:
                    raise WitnessUnavailableError("the witness cannot be reached") from error
            else:
                return answer.status, content

    def _cosignature(self, request: AddCheckpoint, content: bytes) -> Signature:
        try:
            signatures = parse_signatures(content.decode())
            verified = notes.verify(request.note.with_signatures(signatures), [self.key])
        except (InvalidRequestError, IntegrityFailedError, UnicodeDecodeError) as error:
            raise WitnessUnavailableError("the witness's answer holds no signature of its key") from error
        return verified[-1].signature


def _refusal(status: int) -> Refusal:
    refusal = _REFUSALS.get(status)
    if refusal is None:
        raise WitnessUnavailableError("the witness failed", status=str(status))
    return refusal
