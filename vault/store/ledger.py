"""The ledger: an append-only file of signed, hash-chained entries that no restore may undo; an RFC 6962 log.

Its bytes are in `frames`.

Rules:
- Only the holder of the write lock appends or cuts. Entries appended together are written and synced at once.
  What a crash can tear lies within one block, or behind a zero length.
- A torn tail belongs to nobody: its writer acknowledged nothing. It is cut under the lock. Anything else that
  does not verify, or a ledger that ends before an entry known to be durable, is an integrity failure.
- The file is preallocated in zeros, so that an entry finds room on a full disk.
- A chain value vouches for everything before it, so a scan verifies the last signature only.
- The entries themselves tell which key signs from where on. A key is trusted if whoever opened the ledger
  says so, or if the entry that names it is signed with a trusted key.
- Entry n is leaf n - 1 of a Merkle tree, which grows as the file is read: no root and no proof costs a scan.
"""

import bisect
import errno
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from vault.errors import IntegrityFailedError, StorageFullError, StorageStoppedError
from vault.store.entries import EntryType
from vault.store.files import sync_directory
from vault.store.frames import (
    AHEAD_BYTES,
    BLOCK_BYTES,
    CHUNK_BYTES,
    HEAD,
    LENGTH,
    SIGNATURE_BYTES,
    Frame,
    LedgerEntry,
    LedgerHead,
    any_set,
    first_head,
    frames,
    pack_body,
    pack_frame,
    preallocate,
    publish,
    signed_message,
    write_at,
)
from vault.store.signers import LEDGER_FILE, Announcement, Signers, Verify
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import HASH_BYTES, leaf_hash
from vault.tlog.tree import TILE_LEAVES, Tree

__all__ = [
    "AHEAD_BYTES",
    "CHUNK_BYTES",
    "LEDGER_FILE",
    "Ledger",
    "LedgerEntry",
    "LedgerHead",
    "Sign",
    "Verify",
    "ledger_origin",
    "pack_body",
]

Sign = Callable[[bytes, bytes], bytes]
"""Public key and message to the Ed25519 signature (64 bytes) with the private key of it."""
_MARK_EVERY = TILE_LEAVES  # so that a proof reads one run of frames
_MOST_IN_A_BLOCK = BLOCK_BYTES // (HEAD.size + HASH_BYTES + SIGNATURE_BYTES)


def ledger_origin(vault_id: bytes) -> str:
    """The name of a vault's ledger in checkpoints, and of the key that signs them."""
    return f"customervault/{vault_id.hex()}/ledger"


