"""What an erasure waits for, root key by root key: the next step towards `final`."""

from vault.erasure.finality import Attempt, Verdict
from vault.model.erasure import Awaited, Step


def awaited(verdict: Verdict) -> tuple[Awaited, ...]:
    """The root keys that stand between a shredded unit and its end, in the order of their epochs."""
    return tuple([_next_step(each) for each in verdict.waits_for])


def _next_step(attempt: Attempt) -> Awaited:
    step, due_ms = Step.ROTATION, None
    if attempt.destroyed is not None:
        step, due_ms = Step.BACKUPS, attempt.destroyed.gone_ms
    elif attempt.requested_ms is not None:
        step, due_ms = Step.CONFIRMATION, attempt.due_ms
    elif attempt.wraps_until_seq is not None:
        step = Step.DESTRUCTION
    return Awaited(attempt.root_key_id, attempt.epoch, attempt.provider, step, due_ms)
