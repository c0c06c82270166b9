"""Brings old values up to the ledger: what it says has happened since is done to them, once, in one commit.

The store's own recovery finishes what a crash interrupted, so it may call an entry void whose effect is not
there. Here the effect is missing because the values are old, and nothing is void:

    SHRED                 as in recovery: keys removed, tombstone and erasure row written
    VALUES_DELETED        as in recovery: the values become tombstones
    VALUES_CORRECTED      a floor: an older version is removed, so that its token answers DATA_LOSS
    GENERATION_REPLACED   nothing: the values open under the old generation, which is kept for them, and is
                          replaced again by the next rotation
    GENERATION_SHREDDED   its key row is removed; a customer whose values need it is lost
    PRINCIPAL_REVOKED     as in recovery
    TERMS_NARROWED        as in recovery: in order, so that the last word on each restriction and hold counts
    ERASURE_WAITS         as in recovery
    CONSENT_ENDED         as in recovery: what was given anew since then is not in the copy, and is lost
    TOKENS_ENDED          as in recovery: what was used or revoked since the copy is not usable again
    EPOCH_CURRENT         nothing, but void if the crash was before that keyring came into use
    NAMES_NUMBERED        nothing: whatever the ledger says was given is skipped from now on
    VOID                  the entry that it names is passed over

Then keys and values are held against each other. A customer that has keys and no values, or values and no
key, is lost: nothing of it stays, what is left of its keys is destroyed by an entry GENERATION_SHREDDED each,
and its tokens answer DATA_LOSS. An erasure that waited for a hold on such a customer is over: nothing is left
to hold, and an entry SHRED says so. Last comes RESTORED, with the incarnation that new value numbers carry.

The keyring may be a copy that is older than the values, so the ledger's shreds are done to it from the first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from vault.core.directory import skip_numbers
from vault.core.erasures import ERASURES, ErasureRow
from vault.core.offline import Offline
from vault.errors import CustomerUnknownError, DataLossError, IntegrityFailedError, ShreddedError
from vault.model.ids import CUSTOMER_ROW, CustomerNo, ValueNo
from vault.store.entries import (
    ConsentEnded,
    EpochCurrent,
    ErasureWaits,
    GenerationShredded,
    NamesNumbered,
    NumbersReserved,
    PrincipalRevoked,
    Restored,
    Shred,
    TermsNarrowed,
    TokensEnded,
    ValuesCorrected,
    ValuesDeleted,
    Void,
)
from vault.store.layout import (
    CustomerRow,
    ValueHeader,
    customer_key,
    split_dek_key,
    split_value_key,
    value_key,
)
from vault.store.ledger import LedgerEntry
from vault.store.session import WriteSession


@dataclass(slots=True)
class LedgerFacts:
    """What a restore has to know of the whole ledger."""

    last: LedgerEntry | None = None
    reserved_until: int = 1
    restores: int = 0
    named_up_to: dict[bytes, int] = field(default_factory=dict)  # highest number given, by kind of name
    shreds: dict[int, int] = field(default_factory=dict)  # entry by customer
    generations_shredded: set[tuple[int, int]] = field(default_factory=set)  # (customer, generation)
    epochs: list[tuple[int, int]] = field(default_factory=list)  # (entry, epoch that came into use with it)

    @classmethod
    def of(cls, entries: Iterable[LedgerEntry]) -> "LedgerFacts":
        """Reads the ledger."""
        facts = cls()
        for entry in entries:
            facts.last = entry
            match entry.payload:
                case NumbersReserved(up_to=up_to):
                    facts.reserved_until = max(facts.reserved_until, up_to)
                case Restored():
                    facts.restores += 1
                case NamesNumbered(kind=kind, up_to=up_to):
                    facts.named_up_to[kind] = max(up_to, facts.named_up_to.get(kind, 0))
                case Shred(customer_no=number):
                    facts.shreds[number] = entry.seq
                case GenerationShredded(customer_no=number, generation=generation):
                    facts.generations_shredded.add((number, generation))
                case EpochCurrent(epoch=epoch):
                    facts.epochs.append((entry.seq, epoch))
                case Void(seq=seq):
                    facts.epochs = [each for each in facts.epochs if each[0] != seq]
        return facts

    @property
    def epoch(self) -> int:
        """The epoch in use after the last entry."""
        return self.epochs[-1][1] if self.epochs else 0


@dataclass(slots=True)
class Reapplied:
    """What became of the old values. Customers by number; values as (customer, value number)."""

    incarnation: int = 0
    shredded: list[int] = field(default_factory=list)
    deleted: list[tuple[int, int]] = field(default_factory=list)
    outdated: list[tuple[int, int]] = field(default_factory=list)  # corrected since: removed
    consents_ended: int = 0  # withdrawn, refused or objected to since
    lost_newer: list[int] = field(default_factory=list)  # came after the copy
    lost_generation: list[int] = field(default_factory=list)  # re-sealed since, the old key destroyed
    lost_key: list[int] = field(default_factory=list)  # not in the keyring, and no entry says why


class Reapplying:
    """One restore's work within one write session."""

    def __init__(self, vault: Offline, session: WriteSession, facts: LedgerFacts) -> None:
        self._vault = vault
        self._session = session
        self._facts = facts
        self._done = Reapplied(incarnation=facts.restores + 1)

    def run(self) -> Reapplied:
        """Does everything and commits.

        Raises:
            IntegrityFailedError: the values know more restores than the ledger.
        """
        session, done, facts = self._session, self._done, self._facts
        copied_seq = session.meta.applied
        if session.meta.incarnation >= done.incarnation:
            raise IntegrityFailedError
        self._destroy_keys()
        floors = self._follow()
        for (number, value_no), version in floors.items():
            if self._is_older(number, value_no, version):
                self._remove_value(number, value_no)
        self._compare_with_keyring(facts)
        self._end_erasures_of_lost()
        for kind, up_to in facts.named_up_to.items():
            skip_numbers(self._vault.rows, session, kind, up_to)
        session.meta.incarnation = done.incarnation
        session.append(Restored(done.incarnation, copied_seq))
        session.commit()
        return done

    def _destroy_keys(self) -> None:
        """Whatever the ledger says was destroyed is not in the keyring."""
        session, region = self._session, self._vault.region
        for number in self._facts.shreds:
            for generation in session.generations(region, number):
                session.delete_dek(region, number, generation)
        for number, generation in self._facts.generations_shredded:
            session.delete_dek(region, number, generation)

    def _follow(self) -> dict[tuple[int, int], int]:
        """Does what the entries since the copy say; returns the version floors that they set.

        The ledger is read twice rather than kept: since an old backup, it may hold millions of entries.
        """
        session, vault, done = self._session, self._vault, self._done
        void = {each.payload.seq for each in session.pending_entries() if isinstance(each.payload, Void)}
        last = self._facts.last
        floors: dict[tuple[int, int], int] = {}
        for entry in session.pending_entries():
            if entry.seq in void:
                continue
            match entry.payload:
                case Shred(customer_no=number):
                    if self._row(number) is not None:
                        done.shredded.append(number)
                    vault.recovery.finish(session, entry)
                case ValuesDeleted(values=values):
                    done.deleted += [each for each in values if self._record(*each) is not None]
                    vault.recovery.finish(session, entry)
                case ValuesCorrected(values=values):
                    for number, value_no, version in values:
                        floors[number, value_no] = max(version, floors.get((number, value_no), 0))
                case TermsNarrowed() | ErasureWaits() | TokensEnded():
                    vault.recovery.finish(session, entry)
                case ConsentEnded(customer_no=number):
                    if self._row(number) is not None:
                        done.consents_ended += 1
                    vault.recovery.finish(session, entry)
                case PrincipalRevoked() | EpochCurrent():
                    if isinstance(entry.payload, PrincipalRevoked) or (last and entry.seq == last.seq):
                        vault.recovery.finish(session, entry)
        return floors

    def _is_older(self, number: int, value_no: int, version: int) -> bool:
        record = self._record(number, value_no)
        if record is None:
            return False  # it came after the copy
        header = ValueHeader.unpack(record)
        return not header.deleted and header.version < version

    def _remove_value(self, number: int, value_no: int) -> None:
        """Removes a value whose newer version is lost; no tombstone, for nobody deleted it."""
        session, book = self._session, self._vault.book
        self._done.outdated.append((number, value_no))
        try:
            with book.open(session, session, CustomerNo(number)) as customer:
                if customer.entry(value_no) is not None:
                    customer.drop_entry(value_no)
                    book.save(session, customer)
        except (CustomerUnknownError, ShreddedError, DataLossError, IntegrityFailedError):
            pass  # whoever cannot be opened cannot be served either
        session.delete_value(value_key(self._vault.region, number, ValueNo(value_no)))

    def _compare_with_keyring(self, facts: LedgerFacts) -> None:
        session, region, done = self._session, self._vault.region, self._done
        for key, raw in list(session.customers()):
            number, row = int(split_value_key(key)[1]), CustomerRow.unpack(raw)
            if row.shredded or session.dek(region, number, row.dek_generation) is not None:
                continue
            known = (number, row.dek_generation) in facts.generations_shredded
            (done.lost_generation if known else done.lost_key).append(number)
            self._remove_customer(number)
        removed = {*done.lost_generation, *done.lost_key}
        for number in sorted({int(split_dek_key(key)[1]) for key, _ in session.deks()}):
            if self._row(number) is None:
                if number not in removed:
                    done.lost_newer.append(number)
                self._remove_keys(number)

    def _end_erasures_of_lost(self) -> None:
        """Of a customer that is not there any more no hold keeps anything."""
        session, vault = self._session, self._vault
        for key, raw in list(session.rows(ERASURES)):
            row = ErasureRow.unpack(vault.rows.open(ERASURES, key, raw))
            if row.waiting is None or self._row(row.customer_no) is not None:
                continue
            entry = Shred(
                shred_id=bytes(key),
                region=vault.region,
                customer_no=row.customer_no,
                generations=row.generations,
                values=row.values,
                commitment=row.commitment,
                principal_id=row.waiting.principal_id,
            )
            seq = session.append(entry)
            vault.effects.shred(session, seq, session.now_ms, entry)

    def _remove_customer(self, number: int) -> None:
        session, region = self._session, self._vault.region
        session.delete_customer_values(region, number)
        session.delete_sheet(customer_key(region, number))
        session.delete_consents(customer_key(region, number))
        session.delete_value(value_key(region, number, CUSTOMER_ROW))

    def _remove_keys(self, number: int) -> None:
        session, region = self._session, self._vault.region
        for generation in session.generations(region, number):
            session.append(GenerationShredded(region, number, generation))
            session.delete_dek(region, number, generation)

    def _row(self, number: int) -> bytes | None:
        return self._session.get(value_key(self._vault.region, number, CUSTOMER_ROW))

    def _record(self, number: int, value_no: int) -> bytes | None:
        return self._session.get(value_key(self._vault.region, number, ValueNo(value_no)))
