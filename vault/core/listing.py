"""ListAccess: who did what and why, by customer, principal, time, field class, purpose, action and decision.

Looking at the log is an access itself. A list is recorded when it begins, with what was asked and how many
accesses its first page has, before that page is shown. Its other pages, and whoever follows the log, are
recorded once an hour, and anew by each process that is asked. So following the log does not fill it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vault.audit import reader, recorded
from vault.audit.filtering import Named
from vault.audit.folding import AccessSummary
from vault.audit.layout import FOREVER_MS
from vault.core.again import look_again
from vault.core.directory import FIELD_CLASS, PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.references import named_id, require
from vault.core.trail import OPERATOR, Trail
from vault.errors import InvalidRequestError, PrincipalUnknownError, PurposeUnknownError
from vault.model.access import Action
from vault.model.ids import CustomerNo
from vault.model.requests import Access, AccessPage, AccessQuery, Caller
from vault.policy.decision import Grants
from vault.store.snapshot import KeyringSnapshot, Snapshot

AGAIN_SECONDS: Final = 3600.0
MAX_ACTIONS: Final = 32
_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class _Question:
    """What a caller asks, apart from the page."""

    principal_id: int
    locators: frozenset[bytes] | None
    asked: tuple[tuple[str, object], ...]


class Listing:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._recorded: OrderedDict[_Question, float] = OrderedDict()
        self._lock = threading.Lock()

    @look_again
    def list_access(self, caller: Caller, query: AccessQuery) -> AccessPage:
        """One page of accesses: newest first, or in the order recorded.

        A shredded customer has none: the key that names it in the log is gone.

        Raises:
            DeniedError: the caller may not audit.
            CustomerUnknownError, PrincipalUnknownError, PurposeUnknownError: no such name.
            InvalidRequestError: the page token is not one of this list, or there is no such field class.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.AUDIT)
            locators = None
            if query.customer is not None:
                number = require(engine, grants, keys, query.customer)
                locators = frozenset(self._locators(snapshot, keys, number, named_id(query.customer)))
        wanted = _filter(directory, query, locators)
        token, complete = "", False
        if query.as_recorded:
            listed = recorded.list_recorded(engine.audit_directory, wanted, only_new=query.only_new)
            found, token, complete = listed.accesses, listed.next_page_token, listed.is_complete
        else:
            page = reader.list_access(engine.audit_directory, wanted)
            found, token, complete = page.accesses, page.next_page_token, not page.next_page_token
        self._record(grants, query, locators, len(found))
        return AccessPage([_access(each, directory) for each in found], token, complete)

    def _record(
        self, grants: Grants, query: AccessQuery, locators: frozenset[bytes] | None, listed: int
    ) -> None:
        """Records the list, unless it goes on from what was recorded within the hour."""
        asked = _asked(query)
        hashable = tuple(sorted((name, str(value)) for name, value in asked.items()))
        question, now = _Question(grants.id, locators, hashable), time.monotonic()
        with self._lock:
            before = self._recorded.get(question)
        if query.page_token and before is not None and now - before < AGAIN_SECONDS:
            return
        self._trail.act(grants, "ListAccess", locators=sorted(locators or ()), listed=listed, **asked)
        with self._lock:
            self._recorded[question] = now
            self._recorded.move_to_end(question)
            while len(self._recorded) > _REMEMBERED:
                self._recorded.popitem(last=False)

    def _locators(
        self, snapshot: Snapshot, keys: KeyringSnapshot, number: CustomerNo, external_id: bytes
    ) -> list[bytes]:
        """Every name under which the customer stands in the log: one for each DEK generation."""
        book = self._engine.book
        with book.open(snapshot, keys, number, external_id) as customer:
            return [*customer.past_locators, customer.dek.locator(book.key(number))]


def _filter(
    directory: Directory, query: AccessQuery, locators: frozenset[bytes] | None
) -> reader.AccessFilter:
    if len(query.actions) > MAX_ACTIONS:
        raise InvalidRequestError(f"at most {MAX_ACTIONS} actions", field="actions")
    principal_id, principal = None, ""
    known = directory.principals.get(query.principal)
    if known is not None:
        principal_id = known.id
    elif query.principal == OPERATOR:
        principal = OPERATOR
    elif query.principal:
        raise PrincipalUnknownError("no such principal")
    field_class = purpose = None
    if query.field_class:
        number = directory.numbers[FIELD_CLASS].get(query.field_class)
        if number is None:
            raise InvalidRequestError("no such field class", field="field_class")
        field_class = Named(number, query.field_class)
    if query.purpose:
        number = directory.numbers[PURPOSE].get(query.purpose)
        if number is None:
            raise PurposeUnknownError("no such purpose")
        purpose = Named(number, query.purpose)
    return reader.AccessFilter(
        locators=locators,
        principal_id=principal_id,
        principal=principal,
        start_ms=query.start_ms,
        end_ms=query.end_ms,
        field_class=field_class,
        purpose=purpose,
        actions=frozenset(query.actions),
        decision=query.decision,
        page_size=query.page_size,
        page_token=query.page_token,
    )


def _asked(query: AccessQuery) -> Mapping[str, Any]:
    """What is asked, for the record; not under the names by which an act says what it is about."""
    asked: dict[str, Any] = {
        "of": query.principal,
        "class": query.field_class,
        "for": query.purpose,
        "actions": sorted(query.actions),
        "decision": query.decision.name.lower() if query.decision is not None else "",
        "start_ms": query.start_ms,
        "end_ms": query.end_ms if query.end_ms < FOREVER_MS else 0,
        "order": "recorded" if query.as_recorded else "",
    }
    return {name: value for name, value in asked.items() if value}


def _access(found: AccessSummary, directory: Directory) -> Access:
    classes = (directory.names[FIELD_CLASS].get(number, "") for number in found.field_class_ids)
    return Access(
        time_ms=found.time_ms,
        principal=found.principal or directory.principal_names.get(found.principal_id, ""),
        action=found.action,
        purpose=directory.names[PURPOSE].get(found.purpose_id, ""),
        values_plain=found.values_plain,
        values_masked=found.values_masked,
        values_denied=found.values_denied,
        customers=found.customers,
        field_classes=sorted(name for name in classes if name),
        reasons=sorted(reason.value for reason in found.reasons),
        detail=found.detail,
        basis=found.basis,
        break_glass=found.break_glass,
        leaf=found.leaf,
    )
