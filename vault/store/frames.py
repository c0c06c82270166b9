"""The ledger's bytes: frames one after the other, in a file that is preallocated in zeros.

    frame      length u32 | body | chain 32 | signature 64        length counts the body; 0 ends the ledger
    body       version u8 = 1 | type u8 | seq u64 | time_ms u64 | payload            seq starts at 1
    leaf       SHA-256(0x00 | body), the leaf hash of RFC 6962
    chain_0    SHA-256("customervault ledger v1" | vault_id)
    chain_i    SHA-256(0x01 | chain_(i-1) | leaf_i)
    signature  Ed25519 over "customervault ledger v1" | 0x00 | vault_id | seq u64 | chain_i, with the key that
               GENESIS names, or the last SIGNING_KEY_CHANGED before this entry; see `signers`

Frames that are written together become visible at once, even if power is lost while sectors are written:
unless one sector holds them all, several appear by their first length, written and synced last. So does a
single one that does not fit into one 4 KiB block; a smaller one that is torn fails its chain or signature.
"""

import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.errors import StorageFormatError, StorageFullError, StorageStoppedError
from vault.store.entries import AnyPayload, Payload, unpack_payload
from vault.tlog.merkle import HASH_BYTES, leaf_hash

BLOCK_BYTES: Final = 4096
SECTOR_BYTES: Final = 512  # never torn
CHUNK_BYTES: Final = 1 << 20  # preallocated at a time
AHEAD_BYTES: Final = 256 << 10  # kept preallocated behind the last entry
MAX_BODY_BYTES: Final = 1 << 20
BODY_VERSION: Final = 1
SIGNATURE_BYTES: Final = 64
LENGTH: Final = struct.Struct(">I")
HEAD: Final = struct.Struct(">BBQQ")
_DOMAIN = b"customervault ledger v1"
_READ_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Number and chain value of an entry, and the offset in bytes at which the next one begins."""

    seq: int
    chain: bytes
    offset: int

    def following(self, body: bytes, leaf: bytes) -> "LedgerHead":
        """The head after one more entry."""
        size = LENGTH.size + len(body) + HASH_BYTES + SIGNATURE_BYTES
        return LedgerHead(self.seq + 1, _next_chain(self.chain, leaf), self.offset + size)


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
class Frame:
    """One frame, between the heads before and after it; its chain verified, its signature not."""

    before: LedgerHead
    after: LedgerHead
    body: bytes
    leaf: bytes
    signature: bytes

    @property
    def type(self) -> int:
        """The type of the entry in it; see `entries`."""
        return self.body[1]

    def entry(self) -> LedgerEntry:
        """The entry in it.

        Raises:
            StorageFormatError: of an unknown type.
            IntegrityFailedError: its payload is malformed.
        """
        _, entry_type, seq, time_ms = HEAD.unpack_from(self.body)
        payload = unpack_payload(entry_type, self.body[HEAD.size :])
        return LedgerEntry(seq, time_ms, payload, self.leaf, self.after.chain, self.signature)


def first_head(vault_id: bytes) -> LedgerHead:
    """The head of an empty ledger."""
    return LedgerHead(0, hashlib.sha256(_DOMAIN + vault_id).digest(), 0)


def signed_message(vault_id: bytes, head: LedgerHead) -> bytes:
    """What the signature of the entry at `head` is over."""
    return _DOMAIN + b"\0" + vault_id + head.seq.to_bytes(8, "big") + head.chain


def pack_body(seq: int, time_ms: int, payload: Payload) -> bytes:
    """The body of an entry.

    Raises:
        ValueError: the payload is too large for one entry.
    """
    body = HEAD.pack(BODY_VERSION, payload.TYPE, seq, time_ms) + payload.pack()
    if len(body) > MAX_BODY_BYTES:
        raise ValueError("the payload does not fit into one ledger entry")
    return body


def pack_frame(body: bytes, chain: bytes, signature: bytes) -> bytes:
    """A whole frame."""
    return b"".join((LENGTH.pack(len(body)), body, chain, signature))


def frames(descriptor: int, start: LedgerHead) -> Iterator[Frame]:
    """Frames of a file after `start` whose chain verifies; ends at the first that does not.

    Raises:
        StorageFormatError: an entry of an unknown version.
    """
    window, window_at, head = b"", start.offset, start
    while True:
        at = head.offset - window_at
        size = int.from_bytes(window[at : at + LENGTH.size], "big")
        end = at + LENGTH.size + size + HASH_BYTES + SIGNATURE_BYTES
        if end > len(window):
            if size > MAX_BODY_BYTES:
                return
            window_at, at = head.offset, 0
            window = os.pread(descriptor, max(end - at + _READ_BYTES, _READ_BYTES), window_at)
            size = int.from_bytes(window[: LENGTH.size], "big")
            end = LENGTH.size + size + HASH_BYTES + SIGNATURE_BYTES
        if not HEAD.size <= size <= MAX_BODY_BYTES or end > len(window):
            return
        chain_at = at + LENGTH.size + size
        body, signature_at = window[at + LENGTH.size : chain_at], chain_at + HASH_BYTES
        leaf = leaf_hash(body)
        after = head.following(body, leaf)
        if window[chain_at:signature_at] != after.chain:
            return
        if body[0] != BODY_VERSION:
            raise StorageFormatError("the ledger holds an entry of an unknown version", version=str(body[0]))
        if HEAD.unpack_from(body)[2] != after.seq:
            return
        yield Frame(head, after, body, leaf, window[signature_at:end])
        head = after


def publish(descriptor: int, start: int, content: bytes) -> None:
    """Writes frames at an offset where zeros are, durably, and so that they appear at once."""
    first = LENGTH.size + int.from_bytes(content[: LENGTH.size], "big") + HASH_BYTES + SIGNATURE_BYTES
    unit = BLOCK_BYTES if first >= len(content) else SECTOR_BYTES
    if start // unit == (start + len(content) - 1) // unit:
        write_at(descriptor, content, start)
    else:
        write_at(descriptor, content[LENGTH.size :], start + LENGTH.size)
        os.fdatasync(descriptor)
        write_at(descriptor, content[: LENGTH.size], start)
    os.fdatasync(descriptor)


def preallocate(descriptor: int, end: int) -> None:
    """Sees to it that frames up to `end` find room, and some beyond.

    Raises:
        StorageFullError: no room for the frames.
        StorageStoppedError: the file cannot be extended.
    """
    size = os.fstat(descriptor).st_size
    if size >= end + AHEAD_BYTES:
        return
    wanted = -(-(end + AHEAD_BYTES) // CHUNK_BYTES) * CHUNK_BYTES
    try:
        os.posix_fallocate(descriptor, 0, wanted)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise StorageStoppedError("the ledger could not be extended") from error
        if size < end:
            raise StorageFullError("no room for a ledger entry") from error


def write_at(descriptor: int, content: bytes, at: int) -> None:
    """Writes all of `content` at an offset."""
    while content:
        written = os.pwrite(descriptor, content, at)
        content, at = content[written:], at + written


def any_set(content: bytes) -> bool:
    """Whether any byte differs from zero."""
    return content.count(0) != len(content)


def _next_chain(chain: bytes, leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + chain + leaf).digest()
