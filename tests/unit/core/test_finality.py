"""The rule of finality as a process learns it from a ledger."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.store.samples import REGION, VAULT_ID, sign
from vault.core.finality import LedgerEvents, LedgerFinality, unit_events
from vault.erasure import events
from vault.erasure.events import Unit
from vault.erasure.finality import Span, Stage
from vault.errors import IntegrityFailedError
from vault.model.assurance import Assurance
from vault.store.entries import (
    EpochAbandoned,
    EpochCurrent,
    EpochIntent,
    GenerationReplaced,
    GenerationShredded,
    Genesis,
    KeyringCopied,
    KeyringVerified,
    NumbersReserved,
    Payload,
    PrincipalRevoked,
    Restored,
    RootKeyEnded,
    RootKeyEnding,
    Shred,
    ValuesCorrected,
    ValuesDeleted,
    Void,
)
from vault.store.ledger import LedgerEntry
from vault.store.store import Store

FIRST = (Genesis(VAULT_ID, bytes(32)), EpochIntent(1, 1, "root-1", "file"), EpochCurrent(1))
SHRED = Shred(bytes(16), REGION, 7, (1,), 3, bytes(32), 1)


def ended(root_key_id: str, assurance: str = "hardware", holds_from_ms: int = 1) -> RootKeyEnded:
    return RootKeyEnded(root_key_id, holds_from_ms, assurance, "seen", "none", 0)


class Ledger:
    """A vault's store, to which entries are appended as sessions do."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.finality = LedgerFinality(store)
        self.now_ms = 1_000
        store._shared.clock_ms = lambda: self.now_ms

    def append(self, *payloads: Payload) -> int:
        with self.store.write("erase") as session:
            session.pending_entries()
            for payload in payloads:
                seq = session.append(payload)
            session.commit()
        return seq

    def stage(self, shredded_seq: int, created_seq: int = 3) -> Stage:
        span = Span(created_seq, shredded_seq, self.now_ms)
        verdict = self.finality.known().rule.verdict(span, self.now_ms)
        anew = LedgerFinality(self.store).known().rule.verdict(span, self.now_ms)
        assert verdict == anew  # what was read bit by bit is what is read at once
        return verdict.stage


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Store.create(tmp_path / "vault", VAULT_ID, REGION, sign=sign) as store:
        made = Ledger(store)
        made.append(*FIRST)
        store.finish_creation()
        yield made


def entries(*payloads: Payload) -> list[LedgerEntry]:
    return [LedgerEntry(seq, seq * 10, each, b"", b"", b"") for seq, each in enumerate(payloads, 1)]


def told(*payloads: Payload) -> list[object]:
    read = LedgerEvents()
    return [read.event(each) for each in entries(*payloads)]


def test_each_entry_is_told_as_its_event() -> None:
    unit = Unit(REGION, 7, 2)  # type: ignore[arg-type]
    assert told(
        *FIRST,
        NumbersReserved(REGION, 100),
        EpochIntent(2, 1, "root-2", "pkcs11"),
        EpochAbandoned(2, 1),
        EpochIntent(2, 2, "root-3", "pkcs11"),
        EpochCurrent(2),
        RootKeyEnding("root-1", 500),
        RootKeyEnded("root-1", 500, "service-attested", "seen", "none", None),
        KeyringCopied(2),
        Restored(1, 4),
        GenerationReplaced(REGION, 7, 1, 2),
        GenerationShredded(REGION, 7, 2),
        SHRED,
        ValuesDeleted(REGION, ((7, 1),)),
        ValuesCorrected(REGION, ((7, 1, 3), (8, 2, 4))),
        PrincipalRevoked(3),
        KeyringVerified(2, 11),
    ) == [
        None,
        events.AttemptBegun(2, 1, 1, "root-1", "file"),  # type: ignore[arg-type]
        events.EpochEntered(3, 1, 1),  # type: ignore[arg-type]
        events.NumbersReserved(4, REGION, 100),  # type: ignore[arg-type]
        events.AttemptBegun(5, 2, 1, "root-2", "pkcs11"),  # type: ignore[arg-type]
        events.AttemptAbandoned(6, 2, 1),  # type: ignore[arg-type]
        events.AttemptBegun(7, 2, 2, "root-3", "pkcs11"),  # type: ignore[arg-type]
        events.EpochEntered(8, 2, 2),  # type: ignore[arg-type]
        events.DestructionRequested(9, "root-1", 90, 500),
        events.DestructionConfirmed(10, "root-1", 100, 500, Assurance.SERVICE_ATTESTED, "seen", None, "none"),
        events.KeyringCopied(11, 2, 2),  # type: ignore[arg-type]
        events.Restored(12, 2, 2, 4),  # type: ignore[arg-type]
        events.GenerationCreated(13, unit, 1, 130),  # type: ignore[arg-type]
        events.GenerationShredded(14, unit, 140),
        events.CustomerShredded(15, REGION, 7, 150, (1,)),  # type: ignore[arg-type]
        events.ValuesErased(16, REGION, ((7, 1),), corrected=False, time_ms=160),  # type: ignore[arg-type]
        events.ValuesErased(17, REGION, ((7, 1), (8, 2)), corrected=True, time_ms=170),  # type: ignore[arg-type]
        None,
        events.KeyringVerified(19, 2, 2, 11),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    "payloads",
    [
        (EpochCurrent(1),),
        (KeyringCopied(1),),
        (KeyringVerified(1, 1),),
        (Restored(1, 0),),
        (*FIRST[1:], ended("root-1", assurance="certain")),
    ],
)
def test_what_contradicts_itself_is_not_told(payloads: tuple[Payload, ...]) -> None:
    with pytest.raises(IntegrityFailedError):
        told(*payloads)


