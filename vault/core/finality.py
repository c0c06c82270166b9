"""The rule of finality, fed with a vault's ledger.

    ledger entry                         event
    EPOCH_INTENT                         AttemptBegun
    EPOCH_CURRENT                        EpochEntered, by the last attempt begun at that epoch
    EPOCH_ABANDONED                      AttemptAbandoned
    ROOT_KEY_ENDING, ROOT_KEY_ENDED      DestructionRequested, DestructionConfirmed
    RESTORED                             Restored, of the keyring in use
    KEYRING_COPIED, _VERIFIED            KeyringCopied, KeyringVerified, of whoever entered that epoch
    NUMBERS_RESERVED                     NumbersReserved
    GENERATION_REPLACED, _SHREDDED       GenerationCreated, GenerationShredded
    SHRED                                CustomerShredded
    VALUES_DELETED, VALUES_CORRECTED     ValuesErased
    others                               nothing

Rules:
- Only entries whose effect is done are read (`meta.applied`). Later ones may still be voided or cut.
- A voided entry has not happened. If it was about root keys, everything about root keys is told anew
  without it; there are a handful of such entries for each epoch.
- Each process reads on from where it last stopped. It keeps what is about root keys, and the few entries
  that reserve numbers: nothing for a customer. A ledger that has become shorter is read from its start.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.erasure import events
from vault.erasure.events import Unit
from vault.erasure.finality import Finality
from vault.erasure.spans import Spans
from vault.errors import IntegrityFailedError
from vault.model.assurance import Assurance
from vault.model.ids import CustomerNo, Epoch, Generation, Region
from vault.store import entries
from vault.store.entries import EntryType
from vault.store.ledger import LedgerEntry
from vault.store.store import Store

_READ: Final = frozenset(
    {
        EntryType.NUMBERS_RESERVED,
        EntryType.VOID,
        EntryType.EPOCH_INTENT,
        EntryType.EPOCH_CURRENT,
        EntryType.EPOCH_ABANDONED,
        EntryType.ROOT_KEY_ENDING,
        EntryType.ROOT_KEY_ENDED,
        EntryType.RESTORED,
        EntryType.KEYRING_COPIED,
        EntryType.KEYRING_VERIFIED,
    }
)

_VOIDS: Final = frozenset({EntryType.VOID})
_ABOUT_VALUES: Final = frozenset(
    {
        EntryType.SHRED,
        EntryType.VALUES_DELETED,
        EntryType.VALUES_CORRECTED,
        EntryType.GENERATION_REPLACED,
        EntryType.GENERATION_SHREDDED,
        EntryType.EPOCH_INTENT,
        EntryType.EPOCH_CURRENT,
        EntryType.RESTORED,
    }
)
"""Of a restore it matters how old the values were; the two before it say of which keyring it was."""


class LedgerEvents:
    """Maps ledger entries, given in their order, to events; the caller leaves out the voided ones."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}  # the last attempt at each epoch
        self._entered: dict[int, int] = {}  # the attempt that entered it
        self._in_force: tuple[Epoch, int] | None = None

    def event(self, entry: LedgerEntry) -> events.KeyEvent | events.UnitEvent | None:
        """What an entry means to the rule; None for nothing.

        Raises:
            IntegrityFailedError: it contradicts those before it.
        """
        seq, time_ms, payload = entry.seq, entry.time_ms, entry.payload
        match payload:
            case (
                entries.EpochIntent()
                | entries.EpochCurrent()
                | entries.EpochAbandoned()
                | entries.Restored()
                | entries.KeyringCopied()
                | entries.KeyringVerified()
            ):
                return self._of_epoch(seq, payload)
            case entries.RootKeyEnding(root_key_id=root_key_id, holds_from_ms=holds_from_ms):
                return events.DestructionRequested(seq, root_key_id, time_ms, holds_from_ms)
            case entries.RootKeyEnded():
                return _confirmed(seq, time_ms, payload)
            case entries.NumbersReserved(region=region, up_to=up_to):
                return events.NumbersReserved(seq, Region(region), up_to)
            case entries.GenerationReplaced(region=region, customer_no=number, old=old, new=new):
                return events.GenerationCreated(seq, _unit(region, number, new), Generation(old), time_ms)
            case entries.GenerationShredded(region=region, customer_no=number, generation=generation):
                return events.GenerationShredded(seq, _unit(region, number, generation), time_ms)
            case entries.Shred(region=region, customer_no=number, generations=numbers):
                generations = tuple([Generation(each) for each in numbers])
                return events.CustomerShredded(seq, Region(region), CustomerNo(number), time_ms, generations)
            case entries.ValuesDeleted(region=region, values=values):
                deleted = tuple([(CustomerNo(number), value_no) for number, value_no in values])
                return events.ValuesErased(seq, Region(region), deleted, corrected=False, time_ms=time_ms)
            case entries.ValuesCorrected(region=region, values=floors):
                corrected = tuple([(CustomerNo(number), value_no) for number, value_no, _ in floors])
                return events.ValuesErased(seq, Region(region), corrected, corrected=True, time_ms=time_ms)
        return None

    def _of_epoch(
        self,
        seq: int,
        payload: entries.EpochIntent
        | entries.EpochCurrent
        | entries.EpochAbandoned
        | entries.Restored
        | entries.KeyringCopied
        | entries.KeyringVerified,
    ) -> events.KeyEvent:
        match payload:
            case entries.EpochIntent(epoch=number, attempt=attempt):
                self._begun[number] = attempt
                return events.AttemptBegun(
                    seq, Epoch(number), attempt, payload.root_key_id, payload.provider
                )  # fmt: skip
            case entries.EpochCurrent(epoch=number):
                entered = Epoch(number), _known(self._begun, number)
                self._entered[number], self._in_force = entered[1], entered
                return events.EpochEntered(seq, *entered)
            case entries.EpochAbandoned(epoch=number, attempt=attempt):
                return events.AttemptAbandoned(seq, Epoch(number), attempt)
            case entries.Restored(copied_seq=copied_seq):
                if self._in_force is None:
                    raise IntegrityFailedError
                return events.Restored(seq, *self._in_force, copied_seq)
            case entries.KeyringCopied(epoch=number):
                return events.KeyringCopied(seq, Epoch(number), _known(self._entered, number))
            case entries.KeyringVerified(epoch=number, copied_seq=copied_seq):
                return events.KeyringVerified(seq, Epoch(number), _known(self._entered, number), copied_seq)


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says up to its entry `seq`; nothing that it says of root keys is after `time_ms`."""

    seq: int
    time_ms: int
    rule: Finality
    _spans: Spans

    def reserved_seq(self, region: int, customer_no: int) -> int:
        """The entry before which nothing of a customer existed."""
        return self._spans.reserved_seq(Region(region), CustomerNo(customer_no))


class LedgerFinality:
    """One process's state of the rule. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._start_anew()

    def known(self) -> Known:
        """The state after every entry whose effect is done now.

        Raises:
            IntegrityFailedError: the ledger contradicts itself.
        """
        with self._turn:
            with self._store.snapshot() as snapshot:
                applied = snapshot.meta.applied
            if applied < self._seq:
                self._start_anew()
            try:
                self._read_on(applied)
            except BaseException:
                self._start_anew()
                raise
            return Known(self._seq, self._time_ms, self._rule, self._spans)

    def _start_anew(self) -> None:
        self._seq = self._time_ms = 0
        self._about_root_keys: list[LedgerEntry] = []
        self._events, self._rule, self._spans = LedgerEvents(), Finality(), Spans(())

    def _read_on(self, applied: int) -> None:
        if applied == self._seq:
            return
        for entry in self._store.ledger(self._seq, _READ):
            if entry.seq > applied:
                break
            match entry.payload:
                case entries.Void(seq=seq):
                    self._leave_out(seq)
                case entries.NumbersReserved():
                    self._spans.apply(self._events.event(entry))
                case _:
                    self._about_root_keys.append(entry)
                    self._rule = self._rule.after(self._events.event(entry))
            self._time_ms = max(self._time_ms, entry.time_ms)
        self._seq = applied

    def _leave_out(self, voided: int) -> None:
        kept = [each for each in self._about_root_keys if each.seq != voided]
        if len(kept) < len(self._about_root_keys):
            self._about_root_keys, self._events = kept, LedgerEvents()
            self._rule = Finality().after_all([self._events.event(each) for each in kept])


