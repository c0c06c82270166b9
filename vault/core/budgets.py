"""Budgets: how many distinct customers a principal reads, or compares with, in a window.

A window is a file in `run/budgets/`, a `SharedSet` of the first 8 bytes of customers' locators:
    <budget>.<window seconds>.<principal id>.<read|compare|export>.<start, s since 1970>

Rules:
- A locator is a PRF under the customer's own key: a file names nobody, and nothing links it to a customer
  that was shredded. A customer with a new key counts anew.
- Workers share the files, so a budget holds for all of them together. Each also keeps the locators that it
  has counted in the window: a batch of customers known by then costs one set difference, and no file.
- What would go beyond a hard level is refused whole: a batch of reads, an entry of a tokenize call. Where
  there are several budgets, those before the one that refuses have counted it.
- Counted is whom a value or a derived answer was revealed of, before the access record is written: a read
  that then fails is counted, none is missed.
- The alert of a window, and its first refusal, are given once by whichever worker comes to it: an act in
  the access log, and `notify`.
- Who is to be suspended is noted in `due`; charging never writes to the store itself, since a comparison
  is charged inside a write session.
"""

import threading
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.records import ITEM_BYTES, LOCATOR_BYTES, MASKED, PLAIN
from vault.audit.segments import now_ms
from vault.core.trail import Trail
from vault.errors import BudgetExceededError
from vault.model.access import ANSWERS
from vault.model.controls import BudgetEvent, BudgetKind, BudgetUse
from vault.policy.budgets import Budget
from vault.policy.decision import Grants
from vault.store.sharedset import FIRST_FLAG, MEMBER_BYTES, SECOND_FLAG, SetState, SharedSet

EXPORT_WINDOW_SECONDS: Final = 86_400
_ALERTED: Final = FIRST_FLAG
_EXCEEDED: Final = SECOND_FLAG
_OUTCOMES_AT: Final = LOCATOR_BYTES + 2 + ITEM_BYTES - 1  # in a group of an access record
_ANSWERED: Final = frozenset(map(int, ANSWERS))
_EXPORTS: Final = "-"  # in place of a budget's name

_Key = tuple[str, int, int, BudgetKind]


@dataclass(slots=True)
class _Window:
    """One window that this process has open, and the locators that it has counted there."""

    start_s: int
    counted: SharedSet
    known: set[bytes]