def test_a_shred_is_final_when_the_root_key_is_gone_and_not_before(ledger: Ledger) -> None:
    seq = ledger.append(SHRED)
    assert ledger.stage(seq) is Stage.EFFECTIVE
    ledger.append(EpochIntent(2, 1, "root-2", "file"))
    ledger.append(EpochCurrent(2))
    assert ledger.stage(seq) is Stage.EFFECTIVE
    ledger.append(RootKeyEnding("root-1", 9_000))
    ledger.now_ms = 8_999
    ledger.append(ended("root-1", holds_from_ms=9_000))
    assert ledger.stage(seq) is Stage.EFFECTIVE
    ledger.now_ms = 9_000
    assert ledger.stage(seq) is Stage.EFFECTIVE
    ledger.append(ended("root-1", holds_from_ms=9_000))
    assert ledger.stage(seq) is Stage.FINAL


def test_an_epoch_that_was_voided_was_never_entered(ledger: Ledger) -> None:
    """Its void may come in another session than the entry; what was told in between is taken back."""
    ledger.append(EpochIntent(2, 1, "root-2", "pkcs11"))
    voided = ledger.append(EpochCurrent(2))
    known = ledger.finality.known().rule
    assert [each.entered_seq for each in known.attempts] == [3, voided]
    ledger.append(Void(voided))
    first, attempt = ledger.finality.known().rule.attempts
    assert (first.wraps_until_seq, attempt.entered_seq) == (None, None)
    ledger.append(EpochAbandoned(2, 1))
    seq = ledger.append(SHRED)
    assert ledger.stage(seq, created_seq=seq) is Stage.EFFECTIVE
    ledger.append(ended("root-2"))
    assert ledger.stage(seq, created_seq=seq) is Stage.EFFECTIVE  # epoch 1 is in use
    ledger.append(EpochIntent(2, 2, "root-3", "pkcs11"))
    ledger.append(EpochCurrent(2))
    ledger.append(ended("root-1"))
    assert ledger.stage(seq, created_seq=seq) is Stage.FINAL


def test_a_void_of_something_else_changes_nothing(ledger: Ledger) -> None:
    seq = ledger.append(GenerationReplaced(REGION, 7, 1, 2))
    before = ledger.finality.known().rule
    ledger.append(Void(seq))
    assert ledger.finality.known().rule == before


def test_what_is_not_done_yet_is_not_read(ledger: Ledger) -> None:
    """An entry that a crash has left behind may still be voided, or cut."""

    def stop(step: str) -> None:
        if step == "ledger":
            raise KeyboardInterrupt

    ledger.append(EpochIntent(2, 1, "root-2", "pkcs11"))
    ledger.store._shared.after_step = stop
    with pytest.raises(KeyboardInterrupt):
        ledger.append(EpochCurrent(2))
    ledger.store._shared.after_step = lambda _: None
    known = ledger.finality.known()
    assert known.rule.attempts[1].entered_seq is None
    assert ledger.store.ledger_entries() == known.seq + 1


def test_numbers_tell_before_what_entry_a_customer_cannot_have_existed(ledger: Ledger) -> None:
    first = ledger.append(NumbersReserved(REGION, 100))
    known = ledger.finality.known()
    second = ledger.append(NumbersReserved(REGION, 200))
    assert (known.reserved_seq(REGION, 99), known.reserved_seq(REGION + 1, 99)) == (first, 0)
    assert ledger.finality.known().reserved_seq(REGION, 100) == second


def test_a_ledger_that_contradicts_itself_is_refused_each_time(ledger: Ledger) -> None:
    wrong = ledger.append(EpochAbandoned(9, 1))
    for _ in range(2):
        with pytest.raises(IntegrityFailedError):
            ledger.finality.known()
    assert wrong == ledger.store.ledger_entries()


def test_what_is_said_of_values_leaves_out_what_is_void(ledger: Ledger) -> None:
    """A correction and a re-sealing that a crash took back."""
    kept = ledger.append(ValuesDeleted(REGION, ((7, 1),)))
    voided = [ledger.append(ValuesCorrected(REGION, ((7, 2, 2),))) for _ in range(2)]
    voided.append(ledger.append(GenerationReplaced(REGION, 7, 1, 2)))
    ledger.append(*[Void(each) for each in voided])
    ended = ledger.append(SHRED)
    restored = ledger.append(Restored(1, kept))
    assert [each.seq for each in unit_events(ledger.store)] == [kept, ended, restored]


def test_many_threads_see_the_same(ledger: Ledger) -> None:
    seen: list[int] = []

    def look() -> None:
        for _ in range(50):
            known = ledger.finality.known()
            assert len(known.rule.attempts) == 1
            seen.append(known.seq)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for _ in range(50):
        ledger.append(SHRED)
    for each in threads:
        each.join()
    assert len(seen) == 200
    assert ledger.finality.known().seq == len(FIRST) + 50