class Ledger:
    """One process's view of the ledger file: remembers how far it has read."""

    def __init__(self, descriptor: int, vault_id: bytes, verify: Verify | None) -> None:
        self._descriptor = descriptor
        self._vault_id = vault_id
        self.verify = verify
        self._signers = Signers(vault_id)
        self._head = first_head(vault_id)
        self._marks = [self._head]
        self._tree = Tree(self._leaves)

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
        trusted: Collection[bytes] | None = None,
        durable_seq: int = 0,
        read_only: bool = False,
    ) -> "Ledger":
        """Opens the file and verifies its chain; with `verify`, also the last signature.

        Args:
            path: the ledger file.
            vault_id: 16 bytes.
            verify: see `Verify`.
            trusted: see `trust`.
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
        ledger._signers.trusted = trusted
        try:
            ledger.refresh(durable_seq)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def twin(self) -> "Ledger":
        """Another view of the same file, as far as this one has read; for a reader without the lock."""
        twin = Ledger(os.dup(self._descriptor), self._vault_id, self.verify)
        twin._signers = self._signers.copy()
        twin._head, twin._marks = self._head, list(self._marks)
        twin._tree = self._tree.copy(twin._leaves)
        return twin

    @property
    def last(self) -> LedgerHead:
        """The last entry read so far; seq 0 for none."""
        return self._head

    @property
    def signer(self) -> bytes:
        """The public key whose private key signs the next entry; empty before any entry names one."""
        return self._signers.newest

    @property
    def signers(self) -> Sequence[Announcement]:
        """What names each key that signed or signs, in order."""
        return self._signers.named

    def trust(self, public_keys: Collection[bytes]) -> None:
        """Says which keys are the ledger's; others count only as far as these announce them."""
        self._signers.trusted = public_keys

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def refresh(self, durable_seq: int) -> bool:
        """Reads what others appended; needs no lock. Returns whether nothing follows the last entry.

        Raises:
            IntegrityFailedError: an entry up to `durable_seq` is missing or fails.
        """
        head = self._head
        if head.seq >= durable_seq and not any(os.pread(self._descriptor, LENGTH.size, head.offset)):
            return True
        frontier, marks = self._tree.frontier(), len(self._marks)
        try:
            self._read_on(durable_seq)
        except BaseException:
            self._head = head
            self._tree.rewind(frontier)
            del self._marks[marks:]
            self._signers.cut(head.seq + 1)
            raise
        following = os.pread(self._descriptor, LENGTH.size, self._head.offset)
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
        if any(tail[: LENGTH.size]) and any_set(tail[room_in_block:]):
            raise IntegrityFailedError(file=LEDGER_FILE)
        self._erase(start, len(tail))
        return True

    def entries(
        self, after_seq: int = 0, types: Collection[EntryType] | None = None
    ) -> Iterator[LedgerEntry]:
        """Entries with a greater number than `after_seq`, up to the last one read, chain verified again.

        With `types`, only those; the others are verified and not unpacked.

        Raises:
            IntegrityFailedError: an entry that was there before fails now.
            StorageFormatError: an entry of an unknown type.
        """
        end = self._head.seq
        start = self._mark_before(after_seq)
        reached = start.seq
        for frame in frames(self._descriptor, start):
            reached = frame.after.seq
            if after_seq < reached <= end and (types is None or frame.type in types):
                yield frame.entry()
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
        for frame in frames(self._descriptor, self._marks[0]):
            self._signers.verify(frame, self.verify)
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
        head, parts, leaves, signers = self._head, [], [], self._signers.copy()
        for body in bodies:
            before, leaf = head, leaf_hash(body)
            leaves.append(leaf)
            head = head.following(body, leaf)
            message = signed_message(self._vault_id, head)
            signature = signers.append(before.chain, body, partial(_signed, sign, message))
            parts.append(pack_frame(body, head.chain, signature))
        start, content = self._head.offset, b"".join(parts)
        preallocate(self._descriptor, head.offset)
        try:
            publish(self._descriptor, start, content)
        except OSError as error:
            self._take_back(start, len(content), error)
        for leaf in leaves:
            self._tree.append(leaf)
        self._head, self._signers = head, signers
        if head.seq // _MARK_EVERY > self._marks[-1].seq // _MARK_EVERY:
            self._marks.append(head)
        return head

    @property
    def vault_id(self) -> bytes:
        """16 bytes."""
        return self._vault_id

    def status(self) -> os.stat_result:
        """What identifies the file."""
        return os.fstat(self._descriptor)

    def content(self, start: int, end: int) -> bytes:
        """The file's bytes from an offset up to another, or up to its end."""
        return os.pread(self._descriptor, end - start, start)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """The ledger's name, size and root, at its last entry read or an earlier size."""
        if size is None:
            size = self._tree.size
        return Checkpoint(ledger_origin(self._vault_id), size, self._tree.root(size))

    def leaf(self, seq: int) -> bytes:
        """The leaf hash of the entry with this number.

        Raises:
            IntegrityFailedError: an entry that was there before fails now.
        """
        return self._tree.leaf(seq - 1)

    def inclusion_proofs(self, seqs: Sequence[int], size: int) -> list[list[bytes]]:
        """Show that the entries with these numbers are in the ledger of `size` entries; see `tlog.merkle`.

        Raises:
            IntegrityFailedError: an entry that was there before fails now.
        """
        return self._tree.inclusion_proofs([seq - 1 for seq in seqs], size)

    def consistency_proof(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """Shows that the ledger of `new_size` entries begins with that of `old_size`, at least one.

        Raises:
            IntegrityFailedError: an entry that was there before fails now.
        """
        return self._tree.consistency_proof(old_size, self._tree.size if new_size is None else new_size)

    def _take_back(self, start: int, size: int, cause: OSError) -> None:
        try:
            self._erase(start, size)
        except OSError as error:
            raise StorageStoppedError("an entry could neither be written nor taken back") from error
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("no room for a ledger entry") from cause
        raise StorageStoppedError("the ledger could not be written") from cause

    def _erase(self, start: int, size: int) -> None:
        write_at(self._descriptor, bytes(size), start)
        os.fdatasync(self._descriptor)

    def _read_on(self, durable_seq: int) -> None:
        """Takes over what follows the head, but for frames at the end whose signature is not whole."""
        started = self._head.seq
        newest: deque[Frame] = deque()
        for frame in frames(self._descriptor, self._head):
            newest.append(frame)
            self._signers.take(frame)
            if len(newest) > _MOST_IN_A_BLOCK:
                self._take_over(newest.popleft())
        while newest and not self._is_signed(newest[-1]):
            self._signers.cut(newest.pop().after.seq)
        if not newest and self._head.seq > started:
            raise IntegrityFailedError(file=LEDGER_FILE)
        for frame in newest:
            self._take_over(frame)
        if self._head.seq < durable_seq:
            raise IntegrityFailedError(file=LEDGER_FILE)

    def _take_over(self, frame: Frame) -> None:
        self._head = frame.after
        self._tree.append(frame.leaf)
        if self._head.seq % _MARK_EVERY == 0:
            self._marks.append(self._head)

    def _is_signed(self, frame: Frame) -> bool:
        if self.verify is None:
            return True
        try:
            self._signers.verify(frame, self.verify)
        except IntegrityFailedError:
            return False
        return True

    def _leaves(self, start: int, end: int) -> list[bytes]:
        """Leaf hashes of the entries after number `start`, up to number `end`."""
        found = []
        for frame in frames(self._descriptor, self._mark_before(start)):
            if frame.after.seq > start:
                found.append(frame.leaf)
            if frame.after.seq >= end:
                return found
        raise IntegrityFailedError(file=LEDGER_FILE)

    def _mark_before(self, seq: int) -> LedgerHead:
        """A head known, at or before the entry with this number."""
        return self._marks[bisect.bisect_right(self._marks, seq, key=lambda mark: mark.seq) - 1]

    def _read_to_end(self, start: int) -> bytes:
        parts = []
        while part := os.pread(self._descriptor, CHUNK_BYTES, start):
            parts.append(part)
            start += len(part)
        return b"".join(parts)


def _signed(sign: Sign, message: bytes, public_key: bytes) -> bytes:
    return sign(public_key, message)
