"""How far an erasure has come, and what is still awaited."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a shredded key is gone."""

    LIVE = "live"
    HELD = "held"  # a legal hold keeps some of it; the rest is gone
    EFFECTIVE = "effective"
    FINAL_BEST_EFFORT = "final-best-effort"
    FINAL = "final"


class Step(StrEnum):
    """What has to happen next to a root key before nothing that it wrapped can be opened; or to a hold."""

    ROTATION = "rotation"  # its epoch is in use, or being made
    DESTRUCTION = "destruction"  # no key is wrapped under it any more; its provider was not told yet
    CONFIRMATION = "confirmation"  # its provider was told, and does not show it gone yet
    BACKUPS = "backups"  # gone; the provider's own backups of it are not
    HOLD = "hold"  # no root key: a legal hold has to end first


@dataclass(frozen=True, slots=True)
class Awaited:
    """A root key that an erasure waits for; `due_ms` says until when at least, where that is known.

    Of `Step.HOLD` all else is empty.
    """

    root_key_id: str
    epoch: int
    provider: str
    step: Step
    due_ms: int | None = None