class Budgets:
    """The windows of one process."""

    def __init__(self, directory: Path, trail: Trail) -> None:
        self.now_ms = now_ms
        self.notify: Callable[[BudgetEvent], None] = lambda _: None
        self.due: set[tuple[str, str]] = set()  # principal and budget: to be suspended
        self._directory = directory
        self._trail = trail
        self._windows: dict[_Key, _Window] = {}
        self._lock = threading.Lock()

    def charge(
        self, grants: Grants, purpose: str, locators: Sequence[bytes], groups: Sequence[bytes]
    ) -> None:
        """Counts the customers of whom a batch reveals something.

        Args:
            grants: the principal.
            purpose: why it reads.
            locators: one for each run of a customer's values.
            groups: of the same runs, as in the access record.

        Raises:
            BudgetExceededError: there are too many; nothing may be revealed.
            StorageFullError, StorageStoppedError: they cannot be counted.
        """

        def not_in(known: set[bytes]) -> set[bytes]:
            if known.issuperset(locators):  # the usual case, and the locators' hashes are at hand
                return set()
            return {
                locator
                for locator, group in zip(locators, groups, strict=True)
                if locator not in known and _reveals(group)
            }

        for budget in grants.budgets:
            if budget.customers is not None and budget.covers(purpose):
                self._charge(grants, budget, BudgetKind.READ, budget.customers, not_in)

    def compare(self, grants: Grants, locators: Set[bytes]) -> None:
        """Counts customers with whose values others are compared.

        Raises:
            BudgetExceededError: there are too many; nothing may be compared.
            StorageFullError, StorageStoppedError: it cannot be counted.
        """
        for budget in grants.budgets:
            if budget.compare is not None:
                self._charge(grants, budget, BudgetKind.COMPARE, budget.compare, set(locators).difference)

    def exports(self, grants: Grants, locator: bytes, limit: int) -> bool:
        """Counts a customer that is exported; whether it is among the first `limit` of the day (UTC)."""
        with self._lock:
            window = self._window((_EXPORTS, EXPORT_WINDOW_SECONDS, grants.id, BudgetKind.EXPORT))
            return window.counted.add({locator[:MEMBER_BYTES]}, limit, lambda _: 0)

    def use(self, principal_id: int, budgets: Sequence[Budget]) -> list[BudgetUse]:
        """What a principal has used of its budgets in the windows that run now."""
        found = []
        for budget in budgets:
            for kind, limit in ((BudgetKind.READ, budget.customers), (BudgetKind.COMPARE, budget.compare)):
                if limit is not None:
                    key = (budget.name, budget.window_seconds, principal_id, kind)
                    with self._lock:
                        window = self._window(key)
                        state = window.counted.state()
                    found.append(_use(budget, kind, limit, window.start_s, state))
        return found

    def forget(self) -> int:
        """Removes the files of windows that ended a window ago or earlier; returns how many."""
        now_s, gone = self.now_ms() // 1000, 0
        for path in self._directory.glob("*.*.*.*.*") if self._directory.is_dir() else ():
            _, seconds, _, _, start_s = path.name.rsplit(".", 4)
            if int(start_s) + 2 * int(seconds) <= now_s:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def close(self) -> None:
        """Closes the files; the windows go on."""
        with self._lock:
            for window in self._windows.values():
                window.counted.close()
            self._windows.clear()

    def _charge(
        self,
        grants: Grants,
        budget: Budget,
        kind: BudgetKind,
        limit: int,
        not_in: Callable[[set[bytes]], set[bytes]],
    ) -> None:
        with self._lock:
            window = self._window((budget.name, budget.window_seconds, grants.id, kind))
            new = not_in(window.known)
            if not new:
                return
            reaction = _Reaction(self, grants, budget, kind, limit)
            fits = window.counted.add({each[:MEMBER_BYTES] for each in new}, limit, reaction)
            if fits:
                window.known |= new
        for event in reaction.events:
            self.notify(event)
        if not fits:
            if budget.suspend:
                self.due.add((grants.name, budget.name))
            raise BudgetExceededError(
                f"more customers than the budget {budget.name} allows in this window",
                budget=budget.name,
                kind=kind.value,
                limit=str(limit),
                window_ends_s=str(window.start_s + budget.window_seconds),
            )

    def record(self, grants: Grants, act: str, event: BudgetEvent) -> None:
        """Records an alert or a first refusal."""
        self._trail.act(
            grants,
            act,
            budget=event.budget,
            kind=event.kind.value,
            customers=event.customers,
            limit=event.limit,
        )

    def _window(self, key: _Key) -> _Window:
        """The window that runs now; the process's handle on the one before is closed."""
        name, seconds, principal_id, kind = key
        now_s = self.now_ms() // 1000
        start_s = now_s - now_s % seconds
        window = self._windows.get(key)
        if window is not None and window.start_s == start_s:
            return window
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{name}.{seconds}.{principal_id}.{kind.value}.{start_s}"
        opened = _Window(start_s, SharedSet(path), set())
        if window is not None:
            window.counted.close()
        self._windows[key] = opened
        return opened


class _Reaction:
    """Decides, while the window's file is locked, whether an alert or a first refusal is due."""

    def __init__(
        self, budgets: Budgets, grants: Grants, budget: Budget, kind: BudgetKind, limit: int
    ) -> None:
        self.events: list[BudgetEvent] = []
        self._budgets = budgets
        self._grants = grants
        self._budget = budget
        self._kind = kind
        self._limit = limit

    def __call__(self, state: SetState) -> int:
        flags = 0
        if state.count >= self._budget.alert_customers(self._limit) and not state.flags & _ALERTED:
            flags |= self._note("BudgetAlert", state, _ALERTED)
        if state.count > self._limit and not state.flags & _EXCEEDED:
            flags |= self._note("BudgetExceeded", state, _EXCEEDED)
        return flags

    def _note(self, act: str, state: SetState, flag: int) -> int:
        event = BudgetEvent(
            principal=self._grants.name,
            budget=self._budget.name,
            kind=self._kind,
            customers=state.count,
            limit=self._limit,
            exceeded=flag == _EXCEEDED,
        )
        self._budgets.record(self._grants, act, event)
        self.events.append(event)
        return flag


def _reveals(group: bytes) -> bool:
    outcomes = group[_OUTCOMES_AT::ITEM_BYTES]
    return PLAIN in outcomes or MASKED in outcomes or not _ANSWERED.isdisjoint(outcomes)


def _use(budget: Budget, kind: BudgetKind, limit: int, start_s: int, state: SetState) -> BudgetUse:
    return BudgetUse(
        budget=budget.name,
        kind=kind,
        purposes=sorted(budget.purposes) if kind is BudgetKind.READ else (),
        start_ms=start_s * 1000,
        end_ms=(start_s + budget.window_seconds) * 1000,
        customers=state.count,
        alert_customers=budget.alert_customers(limit),
        limit_customers=limit,
        alerted=bool(state.flags & _ALERTED),
        exceeded=bool(state.flags & _EXCEEDED),
    )
