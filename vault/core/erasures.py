"""The record of shreds: one row of `erasures` for each, by shred id; and how erasures are named.

    ledger_seq u64 | effective_ms u64 | region u8 | customer_no u40 | values u32 | n u16 | commitment 32
    | n x generation u16
    | only where it waits for a legal hold: principal_id u32 | kept u32 | until_ms u64 (0: nobody knows)

It repeats what the shred's ledger entry says, so that a page of erasures and their certificates need not
look for it there. As long as it waits, that entry is the first ERASURE_WAITS, and `generations` are those
that open what went already. Of values that were deleted or corrected there are no rows: the ledger tells of
them.

    shr_ | shred id, 32 hex digits                       a customer
    val_ | region and number 6, ledger entry u64, hex    what went of one customer under one of its keys
"""

import struct
from dataclasses import dataclass
from typing import Final

from vault.core.holding import kept_until_ms, kept_values
from vault.core.opencustomer import OpenCustomer
from vault.core.rows import Rows
from vault.erasure.partial import Place
from vault.errors import ErasureUnknownError, IntegrityFailedError
from vault.store.entries import ErasureWaits, Shred
from vault.store.layout import customer_key
from vault.store.snapshot import ValuesReader

_ROW: Final = struct.Struct(">QQ6sIH32s")
_WAITING: Final = struct.Struct(">IIQ")
_COUNT_AT: Final = 26  # of `n`
_SHRED_ID: Final = "shr_"
_PARTIAL_ID: Final = "val_"
_PARTIAL_ID_BYTES: Final = 14
ERASURES: Final = "erasures"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of an erasure that waits for a hold: who asked for it, what is kept and until when."""

    principal_id: int
    kept: int = 0
    until_ms: int = 0

    @classmethod
    def of(cls, customer: OpenCustomer, principal_id: int, now_ms: int) -> "Waiting":
        """What is kept of a customer now."""
        kept = len(kept_values(customer, now_ms))
        return cls(principal_id, kept, kept_until_ms(customer.terms, now_ms))


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
    waiting: Waiting | None = None

    @classmethod
    def of(
        cls, seq: int, time_ms: int, entry: Shred | ErasureWaits, waiting: Waiting | None = None
    ) -> "ErasureRow":
        """The row of a ledger entry."""
        return cls(
            ledger_seq=seq,
            effective_ms=time_ms,
            region=entry.region,
            customer_no=entry.customer_no,
            values=entry.values,
            generations=entry.generations,
            commitment=entry.commitment,
            waiting=waiting,
        )

    @property
    def kept(self) -> int:
        """How many values a legal hold keeps."""
        return self.waiting.kept if self.waiting is not None else 0

    def pack(self) -> bytes:
        """The row's body."""
        customer, count = customer_key(self.region, self.customer_no), len(self.generations)
        head = _ROW.pack(
            self.ledger_seq, self.effective_ms, customer, self.values, count, self.commitment
        )  # fmt: skip
        tail = b""
        if self.waiting is not None:
            tail = _WAITING.pack(self.waiting.principal_id, self.waiting.kept, self.waiting.until_ms)
        return head + struct.pack(f">{count}H", *self.generations) + tail

    @classmethod
    def unpack(cls, body: bytes) -> "ErasureRow":
        """Reads a row's body.

        Raises:
            IntegrityFailedError: `pack` cannot have written it.
        """
        if len(body) < _ROW.size:
            raise IntegrityFailedError
        seq, effective_ms, customer, values, count, commitment = _ROW.unpack_from(body)
        end = _ROW.size + 2 * count
        if len(body) not in (end, end + _WAITING.size):
            raise IntegrityFailedError
        generations = struct.unpack_from(f">{count}H", body, _ROW.size)
        number = int.from_bytes(customer[1:], "big")
        waiting = Waiting(*_WAITING.unpack_from(body, end)) if len(body) > end else None
        return cls(seq, effective_ms, customer[0], number, values, generations, commitment, waiting)


def seems_waiting(body: bytes) -> bool:
    """Whether a row is as long as one that waits; said without reading it, for many rows."""
    count = int.from_bytes(body[_COUNT_AT : _COUNT_AT + 2], "big")
    return len(body) >= _ROW.size + 2 * count + _WAITING.size


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
