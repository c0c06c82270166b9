"""The rule of finality: when no copy of a shredded key can be recovered any more.

A unit is one generation of one customer's data key. Its copies lie in free pages, snapshots, replicas
and backups that nobody can list, but each is wrapped under the epoch key of some keyring, and that
under a root key. So:

    A shredded unit is final when every root key under which it may ever have been wrapped is gone.

- An attempt at a new epoch, successful or not, has a root key of its own. It may have wrapped every
  unit that was alive at any ledger entry from the one that announces it to the one that ends it:
  given up, or, once entered, followed by the next epoch. Without such an end, it still may.
- Gone: the provider, asked at or after the time from which the destruction holds, confirmed it. A
  request is no destruction, nor is a date in the future, which can be withdrawn until it comes.
- Where the provider keeps backups of its own, gone begins when the last of them has ended. If nobody
  knows when, the assurance is `best-effort`, whatever the provider says of itself.
- The weakest assurance of all root keys concerned is the unit's. With `best-effort` among them the
  stage is `final-best-effort`, never `final`.
- Copies of a keyring change nothing: they need the same root key. Putting one back brings shredded
  units back until the ledger is replayed, so an attempt that is then open counts from the moment
  when the copy was made.
- A wider span never makes a unit final earlier. Whoever does not know exactly when it was created or
  shredded takes the last entry before, or the first after.

What this relies on is written in docs/erasure.md. The state is immutable and holds one object for
each attempt, none for a customer; a verdict is one pass over the attempts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vault.erasure.events import (
    AttemptAbandoned,
    AttemptBegun,
    DestructionConfirmed,
    DestructionRequested,
    EpochEntered,
    KeyEvent,
    KeyringCopied,
    KeyringVerified,
    Restored,
)
from vault.errors import IntegrityFailedError
from vault.model.assurance import Assurance, weakest
from vault.model.erasure import MissingCopies
from vault.model.erasure import Stage as Stage
from vault.model.ids import Epoch


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where in the ledger a unit lived; `shredded_seq` is None while it does."""

    created_seq: int
    shredded_seq: int | None = None
    shredded_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What the provider confirmed about a root key."""

    confirmed_seq: int
    confirmed_ms: int
    holds_from_ms: int
    stated: Assurance
    evidence: str
    backups_ms: int | None
    retention: str

    @property
    def assurance(self) -> Assurance:
        """What can be believed: not more than best effort where backups live for nobody knows how long."""
        return self.stated if self.backups_ms is not None else Assurance.BEST_EFFORT

    @property
    def gone_ms(self) -> int:
        """From when on neither the key nor the provider's backups of it exist."""
        return max(self.confirmed_ms, self.holds_from_ms + (self.backups_ms or 0))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One keyring that was begun, and its root key.

    Attributes:
        wraps_from_seq: what was shredded before this ledger entry was never wrapped in it.
        wraps_until_seq: what was created after this entry is not wrapped in it; None as long as it may be.
        verified: copies in which every key was opened, each by the entry that named it.
        requested_ms, due_ms: when destruction was last requested, and when it is to hold.
    """

    epoch: Epoch
    attempt: int
    root_key_id: str
    provider: str
    begun_seq: int
    wraps_from_seq: int
    wraps_until_seq: int | None = None
    entered_seq: int | None = None
    abandoned_seq: int | None = None
    copies: int = 0
    verified: frozenset[int] = frozenset()
    requested_ms: int | None = None
    due_ms: int | None = None
    destroyed: Destroyed | None = None

    def may_have_wrapped(self, span: Span) -> bool:
        """Whether a unit that lived then may ever have been wrapped in this keyring."""
        begun_in_time = span.shredded_seq is None or self.wraps_from_seq <= span.shredded_seq
        return begun_in_time and (self.wraps_until_seq is None or span.created_seq <= self.wraps_until_seq)

    def gone(self, now_ms: int) -> bool:
        """Whether nothing wrapped in this keyring can be opened any more."""
        return self.destroyed is not None and self.destroyed.gone_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rule says about a unit.

    Attributes:
        attempts: every keyring that may have wrapped it, in the order in which they were begun.
        waits_for: those whose root keys are not gone.
        effective_ms: when it was shredded.
        final_ms: when the last root key was gone, or will be if only the end of backups is awaited.
        assurance: the weakest of all root keys; None while one is not confirmed to be destroyed.
    """

    stage: Stage
    attempts: tuple[Attempt, ...]
    waits_for: tuple[Attempt, ...]
    effective_ms: int | None
    final_ms: int | None
    assurance: Assurance | None


