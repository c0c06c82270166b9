"""The rule against the model of the world, and against entries one by one.

Mutants: the rule with one of its sentences taken out. The checker has to find a schedule that proves each
of them wrong, or it could not find a fault in the rule either.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import pytest

from tests.unit.erasure.checker import NeverError, Rule, TooEarlyError, as_told, by_the_rule, explore
from tests.unit.erasure.world import A2, B1, Limits
from vault.erasure.events import (
    AttemptAbandoned,
    AttemptBegun,
    CustomerShredded,
    DestructionConfirmed,
    DestructionRequested,
    EpochEntered,
    GenerationCreated,
    GenerationShredded,
    KeyEvent,
    KeyringCopied,
    NumbersReserved,
    Restored,
    UnitEvent,
    ValuesErased,
)
from vault.erasure.finality import Attempt, Finality, Span, Stage
from vault.errors import IntegrityFailedError
from vault.model.assurance import Assurance
from vault.model.ids import Epoch, Region

ROTATIONS = Limits(depth=7, units=(A2, B1))
ONE_CUSTOMER = Limits(depth=11, units=())
RESTORES = Limits(depth=9, units=(), copies=1)
RESTORED_CUSTOMERS = Limits(depth=7, units=(B1,), copies=1)
SLOW_PROVIDER = Limits(depth=12, units=(), attempts=2, one_step=False, delay=1, backups=1, cancels=1)
VALUES = Limits(depth=7, value=True)
VALUES_RESTORED = Limits(depth=6, value=True, copies=1)
VALUES_LEFT_ALONE = VALUES._replace(reseals="never")
VALUES_KEPT = VALUES._replace(keep=True)
VALUES_KEPT_RESTORED = VALUES_KEPT._replace(depth=6, copies=1)
SLOW_ROTATIONS = SLOW_PROVIDER._replace(depth=8, attempts=3)


@pytest.mark.parametrize(
    ("limits", "schedules"),
    [
        pytest.param(ROTATIONS, 25_000, id="rotations"),
        pytest.param(ONE_CUSTOMER, 1_000, id="one customer, to the end"),
        pytest.param(RESTORES, 20_000, id="copies and restores"),
        pytest.param(RESTORED_CUSTOMERS, 5_000, id="customers after a restore"),
        pytest.param(VALUES, 10_000, id="single values"),
        pytest.param(VALUES_LEFT_ALONE, 10_000, id="single values that no rotation cares for"),
        pytest.param(VALUES_RESTORED, 10_000, id="single values after a restore"),
        pytest.param(VALUES_KEPT, 10_000, id="single values whose keys are kept for backups"),
        pytest.param(VALUES_KEPT_RESTORED, 10_000, id="such values after restores of the keyring, too"),
        pytest.param(SLOW_PROVIDER, 5_000, id="a provider that takes its time"),
        pytest.param(SLOW_ROTATIONS, 15_000, id="rotations with such a provider"),
    ],
)
def test_never_final_while_a_copy_can_be_opened(limits: Limits, schedules: int) -> None:
    explored = explore(limits, to_the_end=False)
    assert explored.schedules >= schedules
    assert explored.finals > 10


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(ROTATIONS._replace(depth=5), id="rotations"),
        pytest.param(ONE_CUSTOMER, id="one customer, to the end"),
        pytest.param(RESTORES._replace(depth=7), id="copies and restores"),
        pytest.param(VALUES._replace(depth=6), id="single values, by the next rotation"),
        pytest.param(VALUES_KEPT._replace(depth=6), id="single values whose keys are kept for backups"),
        pytest.param(SLOW_PROVIDER, id="a provider that takes its time"),
    ],
)
def test_final_once_every_root_key_concerned_is_destroyed(limits: Limits) -> None:
    explore(limits)


def only(keep: Callable[[list[Attempt], Span], list[Attempt]]) -> Rule:
    """Looks at some of the attempts only: `keep` of those that the rule has chosen."""

    def final(state: Finality, span: Span, now_ms: int) -> bool:
        concerned = keep([each for each in state.attempts if each.may_have_wrapped(span)], span)
        return all(each.gone(now_ms) for each in concerned)

    return Rule(final=final)


def seen_as(change: Callable[[KeyEvent], KeyEvent | None]) -> Rule:
    """Takes an entry for another one, or for none."""

    def see(state: Finality, event: KeyEvent) -> Finality:
        taken = change(event)
        return replace(state, seq=event.seq) if taken is None else state.after(taken)

    return Rule(see=see)


def confirmed_at_once(event: KeyEvent) -> KeyEvent | None:
    if isinstance(event, DestructionRequested):
        at, key = event.time_ms, event.root_key_id
        return DestructionConfirmed(event.seq, key, at, at, Assurance.HARDWARE, "", 1)
    return event


def promises_believed(event: KeyEvent) -> KeyEvent | None:
    if isinstance(event, DestructionConfirmed):
        return replace(event, time_ms=max(event.time_ms, event.holds_from_ms))
    return event


def dates_ignored(event: KeyEvent) -> KeyEvent | None:
    if isinstance(event, DestructionConfirmed):
        return replace(event, holds_from_ms=min(event.time_ms, event.holds_from_ms))
    return event


def backups_ignored(event: KeyEvent) -> KeyEvent | None:
    return replace(event, backups_ms=0) if isinstance(event, DestructionConfirmed) else event


def restores_ignored(event: KeyEvent) -> KeyEvent | None:
    return None if isinstance(event, Restored) else event


def restored_copies_taken_for_new(event: KeyEvent) -> KeyEvent | None:
    return replace(event, copied_seq=event.seq) if isinstance(event, Restored) else event


def from_its_swap(attempts: list[Attempt], span: Span) -> list[Attempt]:
    entered = [(each, each.entered_seq or each.begun_seq) for each in attempts]
    return [each for each, seq in entered if span.shredded_seq is None or seq <= span.shredded_seq]


def until_the_next_attempt(attempts: list[Attempt], span: Span) -> list[Attempt]:
    begun = [each.begun_seq for each in attempts]
    return [each for each in attempts if not any(each.begun_seq < seq <= span.created_seq for seq in begun)]


def gone_when_deleted(entries: Sequence[UnitEvent | Restored]) -> Span | None:
    """The entry of the deletion is taken for the end of the key."""
    erased = next((each for each in entries if isinstance(each, ValuesErased)), None)
    return None if erased is None else Span(2, erased.seq, erased.time_ms)


def gone_with_any_generation(entries: Sequence[UnitEvent | Restored]) -> Span | None:
    """The first generation to be shredded after the deletion is taken for the one that sealed the value."""
    found = gone_when_deleted(entries)
    if found is None:
        return None
    ends = [each for each in entries if isinstance(each, GenerationShredded | CustomerShredded)]
    ended = next((each for each in ends if each.seq > (found.shredded_seq or 0)), None)
    return Span(2) if ended is None else Span(2, ended.seq, ended.time_ms)


def of_the_last_generation_only(entries: Sequence[UnitEvent | Restored]) -> Span | None:
    """The generations before the last one that sealed the value are forgotten."""
    span, former = as_told(entries), [each for each in entries if isinstance(each, GenerationCreated)]
    if span is None or len(former) < 2:
        return span
    return replace(span, created_seq=former[-2].seq)


def gone_when_replaced(entries: Sequence[UnitEvent | Restored]) -> Span | None:
    """Another generation in use is taken for the end of the one before it."""
    found = gone_when_deleted(entries)
    if found is None:
        return None
    created = [each for each in entries if isinstance(each, GenerationCreated)]
    taken = next((each for each in created if each.seq > (found.shredded_seq or 0)), None)
    return Span(2) if taken is None else Span(2, taken.seq, taken.time_ms)


MUTANTS = {
    "a value is gone when its key is replaced, though that is kept": (
        Rule(erased=gone_when_replaced),
        VALUES_KEPT,
    ),
    "a value is gone with its deletion": (Rule(erased=gone_when_deleted), VALUES_LEFT_ALONE),
    "a value is gone with any generation of its customer": (
        Rule(erased=gone_with_any_generation),
        VALUES_LEFT_ALONE._replace(depth=8),
    ),
    "only the last generation of a value counts": (
        Rule(erased=of_the_last_generation_only),
        VALUES._replace(depth=8),
    ),
    "abandoned attempts are ignored": (
        only(lambda attempts, _span: [each for each in attempts if each.abandoned_seq is None]),
        ONE_CUSTOMER,
    ),
    "attempts that were never entered are ignored": (
        only(lambda attempts, _span: [each for each in attempts if each.entered_seq is not None]),
        ONE_CUSTOMER,
    ),
    "only the last epoch counts": (only(lambda attempts, _span: attempts[-1:]), ONE_CUSTOMER),
    "only the epoch of its creation counts": (only(lambda attempts, _span: attempts[:1]), ONE_CUSTOMER),
    "the epoch of its creation is ignored": (
        only(lambda attempts, span: [each for each in attempts if each.begun_seq > span.created_seq]),
        ONE_CUSTOMER,
    ),
    "an attempt counts from its swap only": (only(from_its_swap), ONE_CUSTOMER),
    "an epoch counts until the next attempt only": (only(until_the_next_attempt), ROTATIONS),
    "a swap is taken for destruction": (
        only(lambda attempts, _span: [each for each in attempts if each.wraps_until_seq is None]),
        ONE_CUSTOMER,
    ),
    "a request is taken for destruction": (seen_as(confirmed_at_once), SLOW_PROVIDER),
    "the date of destruction is ignored": (seen_as(dates_ignored), SLOW_PROVIDER),
    "a date in the future is believed": (seen_as(promises_believed), SLOW_PROVIDER),
    "the provider's backups are ignored": (seen_as(backups_ignored), SLOW_PROVIDER),
    "restores are ignored": (seen_as(restores_ignored), RESTORED_CUSTOMERS),
    "a restored copy is as new as the restore": (seen_as(restored_copies_taken_for_new), RESTORES),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_weakened_rule_is_caught(name: str) -> None:
    rule, limits = MUTANTS[name]
    with pytest.raises(TooEarlyError):
        explore(limits, rule, to_the_end=False)


@pytest.mark.parametrize("reseals", ["never", "late"])
def test_a_rotation_that_does_not_first_replace_the_key_is_caught(reseals: Literal["never", "late"]) -> None:
    with pytest.raises(NeverError):
        explore(VALUES._replace(reseals=reseals, depth=2))


def test_a_rotation_that_forgets_what_a_restore_brought_back_is_caught() -> None:
    with pytest.raises(NeverError):
        explore(VALUES_KEPT._replace(forgetful=True, depth=6))


def test_a_rule_that_waits_for_ever_is_caught() -> None:
    def final(state: Finality, span: Span, now_ms: int) -> bool:
        return by_the_rule(state, span, now_ms) and all(each.gone(now_ms) for each in state.attempts)

    with pytest.raises(NeverError):
        explore(ONE_CUSTOMER, Rule(final=final))


E1, E2, E3 = Epoch(1), Epoch(2), Epoch(3)
BEGINNING = (AttemptBegun(1, E1, 1, "root-1"), EpochEntered(2, E1, 1))
ROTATED = (*BEGINNING, AttemptBegun(20, E2, 1, "root-2"), EpochEntered(25, E2, 1))
SHREDDED_BEFORE = Span(3, 10, 1_000)
SHREDDED_MEANWHILE = Span(3, 22, 2_200)


def gone(
    seq: int,
    root: str,
    at: int,
    *,
    assurance: Assurance = Assurance.HARDWARE,
    backups_ms: int | None = 0,
) -> DestructionConfirmed:
    return DestructionConfirmed(seq, root, at, at - 1, assurance, "evidence", backups_ms)


def test_a_live_unit_is_live_and_its_keyrings_are_known() -> None:
    verdict = Finality().after_all(ROTATED).verdict(Span(3), 5_000)
    assert (verdict.stage, verdict.effective_ms, verdict.final_ms) == (Stage.LIVE, None, None)
    assert [each.root_key_id for each in verdict.attempts] == ["root-1", "root-2"]


def test_a_live_unit_stays_live_though_its_root_keys_are_gone() -> None:
    state = Finality().after_all([*BEGINNING, gone(9, "root-1", 100)])
    assert state.verdict(Span(3), 5_000).stage is Stage.LIVE


def test_a_shred_is_effective_until_the_root_key_is_gone() -> None:
    state = Finality().after_all(ROTATED)
    verdict = state.verdict(SHREDDED_BEFORE, 5_000)
    assert (verdict.stage, verdict.effective_ms, verdict.final_ms) == (Stage.EFFECTIVE, 1_000, None)
    assert [each.root_key_id for each in verdict.waits_for] == ["root-1"]

    verdict = state.after(gone(30, "root-1", 6_000)).verdict(SHREDDED_BEFORE, 6_000)
    assert (verdict.stage, verdict.final_ms, verdict.waits_for) == (Stage.FINAL, 6_000, ())
    assert verdict.assurance is Assurance.HARDWARE


def test_a_shred_during_a_rotation_waits_for_both_epochs() -> None:
    state = Finality().after_all([*ROTATED, gone(30, "root-1", 6_000)])
    verdict = state.verdict(SHREDDED_MEANWHILE, 6_000)
    assert verdict.stage is Stage.EFFECTIVE
    assert [each.root_key_id for each in verdict.waits_for] == ["root-2"]


def test_a_destruction_with_a_date_has_to_be_confirmed_when_it_has_come() -> None:
    promise = DestructionConfirmed(30, "root-1", 6_000, 9_000, Assurance.SERVICE_ATTESTED, "pending", 0)
    state = Finality().after_all([*ROTATED, DestructionRequested(29, "root-1", 6_000, 9_000), promise])
    for now_ms in (6_000, 9_000, 10**15):
        assert state.verdict(SHREDDED_BEFORE, now_ms).stage is Stage.EFFECTIVE
    assert (state.attempts[0].requested_ms, state.attempts[0].due_ms) == (6_000, 9_000)

    state = state.after(gone(31, "root-1", 9_500, assurance=Assurance.SERVICE_ATTESTED))
    assert state.verdict(SHREDDED_BEFORE, 9_500).final_ms == 9_500


def test_backups_of_the_provider_have_to_end_first() -> None:
    state = Finality().after_all([*ROTATED, gone(30, "root-1", 6_000, backups_ms=4_000)])
    assert state.verdict(SHREDDED_BEFORE, 9_998).stage is Stage.EFFECTIVE
    verdict = state.verdict(SHREDDED_BEFORE, 9_999)
    assert (verdict.stage, verdict.final_ms) == (Stage.FINAL, 9_999)


@pytest.mark.parametrize(
    ("confirmed", "assurance"),
    [
        (gone(30, "root-1", 6_000, assurance=Assurance.BEST_EFFORT), Assurance.BEST_EFFORT),
        (gone(30, "root-1", 6_000, backups_ms=None), Assurance.BEST_EFFORT),
        (gone(30, "root-1", 6_000, assurance=Assurance.SERVICE_ATTESTED), Assurance.SERVICE_ATTESTED),
    ],
)
def test_the_weakest_root_key_decides(confirmed: DestructionConfirmed, assurance: Assurance) -> None:
    state = Finality().after_all([*ROTATED, confirmed, gone(31, "root-2", 7_000)])
    verdict = state.verdict(SHREDDED_MEANWHILE, 7_000)
    expected = Stage.FINAL_BEST_EFFORT if assurance is Assurance.BEST_EFFORT else Stage.FINAL
    assert (verdict.stage, verdict.assurance) == (expected, assurance)


def test_the_first_confirmation_counts() -> None:
    state = Finality().after_all([*ROTATED, gone(30, "root-1", 6_000), gone(31, "root-1", 8_000)])
    assert state.verdict(SHREDDED_BEFORE, 8_000).final_ms == 6_000


def test_without_any_keyring_nothing_is_final() -> None:
    assert Finality().verdict(SHREDDED_BEFORE, 5_000).stage is Stage.EFFECTIVE


def test_a_wider_span_is_never_final_earlier() -> None:
    states = [Finality()]
    for event in (*ROTATED, gone(30, "root-1", 6_000), gone(31, "root-2", 7_000)):
        states.append(states[-1].after(event))
    edges = (1, 2, 10, 20, 22, 25, 28, 40)
    spans = [(born, died) for born in edges for died in edges if born <= died]
    for state in states:
        final = {span: by_the_rule(state, Span(*span, 0), 10_000) for span in spans}
        for born, died in spans:
            wider = [each for each in spans if each[0] <= born and died <= each[1]]
            assert final[born, died] or not any(final[each] for each in wider)


def test_retired_root_keys_are_those_of_ended_keyrings_that_are_not_confirmed() -> None:
    events = [*ROTATED, AttemptBegun(30, E3, 1, "root-3"), AttemptAbandoned(31, E3, 1)]
    state = Finality().after_all([*events, AttemptBegun(32, E3, 2, "root-4")])
    assert [each.root_key_id for each in state.retired()] == ["root-1", "root-3"]
    state = state.after(gone(40, "root-1", 6_000))
    assert [each.root_key_id for each in state.retired()] == ["root-3"]
    assert [each.root_key_id for each in state.standing(6_000)] == ["root-2", "root-3", "root-4"]


def test_copies_are_counted() -> None:
    state = Finality().after_all([*BEGINNING, KeyringCopied(3, E1, 1), KeyringCopied(4, E1, 1)])
    assert state.attempts[0].copies == 2


def test_a_restored_epoch_is_in_force_again_and_the_lost_one_is_not() -> None:
    state = Finality().after_all([*ROTATED, Restored(30, E1, 1, 10)])
    assert [each.wraps_until_seq for each in state.attempts] == [None, 30]
    verdict = state.verdict(Span(31, 40, 4_000), 5_000)
    assert [each.root_key_id for each in verdict.attempts] == ["root-1"]


def test_entries_about_other_things_change_nothing() -> None:
    state = Finality().after_all(BEGINNING)
    assert state.after(NumbersReserved(9, Region(1), 100)) is state


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(AttemptBegun(2, E2, 1, "root-2"), id="older than what was seen"),
        pytest.param(AttemptBegun(9, E2, 1, "root-1"), id="a root key for two attempts"),
        pytest.param(AttemptBegun(9, E1, 1, "root-2"), id="an attempt begun twice"),
        pytest.param(EpochEntered(9, E1, 1), id="an epoch entered twice"),
        pytest.param(EpochEntered(9, E2, 1), id="an attempt that was never begun"),
        pytest.param(AttemptAbandoned(9, E1, 1), id="an epoch abandoned after its swap"),
        pytest.param(gone(9, "root-2", 100), id="a root key that was never announced"),
        pytest.param(KeyringCopied(9, E2, 1), id="a copy of no keyring"),
    ],
)
def test_entries_that_contradict_the_ledger_are_refused(event: KeyEvent) -> None:
    with pytest.raises(IntegrityFailedError):
        Finality().after_all(BEGINNING).after(event)


def test_an_attempt_that_was_given_up_is_neither_entered_nor_restored() -> None:
    state = Finality().after_all([*BEGINNING, AttemptBegun(3, E2, 1, "root-2"), AttemptAbandoned(4, E2, 1)])
    for event in (EpochEntered(5, E2, 1), Restored(5, E2, 1, 3)):
        with pytest.raises(IntegrityFailedError):
            state.after(event)