def unit_events(store: Store) -> Iterator[events.UnitEvent | events.Restored]:
    """What the ledger says of customers, values and restores, but for voided entries; nothing is kept."""
    with store.snapshot() as snapshot:
        applied = snapshot.meta.applied
    voided = set()
    for entry in store.ledger(types=_VOIDS):
        if entry.seq <= applied and isinstance(entry.payload, entries.Void):
            voided.add(entry.payload.seq)
    told = LedgerEvents()
    for entry in store.ledger(types=_ABOUT_VALUES):
        if entry.seq > applied:
            return
        event = told.event(entry) if entry.seq not in voided else None
        if isinstance(event, events.UnitEvent | events.Restored):
            yield event


def _confirmed(seq: int, time_ms: int, ended: entries.RootKeyEnded) -> events.DestructionConfirmed:
    try:
        assurance = Assurance(ended.assurance)
    except ValueError:
        raise IntegrityFailedError from None
    return events.DestructionConfirmed(
        seq=seq,
        root_key_id=ended.root_key_id,
        time_ms=time_ms,
        holds_from_ms=ended.holds_from_ms,
        assurance=assurance,
        evidence=ended.evidence,
        backups_ms=ended.backups_ms,
        retention=ended.retention,
    )


def _known(attempts: dict[int, int], epoch: int) -> int:
    if epoch not in attempts:
        raise IntegrityFailedError
    return attempts[epoch]


def _unit(region: int, customer_no: int, generation: int) -> Unit:
    return Unit(Region(region), CustomerNo(customer_no), Generation(generation))
