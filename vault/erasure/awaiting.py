"""What an erasure waits for, root key by root key: the next step towards `final`."""

from dataclasses import dataclass

from vault.erasure.finality import Attempt, Verdict
from vault.model.erasure import Awaited, MissingCopies, Step


@dataclass(frozen=True, slots=True)
class KeptForBackups:
    """A data key that opens what went, but data backups, too; `until_ms` is None before it is replaced."""

    until_ms: int | None


def awaited(
    verdict: Verdict, missing: MissingCopies | None = None, kept: KeptForBackups | None = None
) -> tuple[Awaited, ...]:
    """The root keys that stand between a shredded unit and its end, in the order of their epochs.

    Args:
        verdict: of the unit.
        missing: copies of the keyring in use, without which no root key of a former epoch is destroyed.
        kept: the unit is kept for data backups, and no rotation ends it as yet.
    """
    return tuple([_next_step(each, missing, kept) for each in verdict.waits_for])


def _next_step(attempt: Attempt, missing: MissingCopies | None, kept: KeptForBackups | None) -> Awaited:
    step, due_ms, copies = Step.ROTATION, None, None
    if attempt.destroyed is not None:
        step, due_ms = Step.BACKUPS, attempt.destroyed.gone_ms
    elif attempt.requested_ms is not None:
        step, due_ms = Step.CONFIRMATION, attempt.due_ms
    elif attempt.wraps_until_seq is not None:
        step = Step.DESTRUCTION
        if missing is not None and attempt.entered_seq is not None:
            step, copies = Step.COPIES, missing
    elif kept is not None:
        step = Step.RESEALING if kept.until_ms is None else Step.KEPT
        due_ms = kept.until_ms
    return Awaited(attempt.root_key_id, attempt.epoch, attempt.provider, step, due_ms, copies)
