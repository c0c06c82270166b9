"""Shreds that a legal hold keeps from being done: what is not held goes now, the rest when the hold ends.

    begin     with the request: ledger entry ERASURE_WAITS, the customer closed, unheld values deleted
    reseal    surrogates of what went are forgotten, what
              is left gets a new data key                 } so that what went becomes final
    destroy   the old generations' keys are removed       } like any shred
    end       nothing is held any more: ledger entry SHRED, under the same shred id

Rules:
- Each step is a commit, and each next one follows from the stores alone: whoever finds an erasure waiting
  calls `go_on`. The request does it before it is answered, a release does, and the keeper does for what a
  crash left and for holds whose end has passed.
- Before values are deleted the ledger says which generations open them. As long as the generation in use is
  among those, the customer has to be re-sealed.
- Where everything is held, nothing is deleted and no key replaced.
"""

from contextlib import suppress
from dataclasses import replace

from vault.core.engine import Engine
from vault.core.erasures import ERASURES, ErasureRow, Waiting, seems_waiting
from vault.core.holding import kept_values
from vault.core.opencustomer import OpenCustomer
from vault.core.resealing import Resealing
from vault.core.rows import MAC_BYTES
from vault.core.trail import Trail
from vault.errors import (
    AuditUnavailableError,
    DataLossError,
    IntegrityFailedError,
    ShreddedError,
    VaultError,
)
from vault.model.ids import CustomerNo, Region
from vault.store.entries import ErasureWaits, Shred, ValuesDeleted
from vault.store.session import WriteSession
from vault.store.sheet import SheetField
from vault.store.snapshot import KeyringSnapshot, Snapshot


