"""What the tests of the store write: a vault with made-up keys, and customers that keep its invariants."""

import hashlib
import hmac
from pathlib import Path

from vault.errors import IntegrityFailedError
from vault.store.entries import Genesis, Shred
from vault.store.layout import (
    DEK_ROW_BYTES,
    CustomerRow,
    RowState,
    ValueHeader,
    ValueRecord,
    WrappedKey,
    customer_key,
    tombstone,
    value_key,
)
from vault.store.session import WriteSession
from vault.store.sheet import SealedSheet
from vault.store.store import Store

VAULT_ID = bytes(range(16))
REGION = 3
SIGNING_KEY = b"only a test's key"


def sign(public_key: bytes, message: bytes) -> bytes:
    """64 bytes that only this key makes: the store never looks inside a signature."""
    return hmac.digest(SIGNING_KEY + public_key, message, hashlib.sha512)


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    if not hmac.compare_digest(signature, sign(public_key, message)):
        raise IntegrityFailedError


def make_vault(path: Path) -> None:
    with Store.create(path, VAULT_ID, REGION, sign=sign) as store:
        with store.write() as session:
            session.append(Genesis(VAULT_ID, bytes(32)))
            session.put_secret("row-mac", b"wrapped")
            session.commit()
        store.finish_creation()


def dek_row() -> bytes:
    return WrappedKey(bytes(8), bytes(24), bytes(DEK_ROW_BYTES - 33)).pack()


def record(content: bytes = b"", **header: int) -> bytes:
    fields = {"suite": 1, "field_class": 4, "flags": 0, "version": 1, "dek_generation": 1} | header
    return ValueRecord(ValueHeader(**fields), bytes(24), content + bytes(16)).pack()


def index_hash(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def add_customer(session: WriteSession, values: int = 2) -> int:
    """An active customer with `values` values, whole in every plane."""
    number = session.next_customer_no()
    row = CustomerRow(
        state=RowState.ACTIVE,
        dek_generation=1,
        row_version=1,
        next_counter=values + 1,
        counter_incarnation=0,
        created_ms=session.now_ms,
        jurisdiction="DE",
    )
    session.put_dek(REGION, number, 1, dek_row())
    session.index_put(index_hash(number), customer_key(REGION, number))
    session.put_value(value_key(REGION, number), row.pack())
    for counter in range(1, values + 1):
        session.put_value(value_key(REGION, number, counter), record())
    session.put_sheet(customer_key(REGION, number), SealedSheet(1, bytes(24), bytes(16)).pack())
    return number


def shred_customer(session: WriteSession, number: int) -> int:
    """Appends the entry and does what it says; returns the entry's number."""
    generations = tuple(session.generations(REGION, number))
    seq = session.append(Shred(number.to_bytes(16, "big"), REGION, number, generations, 2, bytes(32), 1))
    finish_shred(session, number, seq)
    return seq


def finish_shred(session: WriteSession, number: int, seq: int) -> None:
    """Idempotent, as recovery needs it."""
    for generation in session.generations(REGION, number):
        session.delete_dek(REGION, number, generation)
    session.index_delete_customer(REGION, number)
    raw = session.get(value_key(REGION, number))
    if raw is not None and not CustomerRow.unpack(raw).shredded:
        session.delete_customer_values(REGION, number)
        session.delete_sheet(customer_key(REGION, number))
        session.put_value(value_key(REGION, number), tombstone(CustomerRow.unpack(raw), seq).pack())


def recover(store: Store) -> int:
    """Finishes pending shreds; returns how many entries were pending."""
    with store.write("erase") as session:
        pending = list(session.pending_entries())
        for entry in pending:
            if isinstance(entry.payload, Shred):
                finish_shred(session, entry.payload.customer_no, entry.seq)
        session.commit()
    return len(pending)
