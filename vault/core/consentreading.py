"""GetConsentState, ListConsentEvents, GetReceipt, ExportConsents: what customers have said.

Rules:
- Each reads the customer's whole chain and verifies it, and holds it against what reads of values go by.
- Each is recorded in the access log under the customer's locator.
- The state is as of now: a consent whose end has come is shown withdrawn, with its end as the beginning of
  that, whether or not an event says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vault.consent.events import ConsentEvent
from vault.consent.receipts import ReceiptFacts, issue_receipt
from vault.consent.records import export_records
from vault.consent.standing import Standing, remaining_bases
from vault.core.again import look_again
from vault.core.directory import PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.references import customer_token, named_id, require
from vault.core.trail import Trail
from vault.errors import InvalidRequestError, PurposeUnknownError
from vault.model.access import Action
from vault.model.consent import ConsentState
from vault.model.consents import PurposeConsent, Receipt
from vault.model.ids import CustomerNo
from vault.model.requests import Caller, CustomerRef, Page
from vault.policy.decision import Grants


@dataclass(frozen=True, slots=True)
class _Told:
    """One customer's consents, as one snapshot shows them."""

    directory: Directory
    grants: Grants
    number: CustomerNo
    jurisdiction: str
    locator: bytes
    events: Sequence[ConsentEvent]
    standings: dict[int, Standing]
    now_ms: int


class ConsentReading:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    @look_again
    def state(self, caller: Caller, ref: CustomerRef, purposes: Sequence[str]) -> list[PurposeConsent]:
        """Where purposes stand with a customer: those named, else all that are declared or were spoken of.

        Raises:
            PurposeUnknownError: a purpose has never been declared.
        """
        with self._told(caller, ref) as told:
            numbers = told.directory.numbers[PURPOSE]
            declared = told.directory.access.policy.purposes
            spoken_of = [told.directory.names[PURPOSE].get(each, "") for each in sorted(told.standings)]
            if any(name not in numbers for name in purposes):
                raise PurposeUnknownError("the policy declares no such purpose")
            names = list(dict.fromkeys(purposes or [*declared, *filter(None, spoken_of)]))
            found = [_purpose_consent(told, name) for name in names]
            self._trail.act(told.grants, "GetConsentState", locators=[told.locator], purposes=len(found))
        return found

    @look_again
    def events(
        self, caller: Caller, ref: CustomerRef, purpose: str, page_size: int, page_token: str
    ) -> Page[ConsentEvent]:
        """A customer's events, oldest first, of one purpose or of all. A page token is an event's number."""
        after = int(page_token) if page_token.isdecimal() else 0
        with self._told(caller, ref) as told:
            if purpose and purpose not in told.directory.numbers[PURPOSE]:
                raise PurposeUnknownError("the policy declares no such purpose")
            later = [
                event
                for event in told.events
                if event.seq > after and (not purpose or event.purpose_name == purpose)
            ]
            page = later[:page_size]
            self._trail.act(told.grants, "ListConsentEvents", locators=[told.locator], events=len(page))
        return Page(page, str(page[-1].seq) if len(later) > len(page) else "")

    @look_again
    def receipt(self, caller: Caller, ref: CustomerRef, seq: int, domain: str) -> Receipt:
        """A signed receipt of one event.

        Raises:
            InvalidRequestError: the customer has no event of this number.
        """
        with self._told(caller, ref) as told:
            if not 0 < seq <= len(told.events):
                raise InvalidRequestError("the customer has no consent event of this number", field="event")
            facts = ReceiptFacts(
                vault_id=self._engine.vault_id,
                customer=customer_token(self._engine, told.grants.domain(domain), told.number),
                issued_ms=told.now_ms,
                event=told.events[seq - 1],
            )
            self._trail.act(told.grants, "GetReceipt", locators=[told.locator], event=seq)
        signer = self._engine.secrets.signing_key
        return Receipt(issue_receipt(facts, signer.sign, signer.key_id), signer.key_id)

    @look_again
    def export(self, caller: Caller, ref: CustomerRef, domain: str) -> bytes:
        """A customer's consent records; see `consent.records`."""
        with self._told(caller, ref) as told:
            token = customer_token(self._engine, told.grants.domain(domain), told.number)
            self._trail.act(told.grants, "ExportConsents", locators=[told.locator], events=len(told.events))
            return export_records(
                self._engine.vault_id,
                token,
                told.jurisdiction,
                told.events,
                told.standings,
                told.directory.access.policy.purposes,
                told.now_ms,
            )

    @contextmanager
    def _told(self, caller: Caller, ref: CustomerRef) -> Iterator[_Told]:
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.CONSENT)
            number = require(engine, grants, keys, ref)
            with engine.book.open(snapshot, keys, number, named_id(ref)) as customer:
                events, standings = engine.consents.standings(snapshot, customer)
                yield _Told(
                    directory=directory,
                    grants=grants,
                    number=number,
                    jurisdiction=customer.row.jurisdiction,
                    locator=customer.dek.locator(engine.book.key(number)),
                    events=events,
                    standings=standings,
                    now_ms=max(engine.now_ms(), snapshot.meta.time_floor_ms),
                )


def _purpose_consent(told: _Told, name: str) -> PurposeConsent:
    declared = told.directory.access.policy.purposes.get(name)
    standing = told.standings.get(told.directory.numbers[PURPOSE][name])
    state, since_ms = standing.at(told.now_ms) if standing is not None else (ConsentState.NONE, 0)
    return PurposeConsent(
        purpose=name,
        state=state,
        since_ms=since_ms,
        expires_ms=standing.expires_ms if standing is not None else 0,
        notice_version=standing.last.notice_version if standing is not None else "",
        event=standing.last.seq if standing is not None else 0,
        needs_consent=declared is not None and declared.needs_consent(told.jurisdiction),
        other_bases=remaining_bases(declared, told.jurisdiction, state) if declared is not None else (),
    )
