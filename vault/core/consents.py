"""A customer's consent events in the store: added, read back whole, sealed anew, ended by the ledger.

Rules:
- Event and effect are one commit: the event's row, the count and head in the sheet's terms, and the state in
  the customer row or, with an end or beyond the row, in the terms. The caller saves the customer.
- Events are read whole and held against count and head; none is believed alone.
- A consent whose end has come gets its event `expired` with the customer's next event, not before. It is
  over by time all the same, for reads as for what is told of it.
- What the ledger says of an end (`ConsentEnded`) may lack its event after a crash or a restore. It gets one
  then, with the entry's time and no more than the entry knows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from vault.consent.events import Actor, ConsentEvent, Kind, require_chain
from vault.consent.standing import Standing, standings, state_after
from vault.core.book import Book
from vault.core.directory import PURPOSE
from vault.core.opencustomer import OpenCustomer
from vault.core.rows import Rows
from vault.crypto import hazmat
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.errors import DataLossError, IntegrityFailedError
from vault.keys.opendek import OpenDek
from vault.model.consent import ConsentState
from vault.model.ids import CustomerNo
from vault.store.consents import FORMAT, HEAD, TABLE, SealedEvent, consent_aad, consent_key
from vault.store.entries import ConsentEnded, Ending
from vault.store.session import WriteSession
from vault.store.snapshot import Snapshot
from vault.store.terms import ROW_PURPOSES, TimedConsent, row_consent

LEDGER_METHOD: Final = "ledger"
ENDINGS: Final[Mapping[Kind, Ending]] = {
    Kind.WITHDRAWN: Ending.WITHDRAWN,
    Kind.REFUSED: Ending.REFUSED,
    Kind.OBJECTED: Ending.OBJECTED,
}
_KINDS: Final = {ending: kind for kind, ending in ENDINGS.items()}


class ConsentLedger:
    """The consent events of one vault's customers."""

    def __init__(self, book: Book, rows: Rows) -> None:
        self._book = book
        self._rows = rows

    def events(self, reader: Snapshot | WriteSession, customer: OpenCustomer) -> list[ConsentEvent]:
        """All events of a customer, oldest first.

        Raises:
            IntegrityFailedError: one of them was dropped, changed, added or moved.
        """
        opener = hazmat.Opener()
        with customer.dek.consent_key() as key:
            events = [
                ConsentEvent.unpack(self._open(customer.dek, key, opener, at, row))
                for at, row in reader.consents_of(self._book.key(customer.number))
            ]
        require_chain(events, customer.terms.events, customer.terms.head)
        return events

    def record(self, session: WriteSession, customer: OpenCustomer, event: ConsentEvent) -> ConsentEvent:
        """Adds an event, after those of consents whose end has come; returns it as it is chained.

        Raises:
            LimitExceededError: too many consents of this customer have an end; nothing was written.
        """
        over = [
            ConsentEvent(
                kind=Kind.EXPIRED,
                purpose=timed.purpose,
                purpose_name=purpose_name(self._rows, session, timed.purpose),
                time_ms=session.now_ms,
                acted=Actor.VAULT,
                expires_ms=timed.expires_ms,
            )
            for timed in customer.terms.consents
            if _is_over(timed, session.now_ms)
        ]
        chained = [_chain(customer, each) for each in (*over, event)]
        with customer.dek.consent_key() as key:
            for each in chained:
                self._put(session, customer, key, each)
        return chained[-1]

    def end(self, session: WriteSession, entry: ConsentEnded) -> None:
        """Does what a ledger entry says, whose effect is not in the store.

        Raises:
            VaultError: as `Book.open`.
        """
        with self._book.open(session, session, CustomerNo(entry.customer_no)) as customer:
            event = ConsentEvent(
                kind=_KINDS[entry.ending],
                purpose=entry.purpose,
                purpose_name=purpose_name(self._rows, session, entry.purpose),
                time_ms=entry.time_ms,
                method=LEDGER_METHOD,
                acted=Actor.VAULT,
            )
            self.record(session, customer, event)
            self._book.save(session, customer)

    def end_without_sheet(self, session: WriteSession, entry: ConsentEnded) -> None:
        """The same for a customer whose sheet is damaged: no event can be added, but reads are closed."""
        state = state_after(_KINDS[entry.ending], ConsentState.NONE)
        if entry.purpose > ROW_PURPOSES:
            return  # such a consent stands in the sheet, without which nothing is read
        try:
            self._book.close_consent(session, CustomerNo(entry.customer_no), entry.purpose, state)
        except (DataLossError, IntegrityFailedError):
            return  # without row or key nothing is read either

    def reseal(self, session: WriteSession, fresh: OpenCustomer, events: Iterable[ConsentEvent]) -> None:
        """Seals all events of a customer under the DEK of `fresh`. Their bytes, and so the chain, stay."""
        with fresh.dek.consent_key() as key:
            for event in events:
                self._put(session, fresh, key, event)

    def standings(
        self, reader: Snapshot | WriteSession, customer: OpenCustomer
    ) -> tuple[list[ConsentEvent], dict[int, Standing]]:
        """All events of a customer, and where each purpose stands by them.

        Raises:
            IntegrityFailedError: the chain does not hold, or row and terms say something else.
        """
        events = self.events(reader, customer)
        found = standings(events)
        said = {
            purpose: (state, 0)
            for purpose in range(1, ROW_PURPOSES + 1)
            if (state := row_consent(customer.row.consents, purpose))
        }
        said |= {each.purpose: (each.state, each.expires_ms) for each in customer.terms.consents}
        if said != {purpose: (each.state, each.expires_ms) for purpose, each in found.items()}:
            raise IntegrityFailedError
        return events, found

    def _put(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        key: hazmat.KeyPointer,
        event: ConsentEvent,
    ) -> None:
        at = consent_key(self._book.region, customer.number, event.seq)
        head = HEAD.pack(FORMAT, customer.dek.generation)
        aad = consent_aad(self._book.vault_id, at, head)
        session.put_row(TABLE, at, head + hazmat.seal(XCHACHA20_POLY1305, key, event.pack(), aad))

    def _open(
        self, dek: OpenDek, key: hazmat.KeyPointer, opener: hazmat.Opener, at: bytes, row: bytes
    ) -> bytes:
        sealed = SealedEvent.unpack(row)
        if sealed.dek_generation != dek.generation:
            raise IntegrityFailedError
        aad = consent_aad(self._book.vault_id, at, sealed.header())
        return opener.open(XCHACHA20_POLY1305, key, sealed.nonce, sealed.ciphertext, aad)


