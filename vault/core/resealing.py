"""A customer's values re-sealed under a new generation of its data key, the old one destroyed.

For one customer when somebody asks (`rotating`), and at the beginning of each rotation of the epoch for every
customer of whom a value was deleted or corrected since its key was made, because what went opens with the old
generation. Data backups open with it, too: so it is kept, and carried from epoch to epoch, until it was
replaced `[backup] keep_days` ago. The next rotation then destroys it, before its new keyring takes in a key.
A shred under a legal hold (`erasing`) keeps no old generation for backups.

Rules:
- Two commits, because the keyring commits before the values: the first adds the new generation and re-seals;
  only when that is durable does the second remove the old generation's key. A crash between them leaves an
  old key without records, which the next re-sealing of the customer removes, or a rotation in its time.
- A generation is destroyed only after those before it, and only if the customer's row names a later one:
  after a restore it may be in use again. Whose row does, waits for another key once more.
- Time is the ledger's: of the entry that replaced the generation, and of a clock that is never behind the
  vault's floor. A clock that is set back delays the end of keys and does not hasten it.
- Who waits is read from the ledger, and nothing is written to remember it. So a rotation that was killed goes
  on where it was.
- Customers are taken in small groups, each a write like others; reads and writes go on between them. Whose
  value goes after the ledger was read waits for the next rotation.
- A customer whose records are damaged cannot be re-sealed and stays as it was, and so does what was deleted
  of it: it is not final. The access log has the number of those left.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from vault.core.engine import Engine
from vault.core.fieldinput import fingerprint_content
from vault.core.finality import unit_events
from vault.core.opencustomer import OpenCustomer
from vault.core.trail import Trail
from vault.erasure.waiting import Waiting
from vault.errors import (
    CustomerUnknownError,
    DataLossError,
    IntegrityFailedError,
    InvalidRequestError,
    ShreddedError,
)
from vault.model.ids import CustomerNo, Generation
from vault.store.entries import GenerationReplaced, GenerationShredded
from vault.store.layout import ValueHeader
from vault.store.session import WriteSession

GROUP_CUSTOMERS: Final = 64
_GROUP_RECORDS: Final = 512  # a group ends early when it has sealed as many: each holds the write lock
_LAST_GENERATION: Final = Generation(2**16 - 1)
_DAY_MS: Final = 86_400_000
_DAMAGED: Final = (IntegrityFailedError, DataLossError, InvalidRequestError)

Record = Callable[[bytes], None]
"""Writes the access log's record of the customer with this locator, before anything is changed."""

_Opened = tuple[int, ValueHeader, bytes]
"""A record: value number, header, plaintext."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """One customer's new generation; `records` counts tombstones, too."""

    generation: Generation
    values: int
    records: int


def kept_since_ms(engine: Engine) -> int:
    """What was replaced up to this time, no data backup needs any more: Unix milliseconds."""
    with engine.store.snapshot() as snapshot:
        now_ms = max(engine.now_ms(), snapshot.meta.time_floor_ms)
    return now_ms - engine.settings.backup.keep_days * _DAY_MS


