"""The offline check: every invariant of the stores that shows without keys.

    ledger    chain, numbers, signatures where `verify` is given; nothing behind `applied` is missing
    meta      checksum, region, epoch; numbers given out < next_customer_no <= what the ledger has reserved
    values    every value, sheet and consent event has its customer; an active customer has a sheet; a
              shredded one has none of them, and its shred is in the ledger; whom the ledger says shredded, is
    consents  a customer's events are numbered without gaps, each under a DEK that is there
    keyring   an active customer has the DEK of its generation; a shredded one has none
    index     rows point at customers that are not shredded, at most one to each; so do those of surrogates

Severity `error`: an invariant is broken. `note`: what a crash leaves behind and the next write session or
rotation clears, adopts or finishes.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from vault.errors import VaultError
from vault.store.consents import SealedEvent, seq_of
from vault.store.entries import EpochCurrent, NumbersReserved, Shred, Void
from vault.store.files import read_current
from vault.store.layout import (
    CUSTOMER_KEY_BYTES,
    CUSTOMER_ROW_BYTES,
    DEK_ROW_BYTES,
    ROW_FORMAT,
    ROW_STATE_AT,
    CustomerRow,
    RowState,
    ValueRecord,
    split_customer_key,
    split_value_key,
    value_key,
)
from vault.store.meta import Meta
from vault.store.searchnotes import PREFIX_BYTES
from vault.store.sheet import SealedSheet
from vault.store.snapshot import KeyringSnapshot, Snapshot
from vault.store.store import Store

ERROR: Final = "error"
NOTE: Final = "note"
_CUSTOMER_ROW = bytes(3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. It names customers by number, never by personal data."""

    severity: str
    code: str
    plane: str
    customer_no: int = 0  # 0: not about one customer
    text: str = ""

    @property
    def detail(self) -> str:
        """The finding's particulars as a line of text."""
        parts = [f"customer {self.customer_no}"] if self.customer_no else []
        return ": ".join([*parts, self.text] if self.text else parts)


@dataclass(frozen=True, slots=True)
class _Ledger:
    last_seq: int
    reserved_until: int
    shreds: dict[int, int]  # customer number by entry number
    epoch: int  # 0: no entry says


def inspect(store: Store) -> Iterator[Finding]:
    """Checks a store that nobody writes to; memory grows with the shreds and, by bits, with the numbers."""
    try:
        yield from _check_all(store)
    except VaultError as error:
        yield Finding(ERROR, error.reason.value, "values", text=f"the check could not go on: {error}")


def _check_all(store: Store) -> Iterator[Finding]:
    with store.snapshot() as snapshot, store.keyring() as keys:
        try:
            meta = snapshot.meta
        except VaultError as error:
            yield Finding(ERROR, "META_DAMAGED", "values", text=str(error))
            return
        ledger = yield from _check_ledger(store)
        if ledger is None:
            return
        yield from _check_meta(store, meta, ledger)
        yield from _check_customers(snapshot, keys, meta, ledger)
        yield from _check_shreds(snapshot, keys, meta, ledger)
        yield from _check_sheets(snapshot)
        yield from _check_deks(snapshot, keys, meta)
        yield from _check_index(snapshot, keys, meta)
        yield from _check_surrogates(snapshot, keys)
        yield from _check_search(snapshot, keys)


def _check_ledger(store: Store) -> Generator[Finding, None, _Ledger | None]:
    last_seq = 0
    entered: dict[int, int] = {}
    reserved_until, shreds = 1, {}
    try:
        for entry in store.ledger():
            last_seq = entry.seq
            match entry.payload:
                case NumbersReserved(up_to=up_to):
                    reserved_until = max(reserved_until, up_to)
                case Shred(customer_no=customer_no):
                    shreds[entry.seq] = customer_no
                case EpochCurrent(epoch=current):
                    entered[entry.seq] = current
                case Void(seq=seq):
                    entered.pop(seq, None)
        if store.verify is not None:
            store.verify_ledger()
    except VaultError as error:
        yield Finding(ERROR, "LEDGER_DAMAGED", "ledger", text=f"after entry {last_seq}: {error}")
        return None
    epoch = max(entered.values(), default=0)
    return _Ledger(last_seq, reserved_until, shreds, epoch)


