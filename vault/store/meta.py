"""The meta row: one row (table `meta`, key `meta`) that every transaction of a vault reads first.

    format u16 = 1 | region u8 | incarnation u8 | epoch u32 | access_version u64 | applied u64
    | transaction u64 | time_floor_ms u64 | next_customer_no u64 | reserved_until u64 | checksum 8

The first 16 bytes are what a hot read compares with the bytes it saw last: as long as they are equal,
epoch, policy and principals are unchanged. `applied` is the last ledger entry whose effect the planes hold.
`next_customer_no` is the next number to give out, at most `reserved_until`, below which numbers are reserved
in the ledger. The checksum is BLAKE2b-64 over vault id and row: it finds rot, not forgery.

`transaction` is the number of the LMDB transaction that wrote the row, and every commit writes it. A snapshot
whose own number is another one reads older pages than it says, as after a flipped bit in a root's number.
(A compacting copy numbers its transactions anew, so whoever makes one must write this row again.)
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from vault.errors import IntegrityFailedError, StorageFormatError

META_KEY = b"meta"
META_FORMAT = 1
META_HOT_BYTES = 16  # up to and including access_version
_ROW = struct.Struct(">HBBIQQQQQQ")
_CHECKSUM_BYTES = 8
META_BYTES = _ROW.size + _CHECKSUM_BYTES


@dataclass(slots=True)
class Meta:
    """A copy of the meta row. Mutable: a write session changes it and commits it."""

    region: int
    epoch: int
    incarnation: int = 0
    access_version: int = 1
    applied: int = 0
    transaction: int = 1
    time_floor_ms: int = 0
    next_customer_no: int = 1
    reserved_until: int = 1

    def pack(self, vault_id: bytes) -> bytes:
        """64 bytes."""
        row = _ROW.pack(
            META_FORMAT,
            self.region,
            self.incarnation,
            self.epoch,
            self.access_version,
            self.applied,
            self.transaction,
            self.time_floor_ms,
            self.next_customer_no,
            self.reserved_until,
        )
        return row + _checksum(vault_id, row)

    @classmethod
    def unpack(cls, row: bytes, vault_id: bytes) -> Self:
        """Read a meta row.

        Raises:
            IntegrityFailedError: wrong size or checksum.
            StorageFormatError: a format this program does not know.
        """
        if len(row) != META_BYTES or row[_ROW.size :] != _checksum(vault_id, row[: _ROW.size]):
            raise IntegrityFailedError
        known, region, incarnation, epoch, access, applied, written_by, floor, following, reserved = (
            _ROW.unpack_from(row)
        )
        if known != META_FORMAT:
            raise StorageFormatError("the meta row has an unknown format", format=str(known))
        return cls(region, epoch, incarnation, access, applied, written_by, floor, following, reserved)


class VerifiedMeta:
    """Reads meta rows, and verifies again only one that is not byte for byte the one verified last.

    Any thread may call.
    """

    def __init__(self, vault_id: bytes) -> None:
        self._vault_id = vault_id
        self._last: tuple[bytes, Meta] | None = None

    def unpack(self, row: bytes) -> Meta:
        """As `Meta.unpack`, for readers: the copy is shared, and must not be changed."""
        last = self._last
        if last is not None and last[0] == row:
            return last[1]
        meta = Meta.unpack(row, self._vault_id)
        self._last = row, meta
        return meta


def _checksum(vault_id: bytes, row: bytes) -> bytes:
    return hashlib.blake2b(vault_id + row, digest_size=_CHECKSUM_BYTES).digest()
