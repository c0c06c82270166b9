"""Is one version slower than another, beyond noise?

Rules:
- Results come in pairs, before and after: several pairs, made in turns on one machine, say more than one.
- Run n of a figure before is paired with run n after; what is judged is the median of their ratios.
- Noise is three standard errors of that median, from the ratios' median absolute deviation, and never less
  than 3 %; where there are fewer than three pairs of runs, 30 %.
- In a row that has an echo and a C loop, the vault is judged by its efficiency, in which the speed of the
  machine cancels out run by run. Echo and C loop are not judged: if they moved, the machine did.
- A figure that was 0 and is not any more is a regression if less was better, whatever the noise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.figures import C_GET, C_LOOP, ECHO, EFFICIENCY, VAULT, Answer, Figure
from benchmarks.results import Result
from benchmarks.table import number

Verdict = Literal["worse", "better", "same", "not judged"]
_LEAST_NOISE = 0.03
_NOISE_OF_FEW = 0.30
_FEW = 3
_ERRORS = 3.0
_MAD_TO_DEVIATION = 1.4826
_MEDIAN_TO_MEAN = 1.2533


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after: medians, median ratio, and how large a ratio noise alone may explain."""

    question: str
    figure: Figure
    before: float
    after: float
    ratio: float
    noise: float
    verdict: Verdict


def changes(pairs: Sequence[tuple[Result, Result]]) -> Iterator[Change]:
    """Every figure that all of the results have."""
    first, _ = pairs[0]
    for answer in first.answers:
        for figure in answer.figures:
            found = [[_at(result, answer.name, figure) for result in pair] for pair in pairs]
            both = [(before, after) for before, after in found if before and after]
            if len(both) == len(pairs):
                yield _change(answer, figure, both)


def print_changes(console: Console, found: Sequence[Change]) -> int:
    """A table of what changed; how many figures are worse."""
    table = Table(box=SIMPLE_HEAD)
    for heading in ("question", "figure", "", "before", "after", "change", "noise", ""):
        table.add_column(
            heading, justify="right" if heading in ("before", "after", "change", "noise") else "left"
        )
    for each in found:
        if each.verdict in ("worse", "better"):
            table.add_row(
                each.question, each.figure.row, each.figure.column, number(each.before), number(each.after),
                f"{100 * (each.ratio - 1):+.1f} %", f"{100 * each.noise:.1f} %", each.verdict.upper(),
                style="red" if each.verdict == "worse" else "green",
            )  # fmt: skip
    worse = sum(each.verdict == "worse" for each in found)
    judged = sum(each.verdict != "not judged" for each in found)
    if table.row_count:
        console.print(table)
    moved = [each for each in found if each.figure.column == C_LOOP]
    if moved:
        drift = median(each.ratio for each in moved) - 1
        console.print(f"The C loop moved by {100 * drift:+.1f} %: so did the machine.")
    console.print(f"{judged} figures judged, {worse} worse.")
    return worse


def _at(result: Result, question: str, figure: Figure) -> Figure | None:
    answer = result.answer(question)
    return answer.at(figure.row, figure.column) if answer else None


def _change(answer: Answer, figure: Figure, pairs: Sequence[tuple[Figure, Figure]]) -> Change:
    before = median(run for pair in pairs for run in pair[0].runs)
    after = median(run for pair in pairs for run in pair[1].runs)
    runs = [run for pair in pairs for run in zip(pair[0].runs, pair[1].runs, strict=False)]
    ratios = [new / old for old, new in runs if old > 0]
    ratio, noise = median(ratios) if ratios else 1.0, noise_of(ratios)
    return Change(
        answer.name,
        figure,
        before,
        after,
        ratio,
        noise,
        _verdict(answer, figure, before, after, ratio, noise),
    )


def noise_of(ratios: Sequence[float]) -> float:
    """How far from 1 the median of these ratios may lie by chance."""
    if len(ratios) < _FEW:
        return _NOISE_OF_FEW
    middle = median(ratios)
    deviation = _MAD_TO_DEVIATION * median(abs(each - middle) for each in ratios)
    return max(_LEAST_NOISE, _ERRORS * _MEDIAN_TO_MEAN * deviation / sqrt(len(ratios)))


def _verdict(
    answer: Answer, figure: Figure, before: float, after: float, ratio: float, noise: float
) -> Verdict:
    efficient = answer.at(figure.row, EFFICIENCY) is not None
    if not figure.better or figure.column in (ECHO, C_LOOP, C_GET) or (efficient and figure.column == VAULT):
        return "not judged"
    gain = ratio - 1 if figure.better == "higher" else 1 - ratio
    if before == 0 and after > 0:
        return "worse" if figure.better == "lower" else "better"
    if abs(ratio - 1) <= noise:
        return "same"
    return "better" if gain > 0 else "worse"