def _check_meta(store: Store, meta: Meta, ledger: _Ledger) -> Iterator[Finding]:
    if meta.region != store.region:
        yield Finding(ERROR, "REGION_WRONG", "values", text=f"{meta.region} instead of {store.region}")
    if ledger.last_seq > meta.applied:
        waiting = ledger.last_seq - meta.applied
        yield Finding(NOTE, "ENTRIES_PENDING", "ledger", text=f"{waiting} entries wait for a write session")
    if not meta.next_customer_no <= meta.reserved_until <= ledger.reserved_until:
        numbers = (
            f"next {meta.next_customer_no}, reserved {meta.reserved_until}, ledger {ledger.reserved_until}"
        )
        yield Finding(ERROR, "NUMBERS_WRONG", "values", text=numbers)
    current = read_current(store.path)
    if current != meta.epoch:
        severity = NOTE if current > meta.epoch else ERROR
        yield Finding(severity, "EPOCH_WRONG", "values", text=f"meta says {meta.epoch}, CURRENT {current}")
    if ledger.epoch > current:
        yield Finding(ERROR, "EPOCH_WRONG", "ledger", text=f"ledger says {ledger.epoch}, CURRENT {current}")


def _check_customers(
    snapshot: Snapshot, keys: KeyringSnapshot, meta: Meta, ledger: _Ledger
) -> Iterator[Finding]:
    for customer, rows in groupby(snapshot.rows("values"), key=lambda item: item[0][:CUSTOMER_KEY_BYTES]):
        try:
            region, customer_no = split_customer_key(customer)
            if region != meta.region or not 0 < customer_no < meta.next_customer_no:
                yield Finding(ERROR, "NUMBER_NOT_GIVEN_OUT", "values", customer_no)
            yield from _check_customer(snapshot, keys, customer, list(rows), ledger)
        except VaultError as error:
            yield Finding(
                ERROR, error.reason.value, "values", int.from_bytes(customer[1:], "big"), str(error)
            )


def _check_shreds(
    snapshot: Snapshot, keys: KeyringSnapshot, meta: Meta, ledger: _Ledger
) -> Iterator[Finding]:
    """A shred that took effect stays: older genuine rows put back in its place are found here."""
    for seq, customer_no in ledger.shreds.items():
        if seq > meta.applied:
            continue
        row = snapshot.get(value_key(meta.region, customer_no))
        if row is None or not _is_shredded(row):
            yield Finding(ERROR, "SHRED_UNDONE", "values", customer_no, f"no tombstone of entry {seq}")
        if keys.generations(meta.region, customer_no):
            yield Finding(ERROR, "SHRED_UNDONE", "keyring", customer_no, f"a key after entry {seq}")


def _check_customer(
    snapshot: Snapshot,
    keys: KeyringSnapshot,
    customer: bytes,
    rows: list[tuple[bytes, bytes]],
    ledger: _Ledger,
) -> Iterator[Finding]:
    region, customer_no = split_customer_key(customer)
    if rows[0][0] != customer + _CUSTOMER_ROW:
        yield Finding(ERROR, "CUSTOMER_ROW_MISSING", "values", customer_no, f"{len(rows)} values")
        return
    row, values = CustomerRow.unpack(rows[0][1]), rows[1:]
    generations = keys.generations(region, customer_no)
    sheet, events = snapshot.sheet(customer), list(snapshot.consents_of(customer))
    if row.shredded:
        for left, plane, what in (
            (len(values), "values", "values"),
            (int(sheet is not None), "values", "sheets"),
            (len(events), "values", "consent events"),
            (len(generations), "keyring", "keys"),
        ):
            if left:
                yield Finding(ERROR, "SHRED_INCOMPLETE", plane, customer_no, f"{left} {what} left")
        if ledger.shreds.get(row.shred_seq) != customer_no:
            yield Finding(ERROR, "SHRED_NOT_IN_LEDGER", "ledger", customer_no)
        return
    if row.dek_generation not in generations:
        yield Finding(ERROR, "DEK_MISSING", "keyring", customer_no, f"generation {row.dek_generation}")
    if any(generation > row.dek_generation for generation in generations):
        yield Finding(NOTE, "DEK_ORPHAN", "keyring", customer_no, "a generation not in use")
    if sheet is None:
        yield Finding(ERROR, "SHEET_MISSING", "values", customer_no)
    elif SealedSheet.unpack(sheet).dek_generation not in generations:
        yield Finding(ERROR, "DEK_MISSING", "keyring", customer_no, "of the sheet")
    for key, record in values:
        yield from _check_value(key, record, row, generations)
    for expected, (key, sealed) in enumerate(events, 1):
        if seq_of(key) != expected:
            yield Finding(ERROR, "CONSENT_EVENT_MISSING", "values", customer_no, f"event {expected}")
            break
        if SealedEvent.unpack(sealed).dek_generation not in generations:
            yield Finding(ERROR, "DEK_MISSING", "keyring", customer_no, f"of consent event {expected}")


