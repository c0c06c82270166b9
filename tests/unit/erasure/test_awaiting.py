import pytest

from vault.erasure.awaiting import KeptForBackups, awaited
from vault.erasure.events import (
    AttemptAbandoned,
    AttemptBegun,
    DestructionConfirmed,
    DestructionRequested,
    EpochEntered,
    KeyringCopied,
    KeyringVerified,
)
from vault.erasure.finality import Finality, Span
from vault.model.assurance import Assurance
from vault.model.erasure import Awaited, MissingCopies, Step
from vault.model.ids import Epoch

E1, E2 = Epoch(1), Epoch(2)
FIRST = (AttemptBegun(1, E1, 1, "root-1", "aws-kms"), EpochEntered(2, E1, 1))
NEXT = (AttemptBegun(10, E2, 1, "root-2", "pkcs11"), EpochEntered(11, E2, 1))
ENDING = DestructionRequested(12, "root-1", 1_000, 8_000)
ENDED = DestructionConfirmed(13, "root-1", 8_500, 8_000, Assurance.SERVICE_ATTESTED, "", 500_000)
SHREDDED = Span(3, 5, 900)


def waits(*events: object, span: Span = SHREDDED, now_ms: int = 10_000) -> tuple[Awaited, ...]:
    return awaited(Finality().after_all(events).verdict(span, now_ms))


def root_1(step: Step, due_ms: int | None = None) -> tuple[Awaited, ...]:
    return (Awaited("root-1", 1, "aws-kms", step, due_ms),)


def test_from_rotation_to_the_end_of_the_last_backup() -> None:
    assert waits(*FIRST) == root_1(Step.ROTATION)
    assert waits(*FIRST, *NEXT) == root_1(Step.DESTRUCTION)
    assert waits(*FIRST, *NEXT, ENDING) == root_1(Step.CONFIRMATION, 8_000)
    assert waits(*FIRST, *NEXT, ENDING, ENDED) == root_1(Step.BACKUPS, 508_000)
    assert waits(*FIRST, *NEXT, ENDING, ENDED, now_ms=508_000) == ()


def test_every_root_key_that_stands_is_told() -> None:
    attempt = AttemptBegun(4, E2, 1, "root-2", "pkcs11")
    assert waits(*FIRST, attempt) == (
        *root_1(Step.ROTATION),
        Awaited("root-2", 2, "pkcs11", Step.ROTATION),
    )
    given_up = waits(*FIRST, attempt, AttemptAbandoned(6, E2, 1))
    assert [each.step for each in given_up] == [Step.ROTATION, Step.DESTRUCTION]


@pytest.mark.parametrize("now_ms", [8_000, 10**15])
def test_a_date_that_has_passed_is_no_confirmation(now_ms: int) -> None:
    assert waits(*FIRST, *NEXT, ENDING, now_ms=now_ms) == root_1(Step.CONFIRMATION, 8_000)


def after_the_guard(*events: object, wanted: int) -> list[Awaited]:
    state = Finality().after_all([*FIRST, *NEXT, *events])
    return list(awaited(state.verdict(SHREDDED, 10_000), state.missing_copies(wanted)))


def test_a_former_root_key_waits_for_verified_copies_of_the_keyring_in_use() -> None:
    former = KeyringCopied(12, E1, 1), KeyringVerified(13, E1, 1, 12)
    copies = KeyringCopied(14, E2, 1), KeyringCopied(15, E2, 1)
    twice = KeyringVerified(16, E2, 1, 14), KeyringVerified(17, E2, 1, 14)
    for events, count in (((), 2), (former, 2), (copies, 2), ((*copies, *twice), 1)):
        (waits_for,) = after_the_guard(*events, wanted=2)
        assert (waits_for.step, waits_for.copies) == (Step.COPIES, MissingCopies(count, 2))
    both = (*copies, *twice, KeyringVerified(18, E2, 1, 15))
    assert [each.step for each in after_the_guard(*both, wanted=2)] == [Step.DESTRUCTION]
    assert [each.step for each in after_the_guard(wanted=0)] == [Step.DESTRUCTION]


def test_an_order_that_was_given_and_an_attempt_given_up_wait_for_no_copies() -> None:
    ending = DestructionRequested(12, "root-1", 1_000, 8_000)
    assert [each.step for each in after_the_guard(ending, wanted=1)] == [Step.CONFIRMATION]
    given_up = [*FIRST, AttemptBegun(4, E2, 1, "root-2", "pkcs11"), AttemptAbandoned(6, E2, 1)]
    state = Finality().after_all(given_up)
    found = awaited(state.verdict(SHREDDED, 10_000), state.missing_copies(1))
    assert [each.step for each in found] == [Step.ROTATION, Step.DESTRUCTION]


def test_a_key_that_is_kept_for_backups_waits_for_them_where_it_is_in_use() -> None:
    state = Finality().after_all([*FIRST, *NEXT])
    verdict = state.verdict(Span(3, 15, 900), 10_000)
    found = awaited(verdict, kept=KeptForBackups(50_000))
    assert [(each.root_key_id, each.step, each.due_ms) for each in found] == [
        ("root-1", Step.DESTRUCTION, None),
        ("root-2", Step.KEPT, 50_000),
    ]
    found = awaited(verdict, kept=KeptForBackups(None))
    assert [(each.step, each.due_ms) for each in found] == [
        (Step.DESTRUCTION, None),
        (Step.RESEALING, None),
    ]
