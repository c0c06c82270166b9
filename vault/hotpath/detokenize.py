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
from contextlib import suppress
from typing import Final, NamedTuple

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
from vault.crypto.suites import suite_of_record
from vault.crypto.tokens import Deciphered, TokenCodec
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
# Plain numbers: operations on enum members cost more than the rest of a value's work together.
_DELETED: Final = int(ValueFlag.DELETED)
_ACTIVE: Final = int(RowState.ACTIVE)
_TOKEN_UNKNOWN: Final = reason_code(Reason.TOKEN_UNKNOWN)
_INTEGRITY_FAILED: Final = reason_code(Reason.INTEGRITY_FAILED)
_ROW: Final = bytes(3)  # value_no of the customer row
_NEVER: Final = bytes(4)  # expires_s of a record without an end


class _UsualRecord(NamedTuple):
    """What nearly every record looks like, so that the loop can tell by three comparisons."""

    suite: int
    nonce_end: int


_ATTEMPTS: Final = 3

AccessOf = Callable[[Snapshot], AccessTable]
Judge = Callable[[bytes], None]
"""Judges a customer (6 bytes) without a DEK under the write lock: raises ShreddedError or
DataLossError, or returns when the DEK is there after all."""
Masks = Callable[[int, str], str]


class _StaleSnapshotError(Exception):
    """A generation that the snapshot shows was replaced and destroyed since: look again, newly."""


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
        self._reply_bytes = reply_bytes
        self._opener = Opener()
        self._usual_record = _UsualRecord(suite, HEADER.size + suite_of_record(suite).nonce_bytes)
        self._open_usual = self._opener.open_fast(suite)
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
            deciphered = self._codec.decipher_batch(tokens)
            with self._turn:
                if caller.deadline_monotonic is not None and time.monotonic() > caller.deadline_monotonic:
                    raise DeadlineExceededError("the deadline passed before the read began")
                for _ in range(_ATTEMPTS):
                    with self._store.snapshot() as snapshot, suppress(_StaleSnapshotError):
                        return self._batch(caller, tokens, deciphered, purpose, wanted, action, snapshot)
                raise OverloadedError("the keys of these customers change too fast to be read")
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
        deciphered: Sequence[Deciphered | None],
        purpose: str,
        wanted: Reveal,
        action: ReadAction,
        snapshot: Snapshot,
    ) -> Revealed:
        grants = self._access_of(snapshot).principal(caller.principal)
        region = bytes((self._region,))
        homes = {region + bytes((domain,)) for domain in grants.domains}
        normal_levels = levels = grants.reveals(purpose, wanted)
        get, cached = snapshot.get, self._cache.get
        vault_id, open_usual, mask = self._vault_id, self._open_usual, self._mask
        suite, nonce_end = self._usual_record
        granted, class_and_outcome = (PLAIN, MASKED), _CLASS_AND_OUTCOME
        room = self._reply_bytes

        values: list[str] = []
        reveals: list[int] = []
        denied: list[tuple[int, int]] = []  # index, reason code
        groups: list[bytes] = []
        items: list[bytes] = []
        unknown: dict[int, int] = {}  # denials without a customer's name, by reason code
        current = b""  # the customer of the run: its number, 5 bytes
        prefix = aad_prefix = usual_tail = b""
        entry: CachedDek | None = None
        failed = 0  # reason code that stands for the whole run

        for index, token in enumerate(deciphered):
            if token is None or token[0] not in homes:
                # A foreign domain's token answers as a guess does: its existence is not told.
                code = _TOKEN_UNKNOWN if token is not None else self._undeciphered(tokens[index])
                unknown[code] = unknown.get(code, 0) + 1
                denied.append((index, code))
                values.append("")
                reveals.append(0)
                continue
            _, customer, value_no = token
            if customer != current:
                if items:
                    groups.append(_group(entry, items))
                    items = []
                current, prefix = customer, region + customer
                row = get(prefix + _ROW)
                entry, failed = cached(prefix), 0
                if entry is None or entry.row != row:
                    entry, failed = self._admit(prefix, row)
                if entry is not None:
                    entry.used = True
                    aad_prefix = vault_id + prefix
                    usual_tail = entry.generation.to_bytes(2, "big") + _NEVER
                    restricted = entry.row[1] != _ACTIVE
                    levels = grants.reveals(purpose, wanted, restricted=True) if restricted else normal_levels
            if entry is None:
                unknown[failed] = unknown.get(failed, 0) + 1
                denied.append((index, failed))
                values.append("")
                reveals.append(0)
                continue
            record = get(prefix + value_no) or b""
            header = record[:13]
            # The usual record: the configured suite, no flags, the row's generation, no expiry.
            if header.endswith(usual_tail) and header[0] == suite and not header[2]:
                field_class = header[1]
                outcome = levels[field_class]
                if outcome in granted and room > 0:
                    aad = aad_prefix + value_no + header
                    plain = open_usual(entry.seal, record[13:nonce_end], record[nonce_end:], aad)
                    if plain is not None:
                        text = plain.decode()
                        if outcome == MASKED:
                            text = mask(field_class, text)
                            room -= len(text.encode())  # a mask may be longer than its value
                        else:
                            room -= len(plain)
                        values.append(text)
                        reveals.append(outcome)
                        items.append(value_no + class_and_outcome[outcome][field_class])
                        continue
            field_class, outcome, text = self._unusual(
                entry, prefix + value_no, record, levels, room, snapshot
            )
            items.append(value_no + bytes((field_class, outcome)))
            values.append(text)
            if outcome in granted:
                room -= len(text.encode())
                reveals.append(outcome)
            else:
                denied.append((index, outcome))
                reveals.append(0)
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
                unknown_counts({_reason(code): count for code, count in unknown.items()}) if unknown else b"",
            )
        )
        return Revealed(values, reveals, [Denial(index, _reason(code)) for index, code in denied])

    def _unusual(
        self,
        entry: CachedDek,
        key: bytes,
        record: bytes,
        levels: bytes,
        room: int,
        snapshot: Snapshot,
    ) -> tuple[int, int, str]:
        """Everything that the loop does not do itself: field class, outcome, text of one item."""
        if not record:
            return 0, reason_code(Reason.DATA_LOSS), ""
        if key[6:] == _ROW:  # the token of the customer itself, which holds no value
            return 0, reason_code(Reason.INVALID_REQUEST), ""
        if len(record) < HEADER.size:
            return 0, _INTEGRITY_FAILED, ""
        _, field_class, flags, _, _, expires = HEADER.unpack_from(record)
        outcome = levels[field_class]
        if outcome not in (PLAIN, MASKED):
            return field_class, _DENIAL_CODES[outcome], ""
        if room <= 0:
            return field_class, reason_code(Reason.REPLY_FULL), ""
        plain = self._open_any(entry, record, self._vault_id + key + record[: HEADER.size])
        if plain is None:
            return field_class, _INTEGRITY_FAILED, ""
        if flags & _DELETED:
            return field_class, reason_code(Reason.VALUE_DELETED), ""
        if expires and expires <= max(time.time(), snapshot.meta.time_floor_ms / 1000):
            return field_class, reason_code(Reason.EXPIRED), ""
        text = plain.decode()
        return field_class, outcome, self._mask(field_class, text) if outcome == MASKED else text

    def _undeciphered(self, token: str) -> int:
        try:
            self._codec.decode(token)
        except VaultError as error:
            return reason_code(error.reason)
        return reason_code(Reason.INTERNAL)

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
        raise _StaleSnapshotError

    def _open_any(self, entry: CachedDek, record: bytes, aad: bytes) -> bytes | None:
        """Opens a record of any suite.

        A record of another generation does not open at all: re-sealing moves all of a customer's
        records in the one commit that changes the row.
        """
        try:
            suite = suite_of_record(record[0])
            if HEADER.unpack_from(record)[4] != entry.generation:
                return None
            end = HEADER.size + suite.nonce_bytes
            nonce, ciphertext = record[HEADER.size : end], record[end:]
            if suite.number == self._usual_record.suite:
                return self._opener.open(suite.number, entry.seal, nonce, ciphertext, aad)
            return self._cache.open_other_suite(entry, self._opener, suite.number, nonce, ciphertext, aad)
        except IntegrityFailedError:
            return None


# The last two bytes of an audited item, for the outcomes of the loop: by outcome, then field class.
_CLASS_AND_OUTCOME: Final = {
    outcome: [bytes((field_class, outcome)) for field_class in range(256)] for outcome in (PLAIN, MASKED)
}
_DENIAL_CODES: Final = {verdict: reason_code(reason) for verdict, reason in DENIALS.items()}


def _reason(code: int) -> Reason:
    return reason_of(code) or Reason.INTERNAL


def _group(entry: CachedDek | None, items: Sequence[bytes]) -> bytes:
    locator = entry.locator if entry is not None else bytes(16)
    return locator + len(items).to_bytes(2, "big") + b"".join(items)
