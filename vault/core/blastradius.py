"""GetBlastRadius: exactly which customers' values were read within a time, by a principal or by all.

- What the log holds is counted once (`vault.audit.tally`); whose the locators are, `naming` finds.
- A page looks at a bounded number of customers and holds a bounded number of counts, so it takes about a
  second and stays far below the largest message; it may be empty and not the last.
- The first page fixes where the time asked for ends. What was counted is kept for the pages that follow; a
  process that has not got it counts again, and ends the list if a record was added or removed meanwhile,
  rather than answer with pages of two different logs.
- Asking is recorded, once for all pages, with what was asked for.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from vault.audit.sifting import Search
from vault.audit.tally import Cell, Reads, Tally, cells, tally
from vault.core.directory import FIELD_CLASS, PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.naming import Named, Naming
from vault.core.references import customer_token, own_token
from vault.core.trail import Trail
from vault.errors import InvalidRequestError, PrincipalUnknownError, PurposeUnknownError
from vault.model.access import Action
from vault.model.blast import (
    BlastQuery,
    BlastRadius,
    CallCount,
    CustomerReads,
    LogCoverage,
    LogGap,
    ReadCounts,
)
from vault.model.ids import CustomerNo
from vault.model.requests import Caller
from vault.policy.decision import Grants

CUSTOMERS_LOOKED_AT: Final = 50_000  # by one page
MAX_PAGE_SIZE: Final = 5_000
_DEFAULT_PAGE_SIZE: Final = 1_000
_COUNTS_A_PAGE: Final = 40_000  # of field classes; some 20 bytes each in a message
_KEPT: Final = 2
_KEPT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is counted, and under which number it is kept."""

    principal_id: int | None
    purpose_id: int | None
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page begins: after which customer; how many locators were named; of how many records."""

    after: CustomerNo | None
    end_ms: int
    named: int = 0
    records: int = -1


class BlastRadii:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._naming = Naming(engine)
        self._kept = _Kept()

    def find(self, caller: Caller, query: BlastQuery) -> BlastRadius:
        """One page of it, with tokens of one of the caller's domains.

        Raises:
            DeniedError: the caller may not audit, or is not in the domain.
            PrincipalUnknownError, PurposeUnknownError: the query names none.
            InvalidRequestError: neither a principal nor a time; or the page token is not one of this list,
                or of a list that another record has come to since.
            LimitExceededError: more was read than can be counted at once.
        """
        engine = self._engine
        if not (query.principal or query.start_ms or query.end_ms):
            raise InvalidRequestError("say whose reads, or of when", field="principal")
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.AUDIT)
            domain = grants.domain(query.domain)
        position = self._position(grants, query)
        asked = _asked(directory, query, position.end_ms)
        counted = self._counted(asked, again=position.records >= 0)
        if position.records < 0:
            self._record(grants, query, asked, counted)
        elif position.records != counted.completeness.records:
            raise InvalidRequestError(
                "the access log has changed: ask from the first page", field="page_token"
            )
        return self._page(query, directory, domain, position, counted)

    def _page(
        self, query: BlastQuery, directory: Directory, domain: int, position: _Position, counted: Tally
    ) -> BlastRadius:
        size = min(query.page_size or _DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        classes = max(1, len(counted.totals))
        page = self._naming.look(
            position.after,
            counted.customers.keys(),
            rows=max(1, min(size, _COUNTS_A_PAGE // classes)),
            customers=CUSTOMERS_LOOKED_AT,
        )
        found = sum(len(named.locators) for named in page.found)
        named = position.named + found
        following = ""
        if page.more and page.last is not None and named < len(counted.customers):
            token = customer_token(self._engine, domain, page.last)
            following = f"{token}.{position.end_ms}.{named}.{counted.completeness.records}"
        rows = [self._row(each, counted, directory, domain) for each in page.found]
        return BlastRadius(
            customers=[row for row in rows if row.counts],
            next_page_token=following,
            end_ms=position.end_ms,
            first_ms=counted.first_ms,
            last_ms=counted.last_ms,
            totals=_counts(counted.totals, directory),
            unnamed={reason.value: count for reason, count in sorted(counted.unnamed.items())},
            calls=_calls(counted),
            coverage=_coverage(counted),
            locators=len(counted.customers),
            locators_found=found,
        )

    def _row(self, named: Named, counted: Tally, directory: Directory, domain: int) -> CustomerReads:
        parts: list[Reads] = [counted.customers[locator] for locator in named.locators]
        items = parts[0].items if len(parts) == 1 else b"".join(part.items for part in parts)
        return CustomerReads(
            customer_token=customer_token(self._engine, domain, named.number),
            jurisdiction=named.jurisdiction,
            first_ms=min(part.first_ms for part in parts),
            last_ms=max(part.last_ms for part in parts),
            counts=_counts(cells([items]), directory),
        )

    def _counted(self, asked: _Asked, *, again: bool) -> Tally:
        counted = self._kept.get(asked) if again else None
        if counted is None:
            search = Search(asked.principal_id, asked.start_ms, asked.end_ms, with_gaps=True)
            counted = tally(self._engine.audit_directory, search, asked.purpose_id)
            self._kept.put(asked, counted)
        return counted

    def _position(self, grants: Grants, query: BlastQuery) -> _Position:
        if not query.page_token:
            return _Position(None, query.end_ms or self._engine.now_ms())
        token, *numbers = query.page_token.split(".")
        if len(numbers) != 3 or not all(each.isdecimal() and len(each) <= 18 for each in numbers):
            raise InvalidRequestError("the page token is not one of this list", field="page_token")
        end_ms, named, records = map(int, numbers)
        return _Position(own_token(self._engine, grants, token).customer_no, end_ms, named, records)

    def _record(self, grants: Grants, query: BlastQuery, asked: _Asked, counted: Tally) -> None:
        self._trail.act(
            grants,
            "GetBlastRadius",
            name=query.principal,
            purpose=query.purpose,
            start_ms=asked.start_ms,
            end_ms=asked.end_ms,
            locators_listed=len(counted.customers),
        )


class _Kept:
    """The last questions' counts, for a while. Any thread may call."""

    def __init__(self) -> None:
        self._found: OrderedDict[_Asked, tuple[float, Tally]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, asked: _Asked) -> Tally | None:
        """What was counted, unless it is too old."""
        with self._lock:
            self._forget()
            kept = self._found.get(asked)
            return kept[1] if kept is not None else None

    def put(self, asked: _Asked, counted: Tally) -> None:
        """Keeps it, in place of the oldest if there are many."""
        with self._lock:
            self._forget()
            self._found[asked] = (time.monotonic(), counted)
            self._found.move_to_end(asked)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)

    def _forget(self) -> None:
        since = time.monotonic() - _KEPT_SECONDS
        for asked in [asked for asked, (at, _) in self._found.items() if at < since]:
            del self._found[asked]


