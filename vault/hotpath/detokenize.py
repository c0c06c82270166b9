"""Opens a batch of tokens. Flat on purpose: this loop is what the vault is measured by.

A batch, in order:
1. All tokens are deciphered in one call. A guess fails the 48-bit check here: no read of the store.
2. One read transaction, begun after the request arrived. Its first read is the meta row, which
   carries epoch and access version: a changed policy or a revoked principal takes effect here.
3. For each run of one customer's tokens the customer row is read and compared with the bytes that
   were last verified. A shred rewrites that row, so a shredded customer never passes.
4. For each value: one record, one look-up in the decision table, one open.
5. One audit record, accepted by the kernel before any value is returned. If that fails, none is.

Rules:
- Batches of one process run one after the other (`_turn`): slots of the DEK cache are safe to use
  without pins, and threads do not fight over the interpreter between libsodium calls.
- Nothing here writes to the store, and nothing reads the keyring while the cache is warm.
- A missing DEK is judged under the write lock (`Judge`), for a shred may be half way through.
- The associated data of a record is vault id | key | header, so a record moved to another customer,
  field or vault does not open.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from vault.audit.records import (
    MASKED,
    PLAIN,
    ReadAction,
    encode_read,
    reason_code,
    reason_of,
    unknown_counts,
)
from vault.audit.segments import SegmentWriter
from vault.crypto.hazmat import Opener, constant_time_equal
from vault.crypto.suites import XCHACHA20_POLY1305, suite_of_record
from vault.crypto.tokens import TokenCodec
from vault.errors import (
    DataLossError,
    DeadlineExceededError,
    IntegrityFailedError,
    OverloadedError,
    Reason,
    ShreddedError,
    VaultError,
)
from vault.hotpath.dekcache import CachedDek, DekCache
from vault.model.access import Denial, Reveal
from vault.model.requests import Caller, Revealed
from vault.policy.decision import DENIALS, AccessTable
from vault.store.layout import HEADER, CustomerRow, RowState, ValueFlag
from vault.store.snapshot import Snapshot
from vault.store.store import Store

_NONCE: Final = slice(HEADER.size, HEADER.size + 24)
_CIPHERTEXT: Final = slice(HEADER.size + 24, None)
_ROW: Final = bytes(3)  # value_no of the customer row


AccessOf = Callable[[Snapshot], AccessTable]
Judge = Callable[[bytes], None]
"""Judges a customer (6 bytes) without a DEK under the write lock: raises ShreddedError or
DataLossError, or returns when the DEK is there after all."""
Masks = Callable[[int, str], str]


class HotPath:
    """Detokenizes for one process."""

    def __init__(
        self,
        *,
        store: Store,
        codec: TokenCodec,
        cache: DekCache,
        audit: SegmentWriter,
        vault_id: bytes,
        region: int,
        access_of: AccessOf,
        judge: Judge,
        tombstone_mac: Callable[[bytes], bytes],
        mask: Masks,
        suite: int,
        reply_bytes: int,
        waiting_reads: int,
    ) -> None:
        self._store = store
        self._codec = codec
        self._cache = cache
        self._audit = audit
        self._vault_id = vault_id
        self._region = region
        self._access_of = access_of
        self._judge = judge
        self._tombstone_mac = tombstone_mac
        self._mask = mask
        self._suite = suite
        self._reply_bytes = reply_bytes
        self._opener = Opener()
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(waiting_reads)

    def detokenize(
        self,
        caller: Caller,
        tokens: Sequence[str],
        purpose: str,
        wanted: Reveal,
        action: ReadAction = ReadAction.DETOKENIZE,
    ) -> Revealed:
        """Opens tokens for a purpose; values come back in their order, denials with their index.

        Raises:
            UnauthenticatedError: the principal is not registered.
            SuspendedError: the principal is revoked.
            AuditUnavailableError: the access could not be recorded; nothing is revealed.
            OverloadedError: too many batches are waiting.
            DeadlineExceededError: the caller's deadline passed before its turn.
        """
        if not self._waiting.acquire(blocking=False):
            raise OverloadedError("too many reads are waiting in this process")
        try:
            blocks = self._codec.decipher_batch(tokens)
            with self._turn:
                if caller.deadline_monotonic is not None and time.monotonic() > caller.deadline_monotonic:
                    raise DeadlineExceededError("the deadline passed before the read began")
                with self._store.snapshot() as snapshot:
                    return self._batch(caller, tokens, blocks, purpose, wanted, action, snapshot)
        finally:
            self._waiting.release()

    def forget(self, customer: bytes) -> None:
        """Zeroes the cached DEK of a customer (6 bytes), as after a shred elsewhere."""
        with self._turn:
            self._cache.evict(customer)

    def close(self) -> None:
        """Zeroes the cache."""
        with self._turn:
            self._cache.close()

    def _batch(
        self,
        caller: Caller,
        tokens: Sequence[str],
        blocks: Sequence[bytes | None],
        purpose: str,
        wanted: Reveal,
        action: ReadAction,
        snapshot: Snapshot,
    ) -> Revealed:
        grants = self._access_of(snapshot).principal(caller.principal)
        domains = grants.domains
        get = snapshot.get
        cached = self._cache.get
        open_xchacha = self._opener.open_xchacha
        unpack_header = HEADER.unpack_from
        vault_id, region, suite, mask = self._vault_id, self._region, self._suite, self._mask
        normal_levels = grants.reveals(purpose, wanted)
        room = self._reply_bytes

        values: list[str] = []
        reveals: list[int] = []
        denied: list[tuple[int, int]] = []  # index, reason code
        groups: list[bytes] = []
        items: list[bytes] = []
        unknown: dict[Reason, int] = {}
        current = b""  # the customer of the run, 6 bytes; empty when the customer cannot be read
        failed = 0  # reason code that stands for the whole run
        entry: CachedDek | None = None
        levels = normal_levels

        for index, block in enumerate(blocks):
            outcome = 0
            if block is None or block[1] not in domains or block[0] != region:
                # A foreign domain's token answers as a guess does: its existence is not told.
                reason = Reason.TOKEN_UNKNOWN if block is not None else self._undeciphered(tokens[index])
                unknown[reason] = unknown.get(reason, 0) + 1
                denied.append((index, reason_code(reason)))
                values.append("")
                reveals.append(0)
                continue
            customer = block[:1] + block[2:7]
            if customer != current:
                if items:
                    groups.append(_group(entry, items))
                    items = []
                current, failed = customer, 0
                row = get(customer + _ROW)
                entry = cached(customer)
                if entry is None or entry.row != row:
                    entry, failed = self._admit(customer, row)
                if entry is not None:
                    entry.used = True
                    restricted = entry.row[1] != RowState.ACTIVE
                    levels = grants.reveals(purpose, wanted, restricted=True) if restricted else normal_levels
            key = customer + block[7:10]
            field_class = 0
            if failed or entry is None:
                outcome = failed
            elif (record := get(key)) is None:
                outcome = reason_code(Reason.DATA_LOSS)
            elif len(record) < HEADER.size:
                outcome = reason_code(Reason.INTEGRITY_FAILED)
            else:
                record_suite, field_class, flags, _, generation, expires = unpack_header(record)
                outcome = levels[field_class]
                if block[7:10] == _ROW:
                    outcome, field_class = reason_code(Reason.INVALID_REQUEST), 0
                elif outcome != PLAIN and outcome != MASKED:
                    outcome = _DENIAL_CODES[outcome]
                elif room <= 0:
                    outcome = reason_code(Reason.REPLY_FULL)
                else:
                    aad = vault_id + key + record[: HEADER.size]
                    plain: bytes | None
                    if record_suite == suite == XCHACHA20_POLY1305 and generation == entry.generation:
                        plain = open_xchacha(entry.seal, record[_NONCE], record[_CIPHERTEXT], aad)
                    else:
                        plain = self._open_slowly(entry, record, aad)
                    if plain is None:
                        outcome = reason_code(Reason.INTEGRITY_FAILED)
                    elif flags & ValueFlag.DELETED:
                        outcome = reason_code(Reason.VALUE_DELETED)
                    elif expires and expires <= max(time.time(), snapshot.meta.time_floor_ms / 1000):
                        outcome = reason_code(Reason.EXPIRED)
                    else:
                        room -= len(plain)
                        text = plain.decode()
                        if outcome == MASKED:
                            text = mask(field_class, text)
                        values.append(text)
                        reveals.append(outcome)
                        items.append(block[7:10] + record[1:2] + _OUTCOME_BYTE[outcome])
                        continue
            denied.append((index, outcome))
            values.append("")
            reveals.append(0)
            if entry is None:
                reason = reason_of(outcome) or Reason.INTERNAL
                unknown[reason] = unknown.get(reason, 0) + 1
            else:
                items.append(block[7:10] + bytes((field_class, outcome)))
        if items:
            groups.append(_group(entry, items))

        self._audit.append(
            encode_read(
                self._audit.next_seq(),
                time.time_ns() // 1_000_000,
                grants.id,
                action,
                grants.purpose_id(purpose),
                b"".join(groups),
                unknown_counts(unknown) if unknown else b"",
            )
        )
        denials = [Denial(index, reason_of(code) or Reason.INTERNAL) for index, code in denied]
        return Revealed(values, reveals, denials)

    def _undeciphered(self, token: str) -> Reason:
        try:
            self._codec.decode(token)
        except VaultError as error:
            return error.reason
        return Reason.INTERNAL

    def _admit(self, customer: bytes, row: bytes | None) -> tuple[CachedDek | None, int]:
        """Verifies a customer row that is new or has changed: the entry, or the run's reason code."""
        try:
            return self._verified(customer, row), 0
        except VaultError as error:
            self._cache.evict(customer)
            return None, reason_code(error.reason)

    def _verified(self, customer: bytes, row: bytes | None) -> CachedDek:
        if row is None:
            raise DataLossError("a genuine token's customer is missing from the store")
        parsed = CustomerRow.unpack(row)
        message = self._vault_id + customer + _ROW + row[:-16]
        if parsed.state == RowState.SHREDDED:
            if not constant_time_equal(self._tombstone_mac(message), row[-16:]):
                raise IntegrityFailedError
            raise ShreddedError("the customer was shredded")
        if parsed.state not in (RowState.ACTIVE, RowState.RESTRICTED):
            raise IntegrityFailedError
        entry = self._cache.get(customer)
        if entry is None or entry.generation != parsed.dek_generation:
            dek_row = self._dek_row(customer, parsed.dek_generation)
            entry = self._cache.admit(customer, parsed.dek_generation, dek_row)
        if not constant_time_equal(self._cache.row_mac(entry, message), row[-16:]):
            raise IntegrityFailedError
        entry.row = row
        return entry

    def _dek_row(self, customer: bytes, generation: int) -> bytes:
        for judged in (False, True):
            with self._store.keyring() as keyring:
                found = keyring.dek(customer[0], int.from_bytes(customer[1:], "big"), generation)
            if found is not None:
                return found
            if not judged:
                self._judge(customer)
        raise DataLossError("the key of a live customer is missing from the keyring")

    def _open_slowly(self, entry: CachedDek, record: bytes, aad: bytes) -> bytes | None:
        """Opens a record of another suite.

        A record of another generation does not open at all: re-sealing moves all of a customer's
        records in the one commit that changes the row.
        """
        try:
            suite = suite_of_record(record[0])
            generation = HEADER.unpack_from(record)[4]
            if generation != entry.generation:
                return None
            end = HEADER.size + suite.nonce_bytes
            nonce, ciphertext = record[HEADER.size : end], record[end:]
            if suite.number == self._suite:
                return self._opener.open(suite.number, entry.seal, nonce, ciphertext, aad)
            return self._cache.open_other_suite(entry, self._opener, suite.number, nonce, ciphertext, aad)
        except IntegrityFailedError:
            return None


_OUTCOME_BYTE: Final = [bytes((code,)) for code in range(256)]
_DENIAL_CODES: Final = {verdict: reason_code(reason) for verdict, reason in DENIALS.items()}


def _group(entry: CachedDek | None, items: Sequence[bytes]) -> bytes:
    locator = entry.locator if entry is not None else bytes(16)
    return locator + len(items).to_bytes(2, "big") + b"".join(items)
