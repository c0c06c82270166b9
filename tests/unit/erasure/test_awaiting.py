import pytest

from vault.erasure.awaiting import awaited
from vault.erasure.events import (
    AttemptAbandoned,
    AttemptBegun,
    DestructionConfirmed,
    DestructionRequested,
    EpochEntered,
)
from vault.erasure.finality import Finality, Span
from vault.model.assurance import Assurance
from vault.model.erasure import Awaited, Step
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