class Resealing:
    """Replaces data keys of one open vault."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trail = Trail(engine.audit)

    def all_waiting(
        self, report: Callable[[int, int], None], after_step: Callable[[str], None] = lambda _: None
    ) -> None:
        """Gives everybody a new data key whose old one opens what was deleted or corrected; ends old ones.

        Args:
            report: is told how many of how many customers have another key.
            after_step: is told `resealing` between the two commits of each group.

        Raises:
            AuditUnavailableError, StorageFullError, StorageStoppedError: as any write; call it again later.
        """
        waiting = Waiting.after(unit_events(self._engine.store))
        self._reseal_all(waiting, report, after_step)
        self._destroy(dict(waiting.due(kept_since_ms(self._engine))))

    def _reseal_all(
        self, waiting: Waiting, report: Callable[[int, int], None], after_step: Callable[[str], None]
    ) -> None:
        total, numbers = len(waiting), iter(waiting)
        if not total:
            return
        done = left = 0
        while group := [CustomerNo(number) for number in islice(numbers, GROUP_CUSTOMERS)]:
            left += self._group(group, after_step)
            done += len(group)
            report(done, total)
        self._trail.local("ResealCustomers", customers=total, left=left)

    def reseal(
        self, session: WriteSession, number: CustomerNo, record: Record, named: bytes = b""
    ) -> Resealed:
        """The first commit's part: a new generation, and every record under it.

        Args:
            session: writes it.
            number: whose.
            record: is called once the customer and all its records have opened.
            named: the external id by which the caller named the customer, if it did.

        Raises:
            CustomerUnknownError, ShreddedError: there is nobody to re-seal.
            DataLossError, IntegrityFailedError: a record or a consent event is damaged.
        """
        engine = self._engine
        with engine.book.open(session, session, number, named) as old:
            # Beyond those that a crash or a restore left without records, too: no number means two keys.
            generation = Generation(session.generations(engine.region, number)[-1] + 1)
            if generation > _LAST_GENERATION:
                raise InvalidRequestError("the customer's DEK generations are used up")
            # All of them before anything is written.
            opened, events = list(self._opened(session, old)), engine.consents.events(session, old)
            with engine.deks.new(generation) as dek:
                locator = old.dek.locator(engine.book.key(number))
                record(locator)
                session.append(GenerationReplaced(engine.region, number, old.dek.generation, generation))
                wrapped = engine.keyrings.at(session.epoch).wrap_dek(
                    dek.pointer, engine.region, number, generation
                )
                session.put_dek(engine.region, number, generation, wrapped, overwrite=True)
                row = replace(old.row, dek_generation=generation)
                fresh = OpenCustomer.of(number, row, old.sheet, dek)
                fresh.past_locators = (*old.past_locators, locator)
                values = self._put(session, fresh, opened)
                engine.consents.reseal(session, fresh, events)
                engine.book.save(session, fresh)
        return Resealed(generation, values, len(opened))

    def destroy_old(
        self, session: WriteSession, number: CustomerNo, up_to: Generation = _LAST_GENERATION
    ) -> None:
        """The second commit's part: no generation before the one in use stays wrapped, up to one of them.

        Raises:
            CustomerUnknownError, ShreddedError: there is nobody any more.
            DataLossError: the one in use is not wrapped.
        """
        engine = self._engine
        row = engine.book.live_row(session, number)
        if session.dek(engine.region, number, Generation(row.dek_generation)) is None:
            raise DataLossError("the key of a live customer is missing from the keyring")
        for generation in list(session.generations(engine.region, number)):
            if generation < row.dek_generation and generation <= up_to:
                session.append(GenerationShredded(engine.region, number, generation))
                session.delete_dek(engine.region, number, generation)

    def _group(self, group: list[CustomerNo], after_step: Callable[[str], None]) -> int:
        """Re-seals some customers; returns of how many the records are damaged."""
        left, at = 0, 0
        while at < len(group):
            rest = group[at:]
            try:
                done = taken = self._reseal_some(rest)
            except _DAMAGED:  # one of them, and nothing was written: each by itself
                done = self._one_by_one(rest)
                taken = rest
                left += len(taken) - len(done)
            after_step("resealing")
            if not self._engine.settings.backup.keep_days:
                self._destroy(dict.fromkeys(done, _LAST_GENERATION))
            at += len(taken)
        return left

    def _reseal_some(self, numbers: list[CustomerNo]) -> list[CustomerNo]:
        """Re-seals as many of the first as one write may; returns these."""

        def job(session: WriteSession) -> list[CustomerNo]:
            records = 0
            for taken, number in enumerate(numbers, 1):
                if self._lives(session, number):
                    records += self.reseal(session, number, self._record).records
                if records >= _GROUP_RECORDS:
                    return numbers[:taken]
            return numbers

        return self._engine.committer.submit(job)

    def _one_by_one(self, numbers: list[CustomerNo]) -> list[CustomerNo]:
        """Those who are not damaged. Of the others no key is destroyed: their row may be wrong, too."""
        done = []
        for number in numbers:
            with suppress(*_DAMAGED):
                done += self._reseal_some([number])
        return done

    def _destroy(self, ends: Mapping[int, Generation]) -> None:
        """Destroys customers' old generations, each up to the one that is given."""
        engine, rest = self._engine, iter(ends.items())
        while group := list(islice(rest, GROUP_CUSTOMERS)):

            def job(session: WriteSession, group: list[tuple[int, Generation]] = group) -> None:
                for number, up_to in group:
                    with suppress(CustomerUnknownError, ShreddedError, *_DAMAGED):
                        self.destroy_old(session, CustomerNo(number), up_to)

            engine.committer.submit(job, erase=True)
            for number, _ in group:
                engine.hot.forget(engine.book.key(CustomerNo(number)))

    def _lives(self, session: WriteSession, number: CustomerNo) -> bool:
        """Whether there is still somebody.

        Raises:
            IntegrityFailedError: the row is no row.
        """
        row = self._engine.book.row(session, number)
        return row is not None and not row.shredded

    def _record(self, locator: bytes) -> None:
        self._trail.local("RotateDek", locators=[locator])

    def _put(self, session: WriteSession, fresh: OpenCustomer, opened: list[_Opened]) -> int:
        """Seals every record, tombstones included. Fingerprints are keyed by the DEK, so they move too."""
        values = 0
        directory = self._engine.directory(session)
        for value_no, header, plaintext in opened:
            self._engine.book.put_value(
                session,
                fresh,
                value_no,
                header.field_class,
                plaintext,
                version=header.version,
                flags=header.flags,
                expires_s=header.expires_s,
            )
            if header.deleted or header.alias:
                continue
            values += 1
            entry = fresh.entry(value_no)
            if entry is not None:
                declared = self._engine.field_class(directory, header.field_class)
                content = fingerprint_content(declared, plaintext)
                fresh.put_entry(entry._replace(fingerprint=fresh.dek.fingerprint(content)))
        return values

    def _opened(self, session: WriteSession, old: OpenCustomer) -> Iterator[_Opened]:
        for key, record in list(session.scan_customer(self._engine.region, old.number)):
            value_no = int.from_bytes(key[6:9], "big")
            if value_no:
                header = ValueHeader.unpack(record)
                yield value_no, header, self._engine.book.open_value(session, old, value_no)
