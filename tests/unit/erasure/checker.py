"""Explores the model of the world exhaustively, and holds the rule against it in every state.

A schedule is a sequence of actions from the beginning. Schedules that lead to the same world and the
same state of the rule go on together and are counted; all of them up to a depth are covered.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.unit.erasure.world import Limits, Step, World, beginning, run_out, steps
from vault.erasure.events import KeyEvent, Restored, UnitEvent
from vault.erasure.finality import Finality, Span, Stage
from vault.erasure.partial import PartialErasures

VALUE = -1  # stands for the erased value among the units that are final
_RESERVED_SEQ = 2  # before the first ledger entry that the model knows


def by_the_rule(state: Finality, span: Span, now_ms: int) -> bool:
    return state.verdict(span, now_ms).stage in (Stage.FINAL, Stage.FINAL_BEST_EFFORT)


def as_it_is(state: Finality, event: KeyEvent) -> Finality:
    return state.after(event)


def as_told(entries: Sequence[UnitEvent | Restored]) -> Span | None:
    """Where an erased value's generations lived; None for one that was not erased."""
    return next((each.span(_RESERVED_SEQ) for each in PartialErasures().read(entries)), None)


class Rule(NamedTuple):
    """The rule of finality, or a weakened one."""

    see: Callable[[Finality, KeyEvent], Finality] = as_it_is
    final: Callable[[Finality, Span, int], bool] = by_the_rule
    erased: Callable[[Sequence[UnitEvent | Restored]], Span | None] = as_told


class Explored(NamedTuple):
    schedules: int
    states: int
    finals: int  # states in which some unit is final


class TooEarlyError(AssertionError):
    """Final, though a copy can be opened; or final once and then no more."""


class NeverError(AssertionError):
    """Not final, though every older root key was destroyed as it should be."""


def explore(limits: Limits, rule: Rule = Rule(), *, to_the_end: bool = True) -> Explored:  # noqa: B008 - immutable
    """Raises TooEarlyError or NeverError with the schedule's state; `to_the_end` also checks the latter."""
    start = _after(rule, Finality(), beginning())
    numbers = {start: 0}  # of what was reached: to hash a whole world takes longer than most of the rest
    finals = [_finals(rule, limits, *start)]
    frontier = {0: (start, 1)}
    schedules = 1
    for _ in range(limits.depth):
        following: dict[int, tuple[tuple[World, Finality], int]] = {}
        for number, ((world, state), count) in frontier.items():
            for step in steps(world, limits):
                reached = _after(rule, state, step)
                known = len(numbers)
                to = numbers.setdefault(reached, known)
                if to == known:
                    finals.append(_finals(rule, limits, *reached))
                    if to_the_end:
                        _check_the_end(rule, limits, *reached)
                if not finals[number] <= finals[to]:
                    raise TooEarlyError(f"final before, and no more in {reached[0]}")
                following[to] = (reached, following[to][1] + count if to in following else count)
        schedules += sum(count for _, count in following.values())
        frontier = following
    return Explored(schedules, len(finals), sum(map(bool, finals)))


def _after(rule: Rule, state: Finality, step: Step) -> tuple[World, Finality]:
    world, events = step
    for event in events:
        state = rule.see(state, event)
    return world, state


def _finals(rule: Rule, limits: Limits, world: World, state: Finality) -> set[int]:
    finals = set()
    for unit, span in enumerate(world.spans):
        if span is not None and world.shredded(unit) and rule.final(state, span, world.now):
            if world.recoverable(unit, limits.backups):
                raise TooEarlyError(f"unit {unit} is said to be final in {world}")
            finals.add(unit)
    span = rule.erased(world.told)
    if span is not None and rule.final(state, span, world.now):
        if any(world.recoverable(unit, limits.backups) for unit in world.sealed):
            raise TooEarlyError(f"the erased value is said to be final in {world}")
        finals.add(VALUE)
    return finals


def _check_the_end(rule: Rule, limits: Limits, world: World, state: Finality) -> None:
    shredded = {unit for unit in range(len(world.spans)) if world.shredded(unit)}
    shredded |= {VALUE} if world.erased else set()
    if shredded:
        end, last = _after(rule, state, run_out(world, limits))
        missing = shredded - _finals(rule, limits, end, last)
        if missing:
            raise NeverError(f"units {missing} are not final in {end}")
