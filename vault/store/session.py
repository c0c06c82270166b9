"""The write session: the vault's one write lock, and the order in which a change becomes durable.

    lock (write transaction of `values`) -> finish what is unfinished -> changes
    -> mirror and witness asked -> ledger append and sync -> mirror and witness hold it
    -> keyring commit -> index commit -> values commit -> acknowledge

Rules:
- No write transaction of keyring or index begins without that of `values`: opposite orders would deadlock.
- `meta.applied` is the last ledger entry whose effect the planes hold. Entries after it are pending: a
  session that finds some must ask for them and finish them, idempotently, before it may commit anything.
- A plane without changes is not committed. A crash between two commits leaves the ledger ahead of the
  planes, or the keyring ahead of `values`: shreds then are finished, new keys are orphans and removed.
- What moves `applied` waits for mirror and witness, where there are any (`following`).
- Customer numbers are reserved in the ledger before their first use, and skipped rather than used twice.
- Any failure of a commit but a full disk stops all writing, in every process, until the stores are checked.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

import lmdb

from vault.errors import (
    IntegrityFailedError,
    KeyUnavailableError,
    LedgerBehindError,
    StorageFullError,
    StorageStoppedError,
)
from vault.model.ids import MAX_CUSTOMER_NO
from vault.store.entries import EpochCurrent, Genesis, NumbersReserved, Payload
from vault.store.environment import translate
from vault.store.files import write_current
from vault.store.layout import dek_key, split_dek_key, value_key
from vault.store.ledger import LedgerEntry, pack_body
from vault.store.meta import META_KEY, Meta
from vault.store.shared import Shared
from vault.store.space import require_room
from vault.store.writes import PlaneWriter

Purpose = Literal["data", "erase"]


class WriteSession(PlaneWriter):
    """Holds the write lock from entering the context to `commit` or leaving it; leaving without one aborts.

    Attributes:
        meta: this session's copy of the meta row; changes to it are committed with the rest.
        now_ms: Unix time of this session in milliseconds; never before the vault's stored floor.
        locked_at: when this session had the write lock, on the clock of `time.perf_counter`, in seconds.
    """

    meta: Meta
    now_ms: int
    locked_at: float

    def __init__(self, shared: Shared, purpose: Purpose) -> None:
        super().__init__()
        self._shared = shared
        self._purpose = purpose
        self._open: list[lmdb.Transaction[bytes]] = []
        self._bodies: list[bytes] = []
        self._pending_known = True
        self._entering: int | None = None

    def __enter__(self) -> Self:
        shared = self._shared
        shared.require_writes()
        if self._purpose == "data":
            require_room(shared.root, shared.low_water_bytes)
        self._open.append(shared.acquire())
        self.locked_at = time.perf_counter()
        try:
            shared.require_writes()  # another session may have failed while this one waited
            self._begin()
        except BaseException as error:
            self.abort()
            if isinstance(error, (lmdb.Error, OSError)):
                raise translate(error, shared.root) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
        if isinstance(error, lmdb.Error):
            raise translate(error, self._shared.root) from error

    @property
    def access_changed(self) -> bool:
        """Whether this session has moved the access version, so that what it reads is not yet anybody's."""
        return self.meta.access_version != self._meta_before.access_version

    @property
    def next_seq(self) -> int:
        """The number that the next appended entry will have."""
        return self._shared.ledger.last.seq + len(self._bodies) + 1

    def append(self, entry: Payload) -> int:
        """Adds an entry to the ledger, written with the commit; returns its number."""
        seq = self.next_seq
        self._bodies.append(pack_body(seq, self.now_ms, entry))
        self.writes += 1
        return seq

    def enter_epoch(self, epoch: int) -> int:
        """Makes the keyring and index of `epoch` the ones in use, with the commit; returns the entry.

        They must be whole and durable. The commit writes `CURRENT` between ledger and `values`: that
        rename is what decides. Without it, the next session voids the entry.
        """
        self._entering = epoch
        self.meta.epoch = epoch
        return self.append(EpochCurrent(epoch))

    def entry_time_ms(self, seq: int) -> int:
        """Time of an entry that this session has appended: Unix milliseconds."""
        first = self._shared.ledger.last.seq + 1
        if not first <= seq < first + len(self._bodies):
            raise ValueError("this session has appended no such entry")
        return self.now_ms

    def pending_entries(self) -> Iterator[LedgerEntry]:
        """Entries that the ledger holds and the planes do not show. Whoever asks must finish them here.

        They are read from the ledger as they are asked for: after a restore there may be millions.
        """
        self._pending_known = True
        return self._read_pending()

    def next_customer_no(self) -> int:
        """A customer number never given out before.

        Raises:
            StorageFullError: all numbers are used up.
        """
        number = self.meta.next_customer_no
        if number > MAX_CUSTOMER_NO:
            raise StorageFullError("all customer numbers are used up")
        if number >= self.meta.reserved_until:
            self._reserve()
        self.meta.next_customer_no = number + 1
        self.writes += 1
        return number

    def commit(self) -> None:
        """Makes the session's changes durable and releases the lock.

        Raises:
            StorageFullError: the disk is full. Nothing was acknowledged; what reached the ledger is pending.
            StorageStoppedError: a commit or sync failed; all writing is stopped.
            WitnessUnavailableError: mirror or witness cannot be used. What reached the ledger is pending.
            LedgerBehindError: mirror or witness have seen another ledger; all writing is stopped.
            KeyUnavailableError: there are ledger entries to sign, and no key to sign with.
        """
        shared = self._shared
        if not self._pending_known:
            raise RuntimeError("pending ledger entries must be finished before a commit")
        if self._bodies and shared.sign is None:
            raise KeyUnavailableError("no key to sign the ledger with")
        try:
            self._put_meta()
            self._commit_all()
        except (lmdb.Error, OSError) as error:
            failure = translate(error, shared.root)
            if isinstance(failure, StorageFullError):
                raise failure from error
            shared.stop("commit-failed")
            raise StorageStoppedError(
                "a commit failed; writes are stopped until the stores are checked"
            ) from error
        except StorageStoppedError:
            shared.stop("ledger-failed")
            raise
        except LedgerBehindError:
            shared.stop("ledger-behind")
            raise
        finally:
            self.abort()

    def abort(self) -> None:
        """Drops what is not committed and releases the lock; does nothing the second time."""
        if self._open:
            for transaction in reversed(self._open):
                transaction.abort()
            self._open.clear()
            self._shared.release()

    def _begin(self) -> None:
        shared = self._shared
        self._bind(self._open[0], shared.values.tables)
        self.meta = Meta.unpack(self.meta_bytes(), shared.vault_id)
        if self.meta.transaction != self._transaction.id() - 1:
            raise IntegrityFailedError
        self._meta_before = replace(self.meta)
        self.now_ms = max(shared.clock_ms(), self.meta.time_floor_ms)
        planes = shared.follow_epoch()
        self.meta.epoch = planes.epoch
        shared.catch_up(self.meta.applied)
        self._open.append(planes.keyring.write())
        self._open.append(planes.index.write())
        self._bind_epoch(
            planes.epoch, self._open[1], planes.keyring.tables, self._open[2], planes.index.tables
        )
        self._settle()
        self.writes = 0

    def _read_pending(self) -> Iterator[LedgerEntry]:
        ledger = self._shared.ledger
        if ledger.last.seq == self._meta_before.applied:
            return
        for entry in ledger.entries(self._meta_before.applied):
            if not isinstance(entry.payload, (NumbersReserved, Genesis)):
                yield entry

    def _settle(self) -> None:
        """Finds what is pending, and does what the store itself can finish: numbers."""
        meta, ledger = self.meta, self._shared.ledger
        first_free = meta.next_customer_no
        if ledger.last.seq > meta.applied:
            for entry in ledger.entries(meta.applied):
                if isinstance(entry.payload, NumbersReserved):
                    # Numbers of that block may have been used by whoever wrote the entry.
                    meta.next_customer_no = max(meta.next_customer_no, entry.payload.up_to)
                    meta.reserved_until = max(meta.reserved_until, entry.payload.up_to)
                elif not isinstance(entry.payload, Genesis):
                    self._pending_known = False
        orphans = self._orphans(first_free)
        for region, customer_no, generation in orphans:
            self.delete_dek(region, customer_no, generation)
        last = max([customer_no for _, customer_no, _ in orphans], default=0)
        if last >= meta.next_customer_no:
            # Reserved anew, so that the numbers stay skipped if this session ends between its commits.
            meta.next_customer_no = last + 1
            self._reserve()

    def _orphans(self, first_free: int) -> list[tuple[int, int, int]]:
        """DEKs at numbers not given out: left by a crash between the keyring's commit and that of `values`.

        Raises:
            IntegrityFailedError: such a number has a customer, or was never reserved.
        """
        found: list[tuple[int, int, int]] = []
        for key, _ in self.deks(dek_key(self._shared.region, first_free, 0)):
            region, customer_no, generation = split_dek_key(key)
            if region != self._shared.region:
                break
            customer_row = self.get(value_key(region, customer_no))
            if customer_row is not None or customer_no >= self.meta.reserved_until:
                raise IntegrityFailedError
            found.append((region, customer_no, generation))
        return found

    def _reserve(self) -> None:
        block_end = min(self.meta.next_customer_no + self._shared.block_numbers, MAX_CUSTOMER_NO + 1)
        up_to = max(block_end, self.meta.reserved_until)
        self.append(NumbersReserved(self._shared.region, up_to))
        self.meta.reserved_until = up_to

    def _put_meta(self) -> None:
        self.meta.applied = self._shared.ledger.last.seq + len(self._bodies)
        if self._values_changed or self.meta != self._meta_before:
            self.meta.time_floor_ms = max(self.meta.time_floor_ms, self.now_ms)
            self.meta.transaction = self._transaction.id()
            row = self.meta.pack(self._shared.vault_id)
            self._transaction.put(META_KEY, row, db=self._tables["meta"])
            self._values_changed = True

    def _commit_all(self) -> None:
        shared = self._shared
        moves_on = self.meta.applied != self._meta_before.applied
        followers = shared.followers if moves_on else None
        if followers is not None:
            followers.ready(shared.ledger)
        if self._bodies and shared.sign is not None:
            shared.ledger.append_all(self._bodies, shared.sign)
            shared.after_step("ledger")
        if followers is not None:
            followers.hold(shared.ledger)
            shared.after_step("followers")
        values, keyring, index = self._open
        if self._keyring_changed:
            keyring.commit()
            shared.after_step("keyring")
        if self._index_changed:
            index.commit()
            shared.after_step("index")
        if self._entering is not None:
            write_current(shared.root, self._entering)
            shared.after_step("current")
        if self._values_changed:
            values.commit()
            shared.after_step("values")
