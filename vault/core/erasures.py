"""The record of shreds: one row of `erasures` for each, by shred id; and how erasures are named.

    ledger_seq u64 | effective_ms u64 | region u8 | customer_no u40 | values u32 | n u16 | commitment 32
    | n x generation u16

It repeats what the shred's ledger entry says, so that a page of erasures and their certificates need not
look for it there. Of values that were deleted or corrected there are no rows: the ledger tells of them.

    shr_ | shred id, 32 hex digits                       a customer
    val_ | region and number 6, ledger entry u64, hex    what went of one customer under one of its keys
"""

import struct
from dataclasses import dataclass
from typing import Final

from vault.core.rows import Rows
from vault.erasure.partial import Place
from vault.errors import ErasureUnknownError, IntegrityFailedError
from vault.store.entries import Shred
from vault.store.layout import customer_key
from vault.store.snapshot import ValuesReader

_ROW: Final = struct.Struct(">QQ6sIH32s")
_SHRED_ID: Final = "shr_"
_PARTIAL_ID: Final = "val_"
_PARTIAL_ID_BYTES: Final = 14
ERASURES: Final = "erasures"


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """One row; `generations` are those whose keys were still wrapped."""

    ledger_seq: int
    effective_ms: int
    region: int
    customer_no: int
    values: int
    generations: tuple[int, ...]
    commitment: bytes

    @classmethod
    def of(cls, seq: int, time_ms: int, entry: Shred) -> "ErasureRow":
        """The row of a ledger entry."""
        return cls(
            ledger_seq=seq,
            effective_ms=time_ms,
            region=entry.region,
            customer_no=entry.customer_no,
            values=entry.values,
            generations=entry.generations,
            commitment=entry.commitment,
        )

    def pack(self) -> bytes:
        """The row's body."""
        customer, count = customer_key(self.region, self.customer_no), len(self.generations)
        head = _ROW.pack(
            self.ledger_seq, self.effective_ms, customer, self.values, count, self.commitment
        )  # fmt: skip
        return head + struct.pack(f">{count}H", *self.generations)

    @classmethod
    def unpack(cls, body: bytes) -> "ErasureRow":
        """Reads a row's body.

        Raises:
            IntegrityFailedError: `pack` cannot have written it.
        """
        if len(body) < _ROW.size:
            raise IntegrityFailedError
        seq, effective_ms, customer, values, count, commitment = _ROW.unpack_from(body)
        if len(body) != _ROW.size + 2 * count:
            raise IntegrityFailedError
        generations = struct.unpack_from(f">{count}H", body, _ROW.size)
        number = int.from_bytes(customer[1:], "big")
        return cls(seq, effective_ms, customer[0], number, values, generations, commitment)


def shred_id_text(shred_id: bytes) -> str:
    """`shr_` and 32 hex digits."""
    return _SHRED_ID + shred_id.hex()


def shred_id_bytes(text: str) -> bytes:
    """The 16 bytes of a shred id; empty for a text that is none."""
    try:
        return bytes.fromhex(text.removeprefix(_SHRED_ID))
    except ValueError:
        return b""


def read_erasure(rows: Rows, reader: ValuesReader, shred_id: bytes) -> ErasureRow:
    """The row of a shred.

    Raises:
        ErasureUnknownError: there is none of that id.
    """
    body = rows.get(reader, ERASURES, shred_id) if shred_id else None
    if body is None:
        raise ErasureUnknownError("no such erasure")
    return ErasureRow.unpack(body)


def partial_id_text(region: int, place: Place) -> str:
    """`val_` and 28 hex digits."""
    return _PARTIAL_ID + (customer_key(region, place.customer_no) + place.seq.to_bytes(8, "big")).hex()


def partial_id_place(text: str) -> tuple[int, Place] | None:
    """Region and place that such a name stands for; None for another text."""
    try:
        name = bytes.fromhex(text.removeprefix(_PARTIAL_ID)) if text.startswith(_PARTIAL_ID) else b""
    except ValueError:
        return None
    if len(name) != _PARTIAL_ID_BYTES:
        return None
    return name[0], Place(int.from_bytes(name[6:], "big"), int.from_bytes(name[1:6], "big"))
