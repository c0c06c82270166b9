"""What a question answers with: figures, each a row and a column of its table, with every run.

Figures of one row were measured in turns: run n of the vault, of the echo and of the C loop stand beside each
other, so that a slow minute of the machine is in all of them, and a ratio is taken run by run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Better = Literal["higher", "lower", ""]
VAULT = "vault"
ECHO = "empty gRPC echo"
C_GET = "C: get"
C_LOOP = "C: get and open"
EFFICIENCY = "efficiency"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing.

    Attributes:
        row: What was done.
        column: By whom, or what of it is told.
        unit: Of the runs.
        runs: In the order in which they were taken.
        better: Which way an improvement points; empty where there is none.
    """

    row: str
    column: str
    unit: str
    runs: tuple[float, ...]
    better: Better = "higher"

    @property
    def median(self) -> float:
        """Of the runs."""
        return median(self.runs)


@dataclass(frozen=True, slots=True)
class Answer:
    """A question's name (a word), title, how to read it, and its figures."""

    name: str
    title: str
    note: str
    figures: tuple[Figure, ...]

    @property
    def columns(self) -> list[str]:
        """In the order of their first figures."""
        return list(dict.fromkeys(figure.column for figure in self.figures))

    @property
    def rows(self) -> list[str]:
        """In the order of their first figures."""
        return list(dict.fromkeys(figure.row for figure in self.figures))

    def at(self, row: str, column: str) -> Figure | None:
        """The figure there."""
        return next((each for each in self.figures if (each.row, each.column) == (row, column)), None)


def efficiency(
    measured: Sequence[float], echo: Sequence[float], c_loop: Sequence[float]
) -> tuple[float, ...]:
    """Run by run: measured x (1/echo + 1/C), all in values/s; 1.0 is nothing but gRPC and the C loop."""
    return tuple(
        vault * (1 / empty + 1 / least) for vault, empty, least in zip(measured, echo, c_loop, strict=True)
    )


def row_of(row: str, rates: Mapping[str, Sequence[float]], unit: str = "values/s a core") -> list[Figure]:
    """The figures of contestants that took turns, and the efficiency if echo and C loop are among them."""
    figures = [Figure(row, name, unit, tuple(runs)) for name, runs in rates.items()]
    if {VAULT, ECHO, C_LOOP} <= rates.keys():
        shares = efficiency(rates[VAULT], rates[ECHO], rates[C_LOOP])
        figures.append(Figure(row, EFFICIENCY, "", shares))
    return figures


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent do not exceed: exact, from every value.

    Raises:
        ValueError: There are no values.
    """
    if not ascending:
        raise ValueError("no values")
    place = -(-len(ascending) * percent // 100)
    return ascending[max(0, min(len(ascending), int(place)) - 1)]


def merged(figures: Iterable[Iterable[Figure]]) -> tuple[Figure, ...]:
    """Several rows' figures as one tuple."""
    return tuple(figure for row in figures for figure in row)
