"""The ledger: an append-only file of signed, hash-chained entries that no restore may undo.

    frame      length u32 | body | chain 32 | signature 64        length counts the body; 0 ends the ledger
    body       version u8 = 1 | type u8 | seq u64 | time_ms u64 | payload            seq starts at 1
    leaf       SHA-256(0x00 | body), the leaf hash of RFC 6962
    chain_0    SHA-256("customervault ledger v1" | vault_id)
    chain_i    SHA-256(0x01 | chain_(i-1) | leaf_i)
    signature  Ed25519 over "customervault ledger v1" | 0x00 | vault_id | seq u64 | chain_i

Rules:
- Only the holder of the write lock appends or cuts. Entries appended together are written and synced at once;
  a batch that does not fit into one 4 KiB block appears by its first length, written and synced last. So what
  a crash can tear lies within one block, or behind a zero length.
- A torn tail belongs to nobody: its writer acknowledged nothing. It is cut under the lock. Anything else that
  does not verify, or a ledger that ends before an entry known to be durable, is an integrity failure.
- The file is preallocated in zeros, so that an entry finds room on a full disk.
- A chain value vouches for everything before it, so a scan verifies the last signature only.
"""

import bisect
import errno
import hashlib
import os
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.errors import IntegrityFailedError, StorageFormatError, StorageFullError, StorageStoppedError
from vault.store.entries import AnyPayload, Payload, unpack_payload
from vault.store.files import sync_directory

Sign = Callable[[bytes], bytes]
"""Message to Ed25519 signature (64 bytes)."""
Verify = Callable[[bytes, bytes], None]
"""Signature and message; raises IntegrityFailedError unless they belong together."""

LEDGER_FILE: Final = "entries"
BLOCK_BYTES: Final = 4096
CHUNK_BYTES: Final = 1 << 20  # preallocated at a time
AHEAD_BYTES: Final = 256 << 10  # kept preallocated behind the last entry
MAX_BODY_BYTES: Final = 1 << 20
BODY_VERSION: Final = 1
_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">BBQQ")
_DOMAIN = b"customervault ledger v1"
_CHAIN_BYTES = 32
_SIGNATURE_BYTES = 64
_READ_BYTES = 64 << 10
_MARK_EVERY = 1024


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Number and chain value of an entry, and the offset in bytes at which the next one begins."""

    seq: int
    chain: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One entry, its chain verified. `leaf` is its RFC 6962 leaf hash."""

    seq: int
    time_ms: int
    payload: AnyPayload
    leaf: bytes
    chain: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Frame:
    before: LedgerHead
    after: LedgerHead
    body: bytes
    signature: bytes


