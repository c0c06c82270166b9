"""Opens a batch of tokens. Flat on purpose: this loop is what the vault is measured by.

A batch, in order:
1. All tokens are deciphered in one call. A guess fails the 48-bit check here: no read of the store.
2. One read transaction, begun after the request arrived. Its first read is the meta row, which
   carries epoch and access version: a changed policy or a revoked principal takes effect here.
3. For each run of one customer's tokens the customer row is read and compared with the bytes that
   were last verified. A shred rewrites that row, so a shredded customer never passes; so does a consent, an
   objection, a restriction.
4. For each value one record is read. All are opened in one call of `crypto.batches`, which looks into the
   decision table of the run's situation; what is not the usual record is looked into here. An issued token
   (`issued`) leads to another record of the same customer.
5. The customers count against the principal's budgets; a batch that goes beyond one is refused whole.
6. One audit record, accepted by the kernel before any value is returned. If that fails, none is.
   Where tokens for a single use are among those revealed, their use is written first, and the batch begins
   anew.

Rules:
- Batches of one process run one after the other (`_turn`), and what was gathered is opened before another
  key is let into the cache: slots of the DEK cache are safe to use without pins.
- Nothing here writes to the store but through `Consume`, outside the turn, and nothing reads the keyring
  while the cache is warm.
- A missing DEK is judged under the write lock (`Judge`), for a shred may be half way through.
- The associated data of a record is vault id | key | header, so a record moved to another customer,
  field or vault does not open.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from vault.audit.records import (
    BREAK_GLASS,
    MASKED,
    PLAIN,
    ReadAction,
    encode_read,
    reason_code,
    reason_of,
    unknown_counts,
)
from vault.audit.segments import SegmentWriter
from vault.crypto.batches import ITEM_BYTES, RUN, BatchOpener
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
from vault.hotpath.batch import Batch, Budgets, Foreign, Opened
from vault.hotpath.dekcache import CachedDek, DekCache
from vault.hotpath.issued import Follower, UnusedError
from vault.hotpath.situations import judge_terms, read_terms
from vault.model.access import Denial, Reveal
from vault.model.consent import LawfulBasis
from vault.model.requests import Caller, Revealed
from vault.policy.decision import DENIALS, AccessTable
from vault.policy.reads import CONSENT_BITS, Reads
from vault.store.aliases import Alias
from vault.store.layout import HEADER, CustomerRow, RowFlag, RowState, ValueFlag
from vault.store.snapshot import Snapshot
from vault.store.store import Store

_TOKEN_UNKNOWN: Final = reason_code(Reason.TOKEN_UNKNOWN)
_INTEGRITY_FAILED: Final = reason_code(Reason.INTEGRITY_FAILED)
_DELETED: Final = int(ValueFlag.DELETED)
_ALIAS: Final = int(ValueFlag.ALIAS)
_ROW: Final = bytes(3)  # value_no of the customer row
_MASK_GROWTH: Final = 8  # a mask is never longer than its value by more, in bytes
_ATTEMPTS: Final = 3
_GRANTED: Final = bytes((PLAIN, MASKED))

AccessOf = Callable[[Snapshot], AccessTable]
Judge = Callable[[bytes], None]
"""Judges a customer (6 bytes) without a DEK under the write lock: raises ShreddedError or
DataLossError, or returns when the DEK is there after all."""
Masks = Callable[[int, str], str]
Consume = Callable[[Caller, frozenset[bytes]], frozenset[bytes]]
"""Writes down the use of aliases (value keys, 9 bytes); returns those whose use is durably the caller's."""
Answer = TypeVar("Answer")


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
        consume: Consume,
        budgets: Budgets,
        suite: int,
        batches: BatchOpener,
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
        self._consume = consume
        self._budgets = budgets
        self.reply_bytes = reply_bytes
        self._suite = suite
        self._opener = Opener()
        self._batches = batches
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(waiting_reads)

    def detokenize(
        self,
        caller: Caller,
        tokens: Sequence[str],
        purpose: str,
        wanted: Reveal,
        action: ReadAction = ReadAction.DETOKENIZE,
        basis: LawfulBasis | None = None,
        foreign: Foreign | None = None,
    ) -> Revealed:
        """Opens tokens for a purpose; values come back in their order, denials with their index.

        `foreign` finds what texts stand for that are no tokens. Without a `basis` the read stands on the
        purpose's first one in each customer's jurisdiction.

        Raises:
            UnauthenticatedError: the principal is not registered.
            SuspendedError: the principal is revoked.
            AuditUnavailableError: the access could not be recorded; nothing is revealed.
            BudgetExceededError: the batch goes beyond a budget of the principal; nothing is revealed.
            OverloadedError: too many batches are waiting.
            DeadlineExceededError: the caller's deadline passed before its turn.
        """
        return self.in_turn(
            caller,
            tokens,
            foreign,
            lambda batch: self._detokenize(batch, purpose, wanted, basis, action),
            uses=True,
        )

    def in_turn(
        self,
        caller: Caller,
        tokens: Sequence[str],
        foreign: Foreign | None,
        work: Callable[[Batch], Answer],
        *,
        uses: bool = False,
    ) -> Answer:
        """What `work` makes of tokens, deciphered, when it is this batch's turn; it may be called again.

        With `uses`, tokens for a single use are followed, and `work` has to call `Follower.require_used`
        before anything is recorded or told. Without, they are refused and stay as they are.

        Raises:
            OverloadedError, DeadlineExceededError: as `detokenize`.
        """
        if not self._waiting.acquire(blocking=False):
            raise OverloadedError("too many reads are waiting in this process")
        try:
            deciphered = self._codec.decipher_batch(tokens, foreign)
            known = foreign.reasons if foreign is not None else {}
            used: frozenset[bytes] | None = frozenset() if uses else None
            for _ in range(_ATTEMPTS):
                try:
                    return self._turned(caller, tokens, deciphered, known, used, work)
                except UnusedError as unused:
                    keys = unused.keys
                used = (used or frozenset()) | self._consume(caller, keys)
            raise OverloadedError("tokens of this batch are being used elsewhere")
        finally:
            self._waiting.release()

    def forget(self, customer: bytes) -> None:
        """Zeroes the cached DEK of a customer (6 bytes), as after a shred elsewhere."""
        with self._turn:
            self._cache.evict(customer)

    def drain(self) -> None:
        """Returns when the batches that had begun are done."""
        with self._turn:
            return

    def close(self) -> None:
        """Zeroes the cache."""
        with self._turn:
            self._cache.close()

    def _turned(
        self,
        caller: Caller,
        tokens: Sequence[str],
        deciphered: Sequence[Deciphered | None],
        known: Mapping[int, Reason],
        used: frozenset[bytes] | None,
        work: Callable[[Batch], Answer],
    ) -> Answer:
        with self._turn:
            if caller.deadline_monotonic is not None and time.monotonic() > caller.deadline_monotonic:
                raise DeadlineExceededError("the deadline passed before the read began")
            for _ in range(_ATTEMPTS):
                with self._store.snapshot() as snapshot, suppress(_StaleSnapshotError):
                    grants = self._access_of(snapshot).principal(caller.principal)
                    now_ms = max(time.time_ns() // 1_000_000, snapshot.meta.time_floor_ms)
                    issued = Follower(grants.id, grants.domains, now_ms, used)
                    return work(Batch(grants, tokens, deciphered, known, now_ms, snapshot, issued))
            raise OverloadedError("the keys of these customers change too fast to be read")

    def _detokenize(
        self, batch: Batch, purpose: str, wanted: Reveal, basis: LawfulBasis | None, action: ReadAction
    ) -> Revealed:
        grants = batch.grants
        reads = grants.reads(purpose, wanted, basis, batch.now_ms)
        opened, missed = self.open(batch, enumerate(batch.deciphered), reads, self.reply_bytes)
        self._budgets.charge(grants, purpose, opened.locators, opened.groups)
        batch.issued.require_used()
        self.record(batch, purpose, basis, action, opened.groups, [code for _, code in missed])
        return _revealed(opened, missed)

    def record(
        self,
        batch: Batch,
        purpose: str,
        basis: LawfulBasis | None,
        action: ReadAction,
        groups: Sequence[bytes],
        missed: Sequence[int],
    ) -> None:
        """Writes the access record of a batch; `missed` are reasons' codes of items without a customer."""
        grants = batch.grants
        unknown = Counter(missed)  # denials without a customer's name
        self._audit.append(
            encode_read(
                self._audit.next_seq(),
                time.time_ns() // 1_000_000,
                grants.id,
                action | BREAK_GLASS if grants.breaks_glass(purpose) else action,
                grants.purpose_id(purpose),
                b"".join(groups),
                unknown_counts({_reason(code): count for code, count in unknown.items()}) if unknown else b"",
                basis,
            )
        )

    def open(
        self,
        batch: Batch,
        items: Iterable[tuple[int, Deciphered | None]],
        reads: Reads,
        room: int,
    ) -> "tuple[Opened, list[tuple[int, int]]]":
        """Opens what `reads` lets be opened.

        Args:
            batch: of which they are.
            items: index in the batch and deciphered token, in order.
            reads: the decisions.
            room: bytes that the values may take.

        Returns:
            What was opened, and of the other items index and code of the reason.
        """
        tokens, known, now_ms, snapshot = batch.tokens, batch.known, batch.now_ms, batch.snapshot
        region = bytes((self._region,))
        homes = {region + bytes((domain,)) for domain in batch.grants.domains}
        opened = Opened(room, batch.issued)
        get, cached = snapshot.get, self._cache.get
        keys: list[bytes] = []  # what is gathered to be opened in one call: key and record of each value,
        records: list[bytes] = []
        runs: list[tuple[CachedDek, int]] = []  # and customer by customer the entry and where its run begins
        add_key, add_record = keys.append, records.append
        missed: list[tuple[int, int]] = []  # index, reason code, where nothing is there to be opened
        current = prefix = b""  # the customer of the run: its number, 5 bytes; with the region, 6
        entry: CachedDek | None = None
        failed = 0  # reason code that stands for the whole run

        for index, token in items:
            if token is None or token[0] not in homes:
                # A foreign domain's token answers as a guess does: its existence is not told.
                code = (
                    _TOKEN_UNKNOWN if token is not None else self._undeciphered(index, tokens[index], known)
                )
                missed.append((index, code))
                continue
            _, customer, value_no = token
            if customer != current:
                current, prefix = customer, region + customer
                row = get(prefix + _ROW)
                entry, failed = cached(prefix), 0
                if entry is None or entry.row != row:
                    # What is gathered first: letting a key in may push one of theirs out.
                    self._open(keys, records, runs, reads, snapshot, opened)
                    entry, failed = self._admit(prefix, row, snapshot)
                if entry is not None:
                    entry.used = True
                    if entry.terms is not None:
                        judge_terms(entry, reads, now_ms)
                    runs.append((entry, len(keys)))
            if entry is None:
                missed.append((index, failed))
                continue
            key = prefix + value_no
            add_key(key)
            add_record(get(key) or b"")
        self._open(keys, records, runs, reads, snapshot, opened)
        return opened, missed

    def _open(
        self,
        keys: list[bytes],
        records: list[bytes],
        runs: list[tuple[CachedDek, int]],
        reads: Reads,
        snapshot: Snapshot,
        opened: "Opened",
    ) -> None:
        """Opens what was gathered, and empties the lists."""
        if not keys:
            runs.clear()
            return
        ends = [start for _, start in runs[1:]]
        ends.append(len(keys))
        pack, numbers, shift = RUN.pack, reads.numbers, reads.consent_shift
        packed = b"".join(
            [
                pack(
                    entry.address,
                    end,
                    entry.generation,
                    numbers[entry.place | entry.consents >> shift & CONSENT_BITS],
                )
                for (entry, _), end in zip(runs, ends, strict=True)
            ]
        )
        growth = _MASK_GROWTH if MASKED in reads.tables else 1
        if sum(map(len, records)) * growth < opened.room:
            items, plain = self._batches.open(keys, records, packed, reads.tables)
            texts = plain.decode().split("\0")
            opened.room -= len(plain)
        else:  # near the limit of a reply, value by value, each measured
            items, texts = b"".join([key[6:] + b"\0\0" for key in keys]), [""] * len(keys)
        outcomes = items[4::ITEM_BYTES]
        if 0 in outcomes or MASKED in outcomes:
            items = self._finish(keys, records, runs, reads, snapshot, opened, bytearray(items), texts)
            outcomes = items[4::ITEM_BYTES]
        opened.texts += texts
        opened.outcomes += outcomes
        add_group, start = opened.groups.append, 0
        opened.locators += [entry.locator for entry, _ in runs]
        for (entry, _), end in zip(runs, ends, strict=True):
            count = (end - start).to_bytes(2, "big")
            add_group(entry.locator + count + items[ITEM_BYTES * start : ITEM_BYTES * end])
            start = end
        keys.clear()
        records.clear()
        runs.clear()

    def _finish(
        self,
        keys: list[bytes],
        records: list[bytes],
        runs: list[tuple[CachedDek, int]],
        reads: Reads,
        snapshot: Snapshot,
        opened: "Opened",
        items: bytearray,
        texts: list[str],
    ) -> bytes:
        """Masks what is to be masked, and looks into what the loop left alone."""
        at = -1
        starts = [start for _, start in runs] + [len(keys)]
        for position, outcome in enumerate(items[4::ITEM_BYTES]):
            while position >= starts[at + 1]:
                at += 1
            if outcome == MASKED:
                text = self._mask(items[ITEM_BYTES * position + 3], texts[position])
                opened.room -= len(text.encode()) - len(texts[position].encode())
                texts[position] = text
            elif not outcome:
                entry = runs[at][0]
                levels = reads.of(entry.place | entry.consents >> reads.consent_shift & CONSENT_BITS)
                field_class, outcome, texts[position] = self._unusual(
                    entry, keys[position], records[position], levels, opened, snapshot
                )
                opened.room -= len(texts[position].encode())
                items[ITEM_BYTES * position + 3 : ITEM_BYTES * position + 5] = bytes((field_class, outcome))
        return bytes(items)

    def _unusual(
        self,
        entry: CachedDek,
        key: bytes,
        record: bytes,
        levels: bytes,
        opened: "Opened",
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
        if flags & _ALIAS:
            return self._follow(entry, key, record, levels, opened, snapshot)
        outcome = levels[field_class]
        if outcome not in (PLAIN, MASKED):
            return field_class, _DENIAL_CODES[outcome], ""
        if opened.room <= 0:
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

    def _follow(
        self,
        entry: CachedDek,
        key: bytes,
        record: bytes,
        levels: bytes,
        opened: "Opened",
        snapshot: Snapshot,
    ) -> tuple[int, int, str]:
        """An issued token's item: that of the value it leads to, unless it does not lead there any more."""
        _, field_class, flags, _, _, _ = HEADER.unpack_from(record)
        plain = self._open_any(entry, record, self._vault_id + key + record[: HEADER.size])
        try:
            alias = Alias.unpack(plain or b"")
        except IntegrityFailedError:
            return field_class, _INTEGRITY_FAILED, ""
        refused = opened.issued.refusal(key, alias, bool(flags & _DELETED))
        if refused is not None:
            return field_class, reason_code(refused), ""
        target = key[:6] + alias.target.to_bytes(3, "big")
        found = snapshot.get(target) or b""
        if len(found) >= HEADER.size and HEADER.unpack_from(found)[2] & _ALIAS:
            return field_class, _INTEGRITY_FAILED, ""  # an alias leads to a value and nowhere else
        field_class, outcome, text = self._unusual(entry, target, found, levels, opened, snapshot)
        if outcome in (PLAIN, MASKED):
            opened.issued.followed(key, alias)
        return field_class, outcome, text

    def _undeciphered(self, index: int, token: str, known: Mapping[int, Reason]) -> int:
        if index in known:
            return reason_code(known[index])
        try:
            self._codec.decode(token)
        except VaultError as error:
            return reason_code(error.reason)
        return reason_code(Reason.INTERNAL)

    def _admit(self, customer: bytes, row: bytes | None, snapshot: Snapshot) -> tuple[CachedDek | None, int]:
        """Verifies a customer row that is new or has changed: the entry, or the run's reason code."""
        try:
            return self._verified(customer, row, snapshot), 0
        except VaultError as error:
            self._cache.evict(customer)
            return None, reason_code(error.reason)

    def _verified(self, customer: bytes, row: bytes | None, snapshot: Snapshot) -> CachedDek:
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
            dek_row, epoch = self._dek_row(customer, parsed.dek_generation)
            entry = self._cache.admit(customer, parsed.dek_generation, dek_row, epoch)
        if not constant_time_equal(self._cache.row_mac(entry, message), row[-16:]):
            raise IntegrityFailedError
        terms = None
        if parsed.flags & RowFlag.SLOW_PATH:
            owner = self._vault_id, customer
            terms = read_terms(self._cache, entry, self._opener, owner, parsed, snapshot)
        entry.verified(row, parsed, terms)
        return entry

    def _dek_row(self, customer: bytes, generation: int) -> tuple[bytes, int]:
        """A wrapped DEK, and the epoch of the keyring that it was read from."""
        for judged in (False, True):
            with self._store.keyring() as keyring:
                found = keyring.dek(customer[0], int.from_bytes(customer[1:], "big"), generation)
            if found is not None:
                return found, keyring.epoch
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
            if suite.number == self._suite:
                return self._opener.open(suite.number, entry.seal, nonce, ciphertext, aad)
            return self._cache.open_other_suite(entry, self._opener, suite.number, nonce, ciphertext, aad)
        except IntegrityFailedError:
            return None


_DENIAL_CODES: Final = {verdict: reason_code(reason) for verdict, reason in DENIALS.items()}


def _reason(code: int) -> Reason:
    return reason_of(code) or Reason.INTERNAL


def told_of(code: int) -> Reason:
    """What a caller is told: that a token is bound to somebody else is for the access log."""
    reason = _reason(code)
    return Reason.TOKEN_UNKNOWN if reason is Reason.TOKEN_BOUND else reason


def _revealed(opened: "Opened", missed: list[tuple[int, int]]) -> Revealed:
    """The answer in the order of the tokens."""
    texts, outcomes = opened.texts, opened.outcomes
    for index, code in missed:  # ascending, so that each stands where it belongs when its turn comes
        texts.insert(index, "")
        outcomes.insert(index, code)
    if not outcomes.translate(None, _GRANTED):
        return Revealed(texts, list(outcomes), [])
    denials = [Denial(index, told_of(code)) for index, code in enumerate(outcomes) if code not in _GRANTED]
    return Revealed(texts, [code if code in _GRANTED else 0 for code in outcomes], denials)