def _asked(directory: Directory, query: BlastQuery, end_ms: int) -> _Asked:
    principal_id = purpose_id = None
    if query.principal:
        known = directory.principals.get(query.principal)
        if known is None:
            raise PrincipalUnknownError("no such principal")
        principal_id = known.id
    if query.purpose:
        purpose_id = directory.numbers[PURPOSE].get(query.purpose)
        if purpose_id is None:
            raise PurposeUnknownError("the policy declares no such purpose")
    return _Asked(principal_id, purpose_id, query.start_ms, end_ms)


def _counts(found: dict[int, Cell], directory: Directory) -> dict[str, ReadCounts]:
    names = directory.names[FIELD_CLASS]
    return {names.get(number, ""): ReadCounts(*cell) for number, cell in found.items()}


def _calls(counted: Tally) -> list[CallCount]:
    return [
        CallCount(call.action, call.break_glass, call.reason.value if call.reason else "", count)
        for call, count in sorted(counted.calls.items(), key=lambda each: (-each[1], each[0].action))
    ]


def _coverage(counted: Tally) -> LogCoverage:
    found = counted.completeness
    return LogCoverage(
        leaves=found.leaves,
        records=found.records,
        records_sealed=found.sealed,
        unsealed_ms=found.unsealed_ms,
        gaps=[LogGap(gap.start_ms, gap.end_ms, gap.cause) for gap in found.gaps],
        gap_count=found.gap_count,
        removed=found.removed,
        removed_until_ms=found.removed_until_ms,
        damaged=found.damaged,
    )
