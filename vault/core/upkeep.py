"""Background work of one vault, done by the keeper process on a schedule."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from vault.core.approving import sweep
from vault.core.engine import Engine
from vault.core.erasing import Erasing
from vault.core.holding import is_held
from vault.core.opencustomer import OpenCustomer
from vault.core.replay import TABLE as REQUESTS
from vault.core.replay import expired
from vault.core.searchbuilding import SearchBuilding
from vault.core.trail import Trail
from vault.core.vault import Vault
from vault.errors import DataLossError, IntegrityFailedError, VaultError
from vault.model.ids import CustomerNo
from vault.store.aliases import AliasState
from vault.store.entries import ValuesDeleted
from vault.store.layout import HEADER, ValueFlag, split_value_key
from vault.store.runfiles import lock_holder
from vault.store.session import WriteSession

_SWEEP_ROWS = 20_000
_SWEEP_ALIASES = 500  # removed in one write, which opens a customer for each


@dataclass(frozen=True, slots=True)
class Chore:
    """One piece of background work. `run` returns a line for the log, empty when nothing happened."""

    name: str
    every_seconds: float
    run: Callable[[], str]


def chores(vault: Vault) -> list[Chore]:
    """All background work, with its schedule."""
    engine = vault.engine
    expiry = _ExpirySweep(engine)
    return [
        Chore("stale-readers", 5, lambda: _count(engine.store.reader_check(), "stale reader slots cleared")),
        Chore("preallocation", 10, lambda: _preallocate(engine)),
        Chore("request-ids", 300, lambda: _count(_forget_requests(engine), "old request ids forgotten")),
        Chore("time-floor", 60, lambda: _raise_time_floor(engine)),
        Chore("budgets", 300, lambda: _count(engine.budgets.forget(), "old budget windows removed")),
        Chore("approvals", 30, lambda: _count(sweep(engine), "ended grants and old requests removed")),
        Chore("expiry", 30, expiry.told),
        Chore("erasures", 10, lambda: _go_on_with_erasures(engine)),
        Chore("search-index", 1, SearchBuilding(engine).run),
    ]


def overdue_lock_holder(data_dir: Path, limit_seconds: float = 10.0) -> int | None:
    """The process that has held the write lock for too long, if there is one."""
    holder = lock_holder(data_dir)
    if holder is None or holder.held_seconds < limit_seconds or holder.pid == os.getpid():
        return None
    return holder.pid


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number else ""


def _preallocate(engine: Engine) -> str:
    engine.store.preallocate()
    return ""


def _forget_requests(engine: Engine) -> int:
    now_s = int(time.time())
    with engine.store.snapshot() as snapshot:
        old = [
            key
            for key, row in snapshot.rows(REQUESTS)
            if expired(engine.rows.open(REQUESTS, key, row), now_s)
        ][:_SWEEP_ROWS]
    if not old:
        return 0

    def job(session: WriteSession) -> int:
        for key in old:
            session.delete_row(REQUESTS, key)
        return len(old)

    return engine.committer.submit(job)


def _raise_time_floor(engine: Engine) -> str:
    """Expiry never runs backwards: the clock's highest reading is kept in the meta row."""
    now = engine.now_ms()
    with engine.store.snapshot() as snapshot:
        floor = snapshot.meta.time_floor_ms
    if now < floor:
        return "the clock stands before the stored floor; expiry goes by the floor"

    def job(session: WriteSession) -> None:
        session.meta.time_floor_ms = max(session.meta.time_floor_ms, now)

    engine.committer.submit(job)
    return ""


def _go_on_with_erasures(engine: Engine) -> str:
    """Ends shreds whose holds are over, and what a crash left of those that began."""
    erasing, ended, damaged = Erasing(engine, Trail(engine.audit)), 0, 0
    for number in erasing.ready():
        try:
            ended += erasing.go_on(number)
        except (DataLossError, IntegrityFailedError):
            damaged += 1
    told = [_count(ended, "shreds done after a hold"), _count(damaged, "shreds wait for damaged customers")]
    return "; ".join(filter(None, told))


class _ExpirySweep:
    """Deletes expired values, and removes aliases whose time is over; some thousand rows a run, by key."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._after = b""

    def told(self) -> str:
        """A run, as a line of the log."""
        deleted, removed = self.run()
        lines = _count(deleted, "expired values deleted"), _count(removed, "expired or used tokens removed")
        return "; ".join(filter(None, lines))

    def run(self) -> tuple[int, int]:
        """Looks through the next rows; returns how many values were deleted and how many aliases removed."""
        now_s = self._engine.now_ms() // 1000
        overdue: list[tuple[CustomerNo, int]] = []
        aliases: list[tuple[CustomerNo, int]] = []
        seen = 0
        with self._engine.store.snapshot() as snapshot:
            now_s = max(now_s, snapshot.meta.time_floor_ms // 1000)
            for key, row in snapshot.rows("values", self._after):
                seen += 1
                self._after = key + b"\0"
                _, number, value_no = split_value_key(key)
                if value_no and len(row) >= HEADER.size:
                    _, _, flags, _, _, expires_s = HEADER.unpack_from(row)
                    if expires_s and expires_s <= now_s and not flags & ValueFlag.DELETED:
                        (aliases if flags & ValueFlag.ALIAS else overdue).append((number, value_no))
                if seen == _SWEEP_ROWS or len(aliases) == _SWEEP_ALIASES:
                    break
            else:
                self._after = b""
        engine, deleted, removed = self._engine, 0, 0
        if overdue:
            deleted = engine.committer.submit(lambda session: self._bury(session, overdue), erase=True)
        if aliases:
            removed = engine.committer.submit(lambda session: self._remove(session, aliases), erase=True)
        return deleted, removed

    def _remove(self, session: WriteSession, aliases: list[tuple[CustomerNo, int]]) -> int:
        """Removes aliases; those that cannot be opened stay, and do not open for anybody else."""
        engine, done = self._engine, 0
        for number, group in groupby(aliases, key=lambda each: each[0]):
            with suppress(VaultError), engine.book.open(session, session, number) as customer:
                done += self._remove_some(session, customer, [value_no for _, value_no in group])
        return done

    def _remove_some(self, session: WriteSession, customer: OpenCustomer, value_nos: list[int]) -> int:
        issued, now_s = [], session.now_ms // 1000
        for value_no in value_nos:
            with suppress(IntegrityFailedError, DataLossError):
                found = self._engine.aliases.open(session, customer, value_no)
                if found is not None and not found.removed and 0 < found.header.expires_s <= now_s:
                    issued.append(found)
        for each in issued:
            self._engine.aliases.remove(session, customer, each, AliasState.EXPIRED, session.now_ms)
        if issued:
            self._engine.book.save(session, customer)
        return len(issued)

    def _bury(self, session: WriteSession, overdue: list[tuple[CustomerNo, int]]) -> int:
        freed = [each for each in overdue if not self._held(session, *each)]
        if freed:
            session.append(ValuesDeleted(self._engine.region, tuple(freed)))
        for number, value_no in freed:
            self._engine.effects.delete_value(session, number, value_no)
        return len(freed)

    def _held(self, session: WriteSession, number: CustomerNo, value_no: int) -> bool:
        """Whether a legal hold keeps a value beyond its time."""
        try:
            with self._engine.book.open(session, session, number) as customer:
                entry = customer.entry(value_no)
                return entry is not None and is_held(customer.terms, entry.field_class, session.now_ms)
        except VaultError:
            return False  # gone or damaged, which deleting a value copes with