class Erasing:
    """Erasures that wait, of one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._effects = engine.effects
        self._trail = trail
        self._resealing = Resealing(engine)

    def begin(self, session: WriteSession, entry: ErasureWaits) -> None:
        """Closes a customer of whom something is held, and deletes what is not."""
        seq = session.append(entry)
        self._effects.wait(session, seq, session.entry_time_ms(seq), entry)
        with self._engine.book.open(session, session, CustomerNo(entry.customer_no)) as customer:
            self._delete_unheld(session, customer, self._row(session, customer))

    def ready(self) -> list[CustomerNo]:
        """Customers whose erasure waits, and of whom more can be done now; damaged ones among them."""
        rows, found = self._engine.rows, []
        with self._engine.store.snapshot() as snapshot, self._engine.store.keyring() as keys:
            for key, row in snapshot.rows(ERASURES):
                if seems_waiting(row[:-MAC_BYTES]):
                    erasure = ErasureRow.unpack(rows.open(ERASURES, key, row))
                    if erasure.waiting is not None and self._is_ready(snapshot, keys, erasure):
                        found.append(CustomerNo(erasure.customer_no))
        return found

    def _is_ready(self, snapshot: Snapshot, keys: KeyringSnapshot, erasure: ErasureRow) -> bool:
        engine, number = self._engine, CustomerNo(erasure.customer_no)
        now_ms = max(engine.now_ms(), snapshot.meta.time_floor_ms)
        try:
            with engine.book.open(snapshot, keys, number) as customer:
                kept = kept_values(customer, now_ms)
                stale = customer.dek.generation in erasure.generations
                return stale or len(kept) < len(customer.lines) or _count(keys, engine.region, number) > 1
        except ShreddedError:
            return False
        except VaultError:
            return True

    def go_on(self, number: CustomerNo) -> bool:
        """Does every step that can be done now; returns whether it was the last.

        Raises:
            DataLossError, IntegrityFailedError: the customer is damaged.
            StorageFullError, StorageStoppedError: as any write; call it again later.
        """
        engine = self._engine
        ended, reseal = engine.committer.submit(lambda session: self._settle(session, number), erase=True)
        if reseal:
            engine.committer.submit(lambda session: self._reseal(session, number), erase=True)
        if not ended:
            engine.committer.submit(lambda session: self._destroy_old(session, number), erase=True)
        engine.hot.forget(engine.book.key(number))
        return ended

    def _settle(self, session: WriteSession, number: CustomerNo) -> tuple[bool, bool]:
        """Whether the erasure is done with this, and whether the customer has to be re-sealed."""
        engine = self._engine
        if engine.book.is_shredded(session, number):
            return False, False
        with engine.book.open(session, session, number) as customer:
            if not customer.terms.erasure_pending:
                return False, False
            shred_id, erasure = customer.terms.shred_id, self._row(session, customer)
            if kept_values(customer, session.now_ms):
                erasure = self._delete_unheld(session, customer, erasure)
                self._effects.note_kept(session, customer)
                return False, customer.dek.generation in erasure.generations
            locator = customer.dek.locator(engine.book.key(number))
            index_hash = engine.index_keys.external_hash(session, customer.external_id)
            surrogates = engine.surrogates.hashes(session, number, customer.surrogates)
            search = engine.book.searched(session, customer)
        self._end(session, shred_id, erasure, locator, (index_hash, surrogates, search))
        return True, False

    def _end(
        self,
        session: WriteSession,
        shred_id: bytes,
        erasure: ErasureRow,
        locator: bytes,
        indexed: tuple[bytes, list[bytes], list[bytes]],
    ) -> None:
        with suppress(AuditUnavailableError):  # the ledger's entry stands in
            self._trail.local("CompleteShred", locators=[locator])
        number = CustomerNo(erasure.customer_no)
        wrapped = session.generations(self._engine.region, number)
        entry = Shred(
            shred_id=shred_id,
            region=erasure.region,
            customer_no=number,
            generations=tuple(sorted({*erasure.generations, *map(int, wrapped)})),
            values=erasure.values,
            commitment=erasure.commitment,
            principal_id=_waiting(erasure).principal_id,
        )
        seq = session.append(entry)
        self._effects.shred(session, seq, session.entry_time_ms(seq), entry, *indexed)

    def _delete_unheld(
        self, session: WriteSession, customer: OpenCustomer, erasure: ErasureRow
    ) -> ErasureRow:
        """Deletes what no hold keeps; returns the erasure's row, which names the generations that open it."""
        engine, number = self._engine, customer.number
        kept = kept_values(customer, session.now_ms)
        gone = [line for value_no, line in sorted(customer.lines.items()) if value_no not in kept]
        if not gone:
            return erasure
        wrapped = [int(each) for each in session.generations(engine.region, number)]
        stale = tuple(sorted({*erasure.generations, *wrapped}))
        if stale != erasure.generations:
            erasure = replace(erasure, generations=stale)
            self._note_generations(session, customer, erasure)
        session.append(ValuesDeleted(engine.region, tuple([(number, line.value_no) for line in gone])))
        for line in gone:
            self._delete(session, customer, line)
        return erasure

    def _delete(self, session: WriteSession, customer: OpenCustomer, line: SheetField) -> None:
        try:
            self._effects.bury(session, customer, line)
        except DataLossError:  # its record is missing, which must not keep the rest
            customer.drop_entry(line.value_no)
            self._engine.book.save(session, customer)

    def _note_generations(self, session: WriteSession, customer: OpenCustomer, erasure: ErasureRow) -> None:
        waiting = _waiting(erasure)
        entry = ErasureWaits(
            shred_id=customer.terms.shred_id,
            region=erasure.region,
            customer_no=erasure.customer_no,
            generations=erasure.generations,
            values=erasure.values,
            commitment=erasure.commitment,
            principal_id=waiting.principal_id,
        )
        seq = session.append(entry)
        self._effects.note_waiting(session, seq, session.entry_time_ms(seq), entry, waiting)

    def _reseal(self, session: WriteSession, number: CustomerNo) -> None:
        # Asked again: another process may have done it since.
        if self._settle(session, number)[1]:
            self._forget_surrogates(session, number)
            self._resealing.reseal(session, number, self._record)

    def _forget_surrogates(self, session: WriteSession, number: CustomerNo) -> None:
        """Of a customer who was asked to be erased, only what is held goes on being found."""
        engine = self._engine
        with engine.book.open(session, session, number) as customer:
            if engine.surrogates.forget(session, customer, kept_values(customer, session.now_ms)):
                engine.book.save(session, customer)

    def _destroy_old(self, session: WriteSession, number: CustomerNo) -> None:
        if not self._engine.book.is_shredded(session, number):
            self._resealing.destroy_old(session, number)

    def _record(self, locator: bytes) -> None:
        with suppress(AuditUnavailableError):  # the ledger's entry stands in
            self._trail.local("RotateDek", locators=[locator])

    def _row(self, session: WriteSession, customer: OpenCustomer) -> ErasureRow:
        body = self._engine.rows.get(session, ERASURES, customer.terms.shred_id)
        if body is None:
            raise IntegrityFailedError
        return ErasureRow.unpack(body)


def _count(keys: KeyringSnapshot, region: Region, number: CustomerNo) -> int:
    return sum(1 for _ in keys.generations(region, number))


def _waiting(erasure: ErasureRow) -> Waiting:
    if erasure.waiting is None:
        raise IntegrityFailedError
    return erasure.waiting
