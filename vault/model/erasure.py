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

    RESEALING = "resealing"  # its epoch is in use, and the next rotation gives a new data key; then KEPT
    KEPT = "kept"  # its epoch is in use; a replaced data key is kept until a date, then ROTATION
    ROTATION = "rotation"  # its epoch is in use, or being made
    COPIES = "copies"  # no key is wrapped under it any more; copies of the keyring in use have to be verified
    DESTRUCTION = "destruction"  # no key is wrapped under it any more; its provider was not told yet
    CONFIRMATION = "confirmation"  # its provider was told, and does not show it gone yet
    BACKUPS = "backups"  # gone; the provider's own backups of it are not
    HOLD = "hold"  # no root key: a legal hold has to end first


@dataclass(frozen=True, slots=True)
class MissingCopies:
    """Verified copies of the keyring in use that are wanted before a former root key is destroyed."""

    count: int
    epoch: int

    def in_words(self) -> str:
        """What is waited for."""
        noun = "copy" if self.count == 1 else "copies"
        return f"waiting for {self.count} {noun} of the keyring of epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class Awaited:
    """A root key that an erasure waits for. Of `Step.HOLD` all but `due_ms` is empty.

    Attributes:
        due_ms: until when at least, where that is known.
        copies: of the keyring in use, that have to be made and verified first.
    """

    root_key_id: str
    epoch: int
    provider: str
    step: Step
    due_ms: int | None = None
    copies: MissingCopies | None = None
