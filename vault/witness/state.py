"""What a witness keeps: its key, and of each log the newest checkpoint that it has cosigned.

    key                 JSON: format 1, name, seed (Ed25519, base64). Made at the first start, 0600.
    logs/<origin hash>  the checkpoint, a note signed by the log and cosigned by the witness; origin hash =
                        SHA-256 of the origin, hex
    keys/<origin hash>  how the log came by its later keys; see `successors`
    lock                held while a process serves from the directory

Rules:
- A checkpoint is durable before its cosignature is given away, and one lock is held from reading the
  old one until then: otherwise two requests at once could take a log back.
- What is kept must carry the witness's own cosignature when it is read again. A witness whose memory
  fails this says so, and cosigns nothing of that log.
"""

import base64
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError
from vault.store.files import make_directory, write_durably
from vault.store.signers import Announcement
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import COSIGNATURE, Note, Signature, VerifierKey
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Logs, Refusal, check
from vault.witness.successors import AddKeys, Successors, access_log_keys, ledger_beside

KEY_FILE: Final = "key"
LOGS: Final = "logs"
KEYS: Final = "keys"
LOCK_FILE: Final = "lock"
_FORMAT = 1
_SEED_BYTES = 32


def _now_s() -> int:
    return int(time.time())


class WitnessState:
    """One witness's directory. Safe to use from several threads; for writing, from one process only."""

    def __init__(self, directory: Path, name: str, seed: bytes, clock_s: Callable[[], int]) -> None:
        """For `open` and `create`."""
        self._directory = directory
        self._seed = seed
        self._clock_s = clock_s
        self._turn = threading.Lock()
        self._lock: int | None = None
        self.key = VerifierKey(name, COSIGNATURE, hazmat.public_key(seed))

    @classmethod
    def open(cls, directory: Path, clock_s: Callable[[], int] = _now_s) -> "WitnessState":
        """Opens a witness's directory.

        Raises:
            InvalidRequestError: there is none.
            IntegrityFailedError: its key file is damaged.
        """
        try:
            content = json.loads((directory / KEY_FILE).read_bytes())
            known, name, seed = content["format"], str(content["name"]), base64.b64decode(content["seed"])
        except FileNotFoundError as error:
            raise InvalidRequestError("there is no witness in this directory") from error
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityFailedError(file=KEY_FILE) from error
        if known != _FORMAT or len(seed) != _SEED_BYTES:
            raise IntegrityFailedError(file=KEY_FILE)
        return cls(directory, name, seed, clock_s)

    @classmethod
    def create(cls, directory: Path, name: str) -> "WitnessState":
        """Makes a witness with a new key; its name stands in every cosignature.

        Raises:
            InvalidRequestError: the directory holds a witness already, or the name is not usable.
        """
        if (directory / KEY_FILE).exists():
            raise InvalidRequestError("there is a witness in this directory already")
        seed = hazmat.random_bytes(_SEED_BYTES)
        made = cls(directory, name, seed, _now_s)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_directory(directory / LOGS)
        content = {"format": _FORMAT, "name": name, "seed": base64.b64encode(seed).decode()}
        write_durably(directory / KEY_FILE, json.dumps(content).encode() + b"\n")
        return made

    def lock(self) -> None:
        """Takes the directory for this process, until `close`.

        Raises:
            KeyUnavailableError: another process serves from it.
        """
        descriptor = os.open(self._directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise KeyUnavailableError("another process serves this witness") from None
        self._lock = descriptor

    def close(self) -> None:
        """Gives the directory back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def add(self, request: AddCheckpoint, logs: Logs) -> Signature:
        """Remembers a checkpoint, durably, and cosigns it; needs `lock`.

        Raises:
            CheckpointRefusedError: see `vault.tlog.witness`.
            IntegrityFailedError: what is remembered of this log is damaged.
        """
        if self._lock is None:
            raise RuntimeError("the witness's directory is not locked")
        origin = request.checkpoint().origin
        with self._turn:
            path = self._path(origin)
            remembered, keys = self._remembered(origin, logs), logs
            if origin in logs:
                keys = {origin: self._keys(origin, logs, request.checkpoint().size)}
            checkpoint = check(request, keys, remembered)
            text = request.note.text
            cosignature = notes.cosign(text, self.key, self._sign, self._clock_s())
            if remembered is None or checkpoint.size > remembered.size:
                signed = notes.verify(request.note, keys[origin])
                kept = Note(text, (*(each.signature for each in signed), cosignature))
                write_durably(path, kept.encode())
            return cosignature

    def add_keys(self, request: AddKeys, logs: Logs) -> None:
        """Follows a log's later keys, durably; needs `lock`.

        Raises:
            CheckpointRefusedError: see `vault.witness.successors`, or the log is not known.
            IntegrityFailedError: what is remembered of this log is damaged.
        """
        if self._lock is None:
            raise RuntimeError("the witness's directory is not locked")
        if request.origin not in logs:
            raise CheckpointRefusedError(Refusal.UNKNOWN_LOG)
        with self._turn:
            remembered = self._remembered(request.origin, logs)
            successors = self._successors(request.origin, logs)
            if successors.add(request.announcements, remembered.size if remembered else 0):
                path = self._path(request.origin, KEYS)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                lines = [f"{each.encode()}\n" for each in successors.announcements]
                write_durably(path, "".join(lines).encode())

    def note(self, origin_hash: str) -> bytes | None:
        """The newest checkpoint of a log, as a note; None if none was cosigned."""
        if len(origin_hash) != 64 or not set(origin_hash) <= set("0123456789abcdef"):
            return None
        path = self._directory / LOGS / origin_hash
        return path.read_bytes() if path.exists() else None

    def remembered(self) -> list[tuple[Checkpoint, int]]:
        """Every log's newest checkpoint, by origin, with the Unix time of its cosignature.

        Raises:
            IntegrityFailedError: one is damaged.
        """
        found = []
        for path in (self._directory / LOGS).iterdir():
            if not path.name.startswith("."):  # what a crash left of a write
                note = Note.parse(path.read_bytes())
                (own,) = notes.verify(note, [self.key])
                found.append((Checkpoint.parse(note.text), own.time_s))
        return sorted(found, key=lambda each: each[0].origin)

    def _remembered(self, origin: str, logs: Logs) -> Checkpoint | None:
        path = self._path(origin)
        return self._read(path) if origin in logs and path.exists() else None

    def _keys(self, origin: str, logs: Logs, size: int) -> Sequence[VerifierKey]:
        """The keys that may sign a checkpoint of a known log."""
        ledger = ledger_beside(origin)
        if ledger is None or ledger not in logs:
            return self._successors(origin, logs).keys(size)
        return access_log_keys(origin, logs[origin], ledger, self._successors(ledger, logs).announcements)

    def _successors(self, origin: str, logs: Logs) -> Successors:
        path, kept = self._path(origin, KEYS), []
        if path.exists():
            try:
                kept = [Announcement.parse(line) for line in path.read_text().splitlines()]
            except (InvalidRequestError, UnicodeDecodeError) as error:
                raise IntegrityFailedError(file=KEYS) from error
        return Successors(origin, logs[origin], kept)

    def _path(self, origin: str, kind: str = LOGS) -> Path:
        return self._directory / kind / hashlib.sha256(origin.encode()).hexdigest()

    def _read(self, path: Path) -> Checkpoint:
        try:
            note = Note.parse(path.read_bytes())
            notes.verify(note, [self.key])
            return Checkpoint.parse(note.text)
        except InvalidRequestError as error:
            raise IntegrityFailedError(file=LOGS) from error

    def _sign(self, message: bytes) -> bytes:
        return hazmat.sign(self._seed, message)