class Ledger:
    """One process's view of the ledger file: remembers how far it has read."""

    def __init__(self, descriptor: int, vault_id: bytes, verify: Verify | None) -> None:
        self._descriptor = descriptor
        self._vault_id = vault_id
        self.verify = verify
        self._head = LedgerHead(0, hashlib.sha256(_DOMAIN + vault_id).digest(), 0)
        self._marks = [self._head]

    @classmethod
    def create(cls, path: Path) -> None:
        """Makes an empty, preallocated ledger file; fails if there is one."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, CHUNK_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)

    @classmethod
    def open(
        cls,
        path: Path,
        vault_id: bytes,
        verify: Verify | None = None,
        *,
        durable_seq: int = 0,
        read_only: bool = False,
    ) -> "Ledger":
        """Opens the file and verifies its chain; with `verify`, also the last signature.

        Args:
            path: the ledger file.
            vault_id: 16 bytes.
            verify: see `Verify`.
            durable_seq: number of the last entry known to be durable.
            read_only: open without the right to append.

        Raises:
            IntegrityFailedError: the file is missing, or an entry up to `durable_seq` fails.
        """
        mode = os.O_RDONLY if read_only else os.O_RDWR
        try:
            descriptor = os.open(path, mode | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise IntegrityFailedError(file=LEDGER_FILE) from error
        ledger = cls(descriptor, vault_id, verify)
        try:
            ledger.refresh(durable_seq)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def twin(self) -> "Ledger":
        """Another view of the same file, as far as this one has read; for a reader without the lock."""
        twin = Ledger(os.dup(self._descriptor), self._vault_id, self.verify)
        twin._head, twin._marks = self._head, list(self._marks)
        return twin

    @property
    def last(self) -> LedgerHead:
        """The last entry read so far; seq 0 for none."""
        return self._head

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def refresh(self, durable_seq: int) -> bool:
        """Reads what others appended; needs no lock. Returns whether nothing follows the last entry.

        Raises:
            IntegrityFailedError: an entry up to `durable_seq` is missing or fails.
        """
        head = self._head
        if head.seq >= durable_seq and not any(os.pread(self._descriptor, _LENGTH.size, head.offset)):
            return True
        newest: deque[_Frame] = deque(maxlen=BLOCK_BYTES // (_HEAD.size + _CHAIN_BYTES + _SIGNATURE_BYTES))
        marks = []
        for frame in self._frames(head):
            newest.append(frame)
            head = frame.after
            if head.seq % _MARK_EVERY == 0:
                marks.append(head)
        head = self._drop_unsigned(newest, head)
        if head.seq < durable_seq:
            raise IntegrityFailedError(file=LEDGER_FILE)
        self._marks += [mark for mark in marks if mark.seq <= head.seq]
        self._head = head
        following = os.pread(self._descriptor, _LENGTH.size, head.offset)
        return not any(following)

    def recover(self) -> bool:
        """Cuts a torn tail; for the holder of the write lock, after `refresh`. Returns whether there was one.

        Raises:
            IntegrityFailedError: what follows the last entry is not what a crash leaves behind.
        """
        start = self._head.offset
        tail = self._read_to_end(start)
        if not any_set(tail):
            return False
        room_in_block = BLOCK_BYTES - start % BLOCK_BYTES
        if any(tail[: _LENGTH.size]) and any_set(tail[room_in_block:]):
            raise IntegrityFailedError(file=LEDGER_FILE)
        self._erase(start, len(tail))
        return True

    def entries(self, after_seq: int = 0) -> Iterator[LedgerEntry]:
        """Entries with a greater number than `after_seq`, up to the last one read, chain verified again.

        Raises:
            IntegrityFailedError: an entry that was there before fails now.
            StorageFormatError: an entry of an unknown type.
        """
        end = self._head.seq
        start = self._marks[bisect.bisect_right(self._marks, after_seq, key=lambda mark: mark.seq) - 1]
        reached = start.seq
        for frame in self._frames(start):
            reached = frame.after.seq
            if after_seq < reached <= end:
                yield _entry(frame)
            if reached >= end:
                return
        if reached < end:
            raise IntegrityFailedError(file=LEDGER_FILE)

    def verify_signatures(self) -> None:
        """Verifies every signature; needs `verify`.

        Raises:
            IntegrityFailedError: one of them fails.
        """
        if self.verify is None:
            raise ValueError("no way to verify was given")
        for frame in self._frames(self._marks[0]):
            self.verify(frame.signature, self._message(frame.after))
            if frame.after.seq >= self._head.seq:
                return

    def append_all(self, bodies: Sequence[bytes], sign: Sign) -> LedgerHead:
        """Appends entries, durably and all or none; for the holder of the write lock.

        Args:
            bodies: see `pack_body`; their numbers must continue the ledger.
            sign: see `Sign`.

        Raises:
            StorageFullError: no room; nothing was appended.
            StorageStoppedError: the write or the sync failed; what is on the disk is unknown.
        """
        head, parts = self._head, []
        for body in bodies:
            chain = _next_chain(head.chain, body)
            size = _LENGTH.size + len(body) + _CHAIN_BYTES + _SIGNATURE_BYTES
            head = LedgerHead(head.seq + 1, chain, head.offset + size)
            parts += [_LENGTH.pack(len(body)), body, chain, sign(self._message(head))]
        start, content = self._head.offset, b"".join(parts)
        self._preallocate(head.offset)
        try:
            self._publish(start, content)
        except OSError as error:
            self._take_back(start, len(content), error)
        self._head = head
        if head.seq // _MARK_EVERY > self._marks[-1].seq // _MARK_EVERY:
            self._marks.append(head)
        return head

    def _publish(self, start: int, content: bytes) -> None:
        if start // BLOCK_BYTES == (start + len(content) - 1) // BLOCK_BYTES:
            _write(self._descriptor, content, start)
        else:
            _write(self._descriptor, content[_LENGTH.size :], start + _LENGTH.size)
            os.fdatasync(self._descriptor)
            _write(self._descriptor, content[: _LENGTH.size], start)
        os.fdatasync(self._descriptor)

    def _take_back(self, start: int, size: int, cause: OSError) -> None:
        try:
            self._erase(start, size)
        except OSError as error:
            raise StorageStoppedError("an entry could neither be written nor taken back") from error
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("no room for a ledger entry") from cause
        raise StorageStoppedError("the ledger could not be written") from cause

    def _preallocate(self, end: int) -> None:
        size = os.fstat(self._descriptor).st_size
        if size >= end + AHEAD_BYTES:
            return
        wanted = -(-(end + AHEAD_BYTES) // CHUNK_BYTES) * CHUNK_BYTES
        try:
            os.posix_fallocate(self._descriptor, 0, wanted)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise StorageStoppedError("the ledger could not be extended") from error
            if size < end:
                raise StorageFullError("no room for a ledger entry") from error

    def _erase(self, start: int, size: int) -> None:
        _write(self._descriptor, bytes(size), start)
        os.fdatasync(self._descriptor)

    def _drop_unsigned(self, newest: deque[_Frame], head: LedgerHead) -> LedgerHead:
        """The head without the frames at the end whose signature was not written whole."""
        if self.verify is None:
            return head
        while newest:
            frame = newest.pop()
            try:
                self.verify(frame.signature, self._message(frame.after))
            except IntegrityFailedError:
                head = frame.before
            else:
                return head
        if head.seq > self._head.seq:
            raise IntegrityFailedError(file=LEDGER_FILE)
        return head

    def _message(self, head: LedgerHead) -> bytes:
        return _DOMAIN + b"\0" + self._vault_id + head.seq.to_bytes(8, "big") + head.chain

    def _frames(self, start: LedgerHead) -> Iterator[_Frame]:
        """Frames after `start` whose chain verifies; ends at the first that does not."""
        window, window_at, head = b"", start.offset, start
        while True:
            at = head.offset - window_at
            size = int.from_bytes(window[at : at + _LENGTH.size], "big")
            end = at + _LENGTH.size + size + _CHAIN_BYTES + _SIGNATURE_BYTES
            if end > len(window):
                if size > MAX_BODY_BYTES:
                    return
                window_at, at = head.offset, 0
                window = os.pread(self._descriptor, max(end - at + _READ_BYTES, _READ_BYTES), window_at)
                size = int.from_bytes(window[: _LENGTH.size], "big")
                end = _LENGTH.size + size + _CHAIN_BYTES + _SIGNATURE_BYTES
            if not _HEAD.size <= size <= MAX_BODY_BYTES or end > len(window):
                return
            body = window[at + _LENGTH.size : at + _LENGTH.size + size]
            chain_at = at + _LENGTH.size + size
            chain = window[chain_at : chain_at + _CHAIN_BYTES]
            if chain != _next_chain(head.chain, body):
                return
            if body[0] != BODY_VERSION:
                raise StorageFormatError(
                    "the ledger holds an entry of an unknown version", version=str(body[0])
                )
            after = LedgerHead(head.seq + 1, chain, window_at + end)
            if _HEAD.unpack_from(body)[2] != after.seq:
                return
            yield _Frame(head, after, body, window[chain_at + _CHAIN_BYTES : end])
            head = after

    def _read_to_end(self, start: int) -> bytes:
        parts = []
        while part := os.pread(self._descriptor, CHUNK_BYTES, start):
            parts.append(part)
            start += len(part)
        return b"".join(parts)


def pack_body(seq: int, time_ms: int, payload: Payload) -> bytes:
    """The body of an entry.

    Raises:
        ValueError: the payload is too large for one entry.
    """
    body = _HEAD.pack(BODY_VERSION, payload.TYPE, seq, time_ms) + payload.pack()
    if len(body) > MAX_BODY_BYTES:
        raise ValueError("the payload does not fit into one ledger entry")
    return body


def any_set(content: bytes) -> bool:
    """Whether any byte differs from zero."""
    return content.count(0) != len(content)


def _entry(frame: _Frame) -> LedgerEntry:
    _, entry_type, seq, time_ms = _HEAD.unpack_from(frame.body)
    payload = unpack_payload(entry_type, frame.body[_HEAD.size :])
    leaf = hashlib.sha256(b"\x00" + frame.body).digest()
    return LedgerEntry(seq, time_ms, payload, leaf, frame.after.chain, frame.signature)


def _next_chain(chain: bytes, body: bytes) -> bytes:
    leaf = hashlib.sha256(b"\x00" + body).digest()
    return hashlib.sha256(b"\x01" + chain + leaf).digest()


def _write(descriptor: int, content: bytes, at: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, at)
        content, at = content[written:], at + written