def _check_value(key: bytes, record: bytes, row: CustomerRow, generations: list[int]) -> Iterator[Finding]:
    _, customer_no, value_no = split_value_key(key)
    header = ValueRecord.unpack(record).header
    incarnation, counter = divmod(value_no, 1 << 16)
    if (incarnation, counter) >= (row.counter_incarnation, row.next_counter):
        yield Finding(ERROR, "NUMBER_NOT_GIVEN_OUT", "values", customer_no, f"value {value_no}")
    if header.dek_generation not in generations:
        yield Finding(ERROR, "DEK_MISSING", "keyring", customer_no, f"of value {value_no}")


def _check_sheets(snapshot: Snapshot) -> Iterator[Finding]:
    for customer, _ in snapshot.rows("sheets"):
        if snapshot.get(customer + _CUSTOMER_ROW) is None:
            yield Finding(ERROR, "CUSTOMER_ROW_MISSING", "values", _number(customer), "its sheet is there")
    for customer, _ in groupby(snapshot.rows("consents"), key=lambda item: item[0][:CUSTOMER_KEY_BYTES]):
        if snapshot.get(customer + _CUSTOMER_ROW) is None:
            yield Finding(
                ERROR, "CUSTOMER_ROW_MISSING", "values", _number(customer), "its consents are there"
            )


def _check_deks(snapshot: Snapshot, keys: KeyringSnapshot, meta: Meta) -> Iterator[Finding]:
    for key, row in keys.deks():
        customer_no = _number(key)
        if len(row) != DEK_ROW_BYTES or row[0] != ROW_FORMAT:
            yield Finding(ERROR, "INTEGRITY_FAILED", "keyring", customer_no)
        if snapshot.get(key[:CUSTOMER_KEY_BYTES] + _CUSTOMER_ROW) is None:
            if customer_no < meta.next_customer_no:
                yield Finding(ERROR, "CUSTOMER_LOST", "values", customer_no, "its key is there")
            else:
                yield Finding(NOTE, "DEK_ORPHAN", "keyring", customer_no, "of a write that did not finish")


def _check_surrogates(snapshot: Snapshot, keys: KeyringSnapshot) -> Iterator[Finding]:
    for _, value in keys.surrogates():
        region, customer_no, _ = split_value_key(value)
        row = snapshot.get(value_key(region, customer_no))
        if row is None:
            yield Finding(NOTE, "INDEX_ORPHAN", "index", customer_no, "a surrogate of nobody")
        elif _is_shredded(row):
            yield Finding(ERROR, "SHRED_INCOMPLETE", "index", customer_no, "a surrogate is left")


def _check_search(snapshot: Snapshot, keys: KeyringSnapshot) -> Iterator[Finding]:
    left: dict[int, int] = {}
    for found in keys.search_rows():
        customer = found[PREFIX_BYTES:]
        row = snapshot.get(customer + _CUSTOMER_ROW)
        if row is None or _is_shredded(row):
            left[_number(customer)] = left.get(_number(customer), 0) + 1
    for customer_no, count in left.items():
        yield Finding(NOTE, "INDEX_ORPHAN", "index", customer_no, f"{count} search rows of nobody")


def _check_index(snapshot: Snapshot, keys: KeyringSnapshot, meta: Meta) -> Iterator[Finding]:
    seen = bytearray((meta.next_customer_no >> 3) + 1)
    for _, customer in keys.index_rows():
        customer_no = _number(customer)
        row = snapshot.get(customer + _CUSTOMER_ROW)
        if row is None:
            yield Finding(NOTE, "INDEX_ORPHAN", "index", customer_no, "a row to adopt or remove")
            continue
        if _is_shredded(row):
            yield Finding(ERROR, "SHRED_INCOMPLETE", "index", customer_no, "its index row is left")
        at, bit = customer_no >> 3, 1 << (customer_no & 7)
        if at < len(seen):
            if seen[at] & bit:
                yield Finding(ERROR, "INDEX_TWICE", "index", customer_no)
            seen[at] |= bit
    for key, row in snapshot.customers():
        customer_no = _number(key)
        indexed = customer_no >> 3 < len(seen) and seen[customer_no >> 3] & 1 << (customer_no & 7)
        if not indexed and not _is_shredded(row):
            yield Finding(ERROR, "INDEX_MISSING", "index", customer_no)


def _number(key: bytes) -> int:
    return int.from_bytes(key[1:CUSTOMER_KEY_BYTES], "big")


def _is_shredded(row: bytes) -> bool:
    return len(row) == CUSTOMER_ROW_BYTES and row[ROW_STATE_AT] == RowState.SHREDDED
