"""Answers about the values of a batch of tokens, without the values; opened as for detokenization.

A batch goes as in `detokenize`, with these differences:
- Each item has a level of its own (an answer, `model.access.ANSWERS`), decided by the tables of that level.
- What was opened goes to `work`, which makes the answers. Nothing else of it leaves the turn.
- An issued token is asked about as its value is, within its limits. One for a single use is not.
- The access record says of each item which answer was given; 0 where a value was opened and nothing told.
- Whom something was told of is counted before the record is written, the record written before it is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

from vault.audit.records import ITEM_BYTES, LOCATOR_BYTES, ReadAction, reason_code
from vault.errors import Reason
from vault.hotpath.batch import Batch, Budgets, Foreign
from vault.hotpath.detokenize import HotPath, told_of
from vault.model.access import Reveal
from vault.model.consent import LawfulBasis
from vault.model.requests import Caller
from vault.policy.decision import Grants

Told = TypeVar("Told")

_HEAD: Final = LOCATOR_BYTES + 2  # of a group in an access record
_OUTCOME_AT: Final = 4
_OPENED: Final = int(Reveal.PLAIN)
_COMPARED: Final = frozenset({ReadAction.PSEUDONYMIZE, ReadAction.COMPARE})


class OpenValue(NamedTuple):
    """A value that an answer may be worked out from; `field_class` by number."""

    field_class: int
    text: str

    def __repr__(self) -> str:
        return "<open value>"


@dataclass(frozen=True, slots=True)
class Answers(Generic[Told]):
    """What `work` makes of a batch: by item what is told of it, or the reason why nothing is."""

    told: Sequence[Told | None]
    reasons: Sequence[Reason | None]


Work = Callable[[Batch, Sequence[OpenValue | Reason]], Answers[Told]]
"""Takes what was opened, item by item, or the reason why it was not; the same items come back."""


@dataclass(slots=True)
class _Group:
    """The items of one run of a customer's values, as they go into the access record."""

    locator: bytes
    head: bytes
    items: bytearray
    indexes: Sequence[int]


@dataclass(slots=True)
class _Gathered:
    """What a batch has come to before `work`."""

    values: list[OpenValue | Reason]
    groups: list[_Group] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)  # codes of items without a customer


class Answering:
    """Answers for one process."""

    def __init__(self, hot: HotPath, budgets: Budgets) -> None:
        self._hot = hot
        self._budgets = budgets

    def answer(
        self,
        caller: Caller,
        tokens: Sequence[str],
        levels: Sequence[Reveal],
        purpose: str,
        basis: LawfulBasis | None,
        action: ReadAction,
        foreign: Foreign | None,
        work: Work[Told],
    ) -> Answers[Told]:
        """Opens tokens for `work`, and tells what it makes of them.

        Args:
            caller: who asks.
            tokens: of the values.
            levels: which answer is asked of each of them.
            purpose: why.
            basis: the lawful basis that the caller states, if it does.
            action: what the access record says.
            foreign: finds what texts stand for that are no tokens.
            work: makes the answers; it may be called again.

        Raises:
            InvalidRequestError: a level is no answer.
            VaultError: as `HotPath.detokenize`; and what `work` raises: then nothing is counted or recorded.
        """

        def batch(asked: Batch) -> Answers[Told]:
            gathered = self._gather(asked, levels, purpose, basis)
            answers = work(asked, gathered.values)
            for group in gathered.groups:
                _note(group, gathered.values, answers, levels)
            self._charge(asked.grants, purpose, action, gathered.groups)
            groups = [group.head + group.items for group in gathered.groups]
            self._hot.record(asked, purpose, basis, action, b"".join(groups), gathered.missed)
            return answers

        return self._hot.in_turn(caller, tokens, foreign, batch)

    def _gather(
        self, batch: Batch, levels: Sequence[Reveal], purpose: str, basis: LawfulBasis | None
    ) -> _Gathered:
        gathered = _Gathered([Reason.INTERNAL] * len(batch.tokens))
        room = self._hot.reply_bytes
        for level in dict.fromkeys(levels):
            reads = batch.grants.answers(purpose, level, basis, batch.now_ms)
            asked = [index for index, each in enumerate(levels) if each is level]
            opened = self._hot.open(batch, asked, reads, room)
            found, outcomes = opened.found, opened.outcomes
            room -= found.taken
            for index, outcome, field_class, text in zip(
                asked, outcomes, found.classes, found.texts, strict=True
            ):
                gathered.values[index] = (
                    OpenValue(field_class, text) if outcome == _OPENED else told_of(outcome)
                )
            gathered.missed += opened.missed_codes()
            missed = set(found.missed)
            grouped = iter([index for at, index in enumerate(asked) if at not in missed])
            for group in found.groups:
                items = bytearray(group[_HEAD:])
                indexes = list(islice(grouped, len(items) // ITEM_BYTES))
                gathered.groups.append(_Group(group[:LOCATOR_BYTES], group[:_HEAD], items, indexes))
        return gathered

    def _charge(self, grants: Grants, purpose: str, action: ReadAction, groups: Sequence[_Group]) -> None:
        if action in _COMPARED:
            told = {group.locator for group in groups if _tells(group)}
            if told:
                self._budgets.compare(grants, told)
        else:
            packed = [bytes(group.head + group.items) for group in groups]
            self._budgets.charge(grants, purpose, [group.locator for group in groups], packed)


def _note(
    group: _Group, values: Sequence[OpenValue | Reason], answers: Answers[Told], levels: Sequence[Reveal]
) -> None:
    """Puts outcomes into the items of a group: what was told, why not, or 0 for an opened value."""
    for at, index in enumerate(group.indexes):
        if isinstance(values[index], Reason):
            continue  # stands there already
        reason = answers.reasons[index]
        if reason is not None:
            outcome = reason_code(reason)
        else:
            outcome = 0 if answers.told[index] is None else int(levels[index])
        group.items[ITEM_BYTES * at + _OUTCOME_AT] = outcome


def _tells(group: _Group) -> bool:
    outcomes = group.items[_OUTCOME_AT::ITEM_BYTES]
    return any(Reveal.MASKED < outcome <= max(Reveal) for outcome in outcomes)
