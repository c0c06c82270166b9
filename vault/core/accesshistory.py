"""GetAccessHistory: what was done with one customer's data, told to the customer.

- Read from the same records as ListAccess by customer: through the sealed log's index, and whatever is not
  sealed yet. Newest first; asking is itself recorded, and shows from then on.
- Told are who, what, why and when. Whether a value was shown in full, in part or not at all is told by field
  class; values are not told, nor other customers of the same call.
- The basis is the one that the caller stated. Where it stated none, it is the first that today's policy gives
  the purpose in the customer's jurisdiction, and `basis_stated` says so.
- The history goes with the customer's key. After a shred nothing leads from the customer to the records, so
  an erased customer gets none, and is told so by the error.
"""

from dataclasses import dataclass

from vault.audit.filtering import action_name, breaks_glass, told_in
from vault.audit.reader import AccessFilter, Entry, list_entries, looking_again, open_log
from vault.audit.records import ActRecord, ReadRecord, reason_of
from vault.audit.tally import cells
from vault.core.again import look_again
from vault.core.directory import FIELD_CLASS, PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.references import named_id, require
from vault.core.trail import OPERATOR, Trail
from vault.core.wording.telling import Happening, purpose_text, tell, words_for
from vault.core.wording.words import Words
from vault.errors import CustomerUnknownError, Reason, ShreddedError
from vault.model.access import Action
from vault.model.blast import ReadCounts
from vault.model.consent import LawfulBasis
from vault.model.history import AccessEvent, AccessHistory, HistoryQuery
from vault.model.requests import Caller
from vault.policy.decision import Grants

_ERASED = (
    "the customer was erased, and the access history with it: no key leads to the records any more; "
    "the certificate of the erasure says what was done and when"
)
_UNKNOWN = "no such customer; of one that was erased, there is no access history any more"


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whose history is asked for, and in which words it is told."""

    locators: frozenset[bytes]
    jurisdiction: str
    directory: Directory
    words: Words
    locale: str


class AccessHistories:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    @look_again
    def page(self, caller: Caller, query: HistoryQuery) -> AccessHistory:
        """One page of it, newest first.

        Raises:
            DeniedError: the caller may not audit.
            CustomerUnknownError, ShreddedError: there is nobody, or nobody any more.
            InvalidRequestError: the page token is not one of this list.
        """
        grants, subject = self._subject(caller, query)
        directory = self._engine.audit_directory
        wanted = AccessFilter(
            locators=subject.locators,
            start_ms=query.start_ms,
            end_ms=query.end_ms,
            page_size=query.page_size,
            page_token=query.page_token,
        )
        found = list_entries(directory, wanted)
        removed = looking_again(lambda: open_log(directory)[1].removed_spans())
        self._trail.act(
            grants, "GetAccessHistory", locators=sorted(subject.locators), listed=len(found.entries)
        )
        return AccessHistory(
            events=[_told(entry, subject) for entry in found.entries],
            next_page_token=found.next_page_token,
            locale=subject.words.locale,
            removed_until_ms=max((span.last_ms for span in removed), default=0),
        )

    def _subject(self, caller: Caller, query: HistoryQuery) -> tuple[Grants, _Subject]:
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.AUDIT)
            try:
                number = require(engine, grants, keys, query.customer)
                with engine.book.open(snapshot, keys, number, named_id(query.customer)) as customer:
                    locators = [*customer.past_locators, customer.dek.locator(engine.book.key(number))]
                    jurisdiction = customer.row.jurisdiction
            except ShreddedError as error:
                raise ShreddedError(_ERASED) from error
            except CustomerUnknownError as error:
                raise CustomerUnknownError(_UNKNOWN) from error
        words = words_for(query.locale)
        return grants, _Subject(frozenset(locators), jurisdiction, directory, words, query.locale)


def _told(entry: Entry, subject: _Subject) -> AccessEvent:
    record = entry.record
    event = _read(record, subject) if isinstance(record, ReadRecord) else _act(record, subject)
    purpose_name, happening = event
    return AccessEvent(
        time_ms=record.time_ms,
        principal=happening.who,
        action=happening.action,
        purpose=purpose_name,
        purpose_description=happening.purpose,
        basis=happening.basis,
        basis_stated=happening.basis_stated,
        counts=happening.counts,
        reasons=[reason.value for reason in happening.reasons],
        break_glass=happening.break_glass,
        text=tell(subject.words, happening),
        leaf=entry.leaf,
    )


def _read(record: ReadRecord, subject: _Subject) -> tuple[str, Happening]:
    """The customer's own part of a read."""
    directory = subject.directory
    own = [group for group in record.groups if group.locator in subject.locators]
    items = b"".join(group.items for group in own)
    names = directory.names[FIELD_CLASS]
    counted = sorted((names.get(number, ""), cell) for number, cell in cells([items]).items())
    reasons = {reason_of(outcome) for group in own for outcome in group.outcomes} - {None}
    name = directory.names[PURPOSE].get(record.purpose_id, "")
    purpose, basis = _purpose(name, subject)
    return name, Happening(
        who=directory.principal_names.get(record.principal_id, ""),
        action=action_name(record.action),
        is_read=True,
        counts={name: ReadCounts(*cell) for name, cell in counted},
        reasons=sorted(reason for reason in reasons if reason is not None),
        purpose=purpose,
        basis=record.basis or basis,
        basis_stated=record.basis is not None,
        break_glass=breaks_glass(record),
    )


def _act(record: ActRecord, subject: _Subject) -> tuple[str, Happening]:
    detail = told_in(record.detail)
    name = str(detail.get("purpose", ""))
    purpose, _ = _purpose(name, subject)
    who = record.principal or subject.directory.principal_names.get(record.principal_id, "")
    reason: Reason | None = reason_of(record.outcome)
    return name, Happening(
        who="" if who == OPERATOR else who,
        action=record.action,
        is_read=False,
        reasons=[] if reason is None else [reason],
        what=str(detail.get("field_class", "")),
        purpose=purpose,
    )


def _purpose(name: str, subject: _Subject) -> tuple[str, LawfulBasis | None]:
    """What a purpose is, and on which basis it stands by default; the bare name of one declared no longer."""
    declared = subject.directory.access.policy.purposes.get(name)
    if declared is None:
        return name.replace("_", " "), None
    bases = declared.bases_in(subject.jurisdiction)
    return purpose_text(declared, subject.locale), bases[0] if bases else None