def consent_of(customer: OpenCustomer, purpose: int, now_ms: int) -> ConsentState:
    """What a customer says of a purpose at a time."""
    in_row = row_consent(customer.row.consents, purpose)
    situation, _ = customer.terms.situation(purpose, now_ms, in_row, customer.row.jurisdiction, False)
    return situation.consent


def purpose_name(rows: Rows, reader: Snapshot | WriteSession, number: int) -> str:
    """The name of a purpose, which the policy may not declare any more; empty where none has the number."""
    for key, row in reader.rows("names", PURPOSE):
        if key[:1] != PURPOSE:
            break
        if int.from_bytes(rows.open("names", key, row), "big") == number:
            return key[1:].decode()
    return ""


def _chain(customer: OpenCustomer, event: ConsentEvent) -> ConsentEvent:
    """Puts an event at the end of a customer's chain, and its effect into row and terms."""
    terms = customer.terms
    chained = replace(
        event, seq=terms.events + 1, previous=terms.head, jurisdiction=customer.row.jurisdiction
    )
    before = next(
        (each.state for each in terms.consents if each.purpose == event.purpose),
        row_consent(customer.row.consents, event.purpose),
    )
    state = state_after(event.kind, before)
    customer.set_consent(event.purpose, state, event.expires_ms if state is ConsentState.GIVEN else 0)
    customer.terms = replace(customer.terms, events=chained.seq, head=chained.digest())
    return chained


def _is_over(timed: TimedConsent, now_ms: int) -> bool:
    return timed.state is ConsentState.GIVEN and 0 < timed.expires_ms <= now_ms
