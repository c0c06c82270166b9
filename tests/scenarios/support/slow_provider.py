"""A key provider that destroys root keys days after it was told to, and a custodian that uses it.

Root keys are made by the provider `file`, so that epochs really open; when and how they end is made up here:

    told to destroy      due `delay_ms` later; until then the order can be called off
    asked                gone if the date has passed and the order was not called off
"""

from vault.core.custody import OwnCustodian
from vault.core.engine import Engine
from vault.core.epochs import EpochRotation
from vault.keys.provider import Assurance, Destruction, KeyDescription, KeyState
from vault.model.ids import Epoch

DAY_MS = 86_400_000


class Clock:
    """The time of one open vault, in milliseconds since 1970."""

    def __init__(self, engine: Engine) -> None:
        self.now_ms = engine.now_ms()
        engine.now_ms = lambda: self.now_ms
        engine.store._shared.clock_ms = lambda: self.now_ms

    def pass_days(self, days: float) -> None:
        """Time goes by."""
        self.now_ms += int(days * DAY_MS)


class SlowProvider:
    """Says of itself `assurance`, and of its backups that they outlive a key by `backups_ms`."""

    def __init__(
        self,
        clock: Clock,
        *,
        delay_ms: int,
        assurance: Assurance = Assurance.SERVICE_ATTESTED,
        backups_ms: int | None = 0,
    ) -> None:
        self._clock = clock
        self._delay_ms = delay_ms
        self._assurance = assurance
        self._backups_ms = backups_ms
        self.due_ms: dict[str, int] = {}

    def destroy(self, root_key_id: str) -> Destruction:
        """Orders the destruction, if it is not ordered."""
        due_ms = self.due_ms.setdefault(root_key_id, self._clock.now_ms + self._delay_ms)
        said = f"deletion of {root_key_id} ordered", self._assurance, due_ms, "made up", self._backups_ms
        return Destruction(root_key_id, *said)

    def describe(self, root_key_id: str) -> KeyDescription:
        """Whether it is gone."""
        due_ms, now_ms = self.due_ms.get(root_key_id), self._clock.now_ms
        gone = due_ms is not None and now_ms >= due_ms
        state = KeyState.DESTROYED if gone else KeyState.PENDING_DESTRUCTION
        return KeyDescription(root_key_id, state, "looked", "made up", now_ms, due_ms)

    def call_off(self, root_key_id: str) -> None:
        """Somebody withdraws the order; the vault learns nothing of it."""
        del self.due_ms[root_key_id]


class SlowCustodian:
    """A `Custodian` that has root keys ended by the slow provider."""

    provider = "aws-kms"

    def __init__(self, engine: Engine, provider: SlowProvider) -> None:
        self._own = OwnCustodian(engine, engine.settings, None)
        self._provider = provider

    def create(self, epoch: Epoch, root_key_id: str) -> None:
        """Makes the epoch's key."""
        self._own.create(epoch, root_key_id)

    def retire(self, epoch: Epoch) -> None:
        """Lets go of it."""
        self._own.retire(epoch)

    def destroy(self, root_key_id: str, provider: str) -> tuple[Destruction, bool]:
        """Orders the destruction, and looks."""
        del provider
        done = self._provider.destroy(root_key_id)
        return done, done.holds(self._provider.describe(root_key_id))


def slow_rotation(engine: Engine, provider: SlowProvider) -> EpochRotation:
    """A rotation whose former root keys end late."""
    return EpochRotation(engine, SlowCustodian(engine, provider))
