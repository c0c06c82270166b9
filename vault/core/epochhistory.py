"""What the ledger says about epochs and their root keys, as whoever rotates them needs it."""

from collections.abc import Iterable

from vault.store.entries import (
    EpochAbandoned,
    EpochCurrent,
    EpochIntent,
    RootKeyEnded,
    RootKeyEnding,
    Void,
)
from vault.store.ledger import LedgerEntry


class History:
    """Attempts at epochs, and which of their root keys are destroyed."""

    def __init__(self) -> None:
        self.intents: list[EpochIntent] = []
        self.abandoned: set[tuple[int, int]] = set()
        self.ending: set[str] = set()
        self.ended: set[str] = set()
        self._entered: dict[int, EpochIntent] = {}  # by number of the ledger entry, in order

    @classmethod
    def of(cls, entries: Iterable[LedgerEntry]) -> "History":
        """Reads the ledger."""
        history = cls()
        for entry in entries:
            match entry.payload:
                case EpochIntent() as intent:
                    history.intents.append(intent)
                case EpochCurrent(epoch=epoch):
                    intents = [each for each in history.intents if each.epoch == epoch]
                    history._entered[entry.seq] = intents[-1]
                case Void(seq=seq):
                    history._entered.pop(seq, None)
                case EpochAbandoned(epoch=epoch, attempt=attempt):
                    history.abandoned.add((epoch, attempt))
                case RootKeyEnding(root_key_id=root_key_id):
                    history.ending.add(root_key_id)
                case RootKeyEnded(root_key_id=root_key_id):
                    history.ended.add(root_key_id)
        return history

    def was_entered(self, intent: EpochIntent) -> bool:
        """Whether this attempt's keyring came into use."""
        return intent in self._entered.values()

    def is_current(self, intent: EpochIntent) -> bool:
        """Whether this attempt's keyring is the one in use."""
        return bool(self._entered) and intent == list(self._entered.values())[-1]
