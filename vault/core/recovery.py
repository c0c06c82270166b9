"""Finishes what the ledger says and the stores do not yet show.

Whoever takes the write lock calls this first. Crash recovery and the unfinished work of a dead worker are
this one path, so every effect here is idempotent. A restore (`reapplying`) takes from it what holds for old
values, too:

    SHRED                 key rows, index row, values, sheet and consent events removed; tombstone and erasure
                          row written
    VALUES_DELETED        the values become tombstones
    VALUES_CORRECTED      void, if the new value did not reach the store: its caller was told of no success;
                          search rows that the index had given up for it are put back
    GENERATION_REPLACED   void, if the re-sealed values did not reach the store
    GENERATION_SHREDDED   the key row of that generation removed
    PRINCIPAL_REVOKED     the principal is marked revoked
    SIGNING_KEY_CHANGED   the key that waited in the keyring becomes the signing key
    EPOCH_CURRENT         void, if that keyring did not come into use
    TERMS_NARROWED        the restriction, hold or expiry is set or ended
    ERASURE_WAITS         the customer is closed and the erasure listed; the keeper does the rest (`erasing`)
    CONSENT_ENDED         the consent ends, and an event says so
    TOKENS_ENDED          the issued tokens are used, or revoked
    others                speak for themselves; nothing to do
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from vault.core.book import Book
from vault.core.directory import RegisteredPrincipal, changed, principal_rows
from vault.core.effects import Effects
from vault.core.replay import remember_finished
from vault.core.rows import Rows
from vault.core.secrets import adopt
from vault.errors import CustomerUnknownError, DataLossError, IntegrityFailedError, ShreddedError
from vault.keys.keyrings import Keyrings
from vault.model.ids import CustomerNo, Generation, Region
from vault.store.entries import (
    ConsentEnded,
    EpochCurrent,
    ErasureWaits,
    GenerationReplaced,
    GenerationShredded,
    PrincipalRevoked,
    Shred,
    SigningKeyChanged,
    TermsNarrowed,
    TokensEnded,
    ValuesCorrected,
    ValuesDeleted,
    Void,
)
from vault.store.ledger import LedgerEntry
from vault.store.session import WriteSession

_PRINCIPALS = "principals"


class Recovery:
    """Applies pending ledger entries in a write session."""

    def __init__(
        self,
        book: Book,
        keyrings: Keyrings,
        rows: Rows,
        effects: Effects,
        region: Region,
        request_id_hours: int,
    ) -> None:
        self._book = book
        self._keyrings = keyrings
        self._rows = rows
        self._effects = effects
        self._region = region
        self._request_id_hours = request_id_hours

    def __call__(self, session: WriteSession) -> None:
        """Finishes every entry that the stores have not seen."""
        for entry in session.pending_entries():
            self.finish(session, entry)

    def finish(self, session: WriteSession, entry: LedgerEntry) -> None:
        """Does what one entry says."""
        match entry.payload:
            case Shred():
                self._effects.shred(session, entry.seq, entry.time_ms, entry.payload)
            case ValuesDeleted(values=values, request=request):
                for number, value_no in values:
                    self._effects.delete_value(session, CustomerNo(number), value_no)
                remember_finished(self._rows, session, request, self._expires_s(entry))
            case ValuesCorrected(values=values):
                if any(self._is_older(session, CustomerNo(c), v, version) for c, v, version in values):
                    session.append(Void(entry.seq))
                self._find_again(session, {number for number, _, _ in values})
            case GenerationReplaced(customer_no=number, new=new):
                row = self._book.row(session, CustomerNo(number))
                if row is not None and not row.shredded and row.dek_generation < new:
                    session.append(Void(entry.seq))
            case GenerationShredded(customer_no=number, generation=generation):
                session.delete_dek(self._region, CustomerNo(number), Generation(generation))
            case EpochCurrent(epoch=epoch):
                if epoch != session.epoch:
                    session.append(Void(entry.seq))
            case SigningKeyChanged(public_key=public_key):
                adopt(session, self._keyrings.at(session.epoch), public_key)
                changed(self._rows, session)  # so that every process reads its secrets again
            case ConsentEnded():
                self._effects.end_consent(session, entry.payload)
            case TokensEnded(request=request):
                self._effects.end_tokens(session, entry.payload, entry.time_ms)
                remember_finished(self._rows, session, request, self._expires_s(entry))
            case PrincipalRevoked(principal_id=principal_id):
                self._revoke(session, principal_id, entry.time_ms)
            case TermsNarrowed(customer_no=number, id=narrowed, request=request):
                self._effects.narrow(session, entry.payload)
                answer = [number, narrowed]
                remember_finished(self._rows, session, request, self._expires_s(entry), answer)
            case ErasureWaits():
                self._effects.wait(session, entry.seq, entry.time_ms, entry.payload)

    def _find_again(self, session: WriteSession, numbers: Collection[int]) -> None:
        """Puts back search rows that the index lost, which commits before `values`."""
        for number in sorted(numbers):
            with (
                suppress(CustomerUnknownError, ShreddedError, DataLossError, IntegrityFailedError),
                self._book.open(session, session, CustomerNo(number)) as customer,
            ):
                self._book.search.restore(session, CustomerNo(number), customer.lines.values())

    def _expires_s(self, entry: LedgerEntry) -> int:
        return entry.time_ms // 1000 + self._request_id_hours * 3600

    def _is_older(self, session: WriteSession, number: CustomerNo, value_no: int, version: int) -> bool:
        row = self._book.row(session, number)
        if row is None or row.shredded:
            return False
        try:
            return self._book.version(session, number, value_no) < version
        except DataLossError:
            return True

    def _revoke(self, session: WriteSession, principal_id: int, time_ms: int) -> None:
        for key, row in principal_rows(session):
            principal = RegisteredPrincipal.unpack(key.decode(), self._rows.open(_PRINCIPALS, key, row))
            if principal.id == principal_id and not principal.revoked_ms:
                revoked = replace(principal, revoked_ms=time_ms)
                self._rows.put(session, _PRINCIPALS, key, revoked.pack())
                changed(self._rows, session)