@dataclass(frozen=True, slots=True)
class Finality:
    """All attempts up to one ledger entry. `after` gives the state after the next."""

    attempts: tuple[Attempt, ...] = ()
    in_force: int | None = None  # position in `attempts`
    seq: int = 0

    def after(self, event: object) -> "Finality":
        """The state after a ledger entry; entries that are not about root keys change nothing.

        Raises:
            IntegrityFailedError: the entry contradicts those before it.
        """
        if not isinstance(event, KeyEvent):
            return self
        if event.seq <= self.seq:
            raise IntegrityFailedError
        match event:
            case AttemptBegun():
                return self._begun(event)
            case EpochEntered():
                return self._entered(event)
            case Restored():
                return self._restored(event)
            case AttemptAbandoned(seq=seq):
                at = self._find(event.epoch, event.attempt)
                if self.attempts[at].entered_seq is not None:
                    raise IntegrityFailedError
                ended = replace(self.attempts[at], abandoned_seq=seq, wraps_until_seq=seq)
            case KeyringCopied():
                at = self._find(event.epoch, event.attempt)
                ended = replace(self.attempts[at], copies=self.attempts[at].copies + 1)
            case KeyringVerified(copied_seq=copied_seq):
                at = self._find(event.epoch, event.attempt)
                ended = replace(self.attempts[at], verified=self.attempts[at].verified | {copied_seq})
            case DestructionRequested(time_ms=time_ms, holds_from_ms=due_ms):
                at = self._find_root_key(event.root_key_id)
                ended = replace(self.attempts[at], requested_ms=time_ms, due_ms=due_ms)
            case DestructionConfirmed():
                at = self._find_root_key(event.root_key_id)
                ended = _confirmed(self.attempts[at], event)
        return self._with(event.seq, {at: ended})

    def after_all(self, events: Iterable[object]) -> "Finality":
        """The state after several entries."""
        state = self
        for event in events:
            state = state.after(event)
        return state

    def verdict(self, span: Span, now_ms: int) -> Verdict:
        """What is known about a unit at a time not before the last entry's."""
        concerned = tuple([each for each in self.attempts if each.may_have_wrapped(span)])
        waits_for = tuple([each for each in concerned if not each.gone(now_ms)])
        destroyed = [each.destroyed for each in concerned if each.destroyed is not None]
        settled = span.shredded_seq is not None and len(destroyed) == len(concerned) > 0
        assurance = weakest([each.assurance for each in destroyed]) if settled else None
        final_ms = max([each.gone_ms for each in destroyed] + [span.shredded_ms or 0]) if settled else None
        if span.shredded_seq is None:
            stage = Stage.LIVE
        elif waits_for or not settled:
            stage = Stage.EFFECTIVE
        else:
            stage = Stage.FINAL_BEST_EFFORT if assurance is Assurance.BEST_EFFORT else Stage.FINAL
        return Verdict(stage, concerned, waits_for, span.shredded_ms, final_ms, assurance)

    def standing(self, now_ms: int) -> tuple[Attempt, ...]:
        """Keyrings whose root keys are not gone: a unit is final when it was in none of them.

        They are few, which makes asking for millions of units cheap.
        """
        return tuple([each for each in self.attempts if not each.gone(now_ms)])

    def retired(self) -> tuple[Attempt, ...]:
        """Keyrings that take in no key any more, and whose root keys are not confirmed to be destroyed."""
        return tuple(
            [each for each in self.attempts if each.wraps_until_seq is not None and each.destroyed is None]
        )

    def missing_copies(self, wanted: int) -> MissingCopies | None:
        """How many verified copies the keyring in use lacks of those wanted; None if it has enough."""
        if self.in_force is None:
            return None
        used = self.attempts[self.in_force]
        lacking = wanted - len(used.verified)
        return MissingCopies(lacking, used.epoch) if lacking > 0 else None

    def _begun(self, event: AttemptBegun) -> "Finality":
        for each in self.attempts:
            if each.root_key_id == event.root_key_id or _names(each) == (event.epoch, event.attempt):
                raise IntegrityFailedError
        begun = Attempt(
            event.epoch, event.attempt, event.root_key_id, event.provider, event.seq, wraps_from_seq=event.seq
        )
        return Finality((*self.attempts, begun), self.in_force, event.seq)

    def _entered(self, event: EpochEntered) -> "Finality":
        at = self._find(event.epoch, event.attempt)
        entered = self.attempts[at]
        if entered.entered_seq is not None or entered.abandoned_seq is not None:
            raise IntegrityFailedError
        changed = {at: replace(entered, entered_seq=event.seq)}
        if self.in_force is not None:
            changed[self.in_force] = replace(self.attempts[self.in_force], wraps_until_seq=event.seq)
        return self._with(event.seq, changed, in_force=at)

    def _restored(self, event: Restored) -> "Finality":
        """The restored keyring is in force; until the replay, whatever was in the copy was alive again."""
        at = self._find(event.epoch, event.attempt)
        if self.attempts[at].entered_seq is None:
            raise IntegrityFailedError
        changed = {
            position: replace(each, wraps_from_seq=min(each.wraps_from_seq, event.copied_seq))
            for position, each in enumerate(self.attempts)
            if each.wraps_until_seq is None and position != self.in_force
        }
        if self.in_force is not None:
            changed[self.in_force] = replace(self.attempts[self.in_force], wraps_until_seq=event.seq)
        changed[at] = replace(self.attempts[at], wraps_until_seq=None)
        return self._with(event.seq, changed, in_force=at)

    def _with(self, seq: int, changed: dict[int, Attempt], in_force: int | None = None) -> "Finality":
        attempts = tuple([changed.get(at, each) for at, each in enumerate(self.attempts)])
        return Finality(attempts, self.in_force if in_force is None else in_force, seq)

    def _find(self, epoch: Epoch, attempt: int) -> int:
        for at, each in enumerate(self.attempts):
            if _names(each) == (epoch, attempt):
                return at
        raise IntegrityFailedError

    def _find_root_key(self, root_key_id: str) -> int:
        for at, each in enumerate(self.attempts):
            if each.root_key_id == root_key_id:
                return at
        raise IntegrityFailedError


def _names(attempt: Attempt) -> tuple[Epoch, int]:
    return attempt.epoch, attempt.attempt


def _confirmed(attempt: Attempt, event: DestructionConfirmed) -> Attempt:
    if event.holds_from_ms > event.time_ms:  # a promise; whoever made it can withdraw it
        return replace(attempt, due_ms=event.holds_from_ms)
    if attempt.destroyed is not None:
        return attempt
    destroyed = Destroyed(
        confirmed_seq=event.seq,
        confirmed_ms=event.time_ms,
        holds_from_ms=event.holds_from_ms,
        stated=event.assurance,
        evidence=event.evidence,
        backups_ms=event.backups_ms,
        retention=event.retention,
    )
    return replace(attempt, destroyed=destroyed)
