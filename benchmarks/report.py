"""Medians, ratios, a table for people and a file for comparisons."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.batches import BATCH, FIELDS
from benchmarks.import_rate import ImportRate

RESULTS = Path(__file__).parent / "results"
YARDSTICK = "plain loop"
_SHAPES = {
    "contact": f"batches of {BATCH} in contact shape ({FIELDS} fields a customer)",
    "random": f"batches of {BATCH} random values",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One timed stretch of a contestant; CPU seconds are of the serving side."""

    values: int
    cpu_seconds: float
    seconds: float

    @property
    def per_core(self) -> float:
        """Values a second of CPU."""
        return self.values / self.cpu_seconds

    @property
    def per_second(self) -> float:
        """Values a second of wall time."""
        return self.values / self.seconds


@dataclass(frozen=True, slots=True)
class Contest:
    """All runs of one contestant with batches of one shape."""

    name: str
    shape: str
    runs: tuple[Run, ...]

    @property
    def per_core(self) -> float:
        """The median of the runs' rates for each core."""
        return median(run.per_core for run in self.runs)

    @property
    def per_second(self) -> float:
        """The median of the runs' wall rates."""
        return median(run.per_second for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest rate for each core."""
        rates = [run.per_core for run in self.runs]
        return min(rates), max(rates)


def ratio(contest: Contest, contests: Sequence[Contest]) -> float | None:
    """Its rate for each core as a part of the yardstick's in the same shape; None without one."""
    for other in contests:
        if (other.name, other.shape) == (YARDSTICK, contest.shape):
            return contest.per_core / other.per_core
    return None


def print_import(console: Console, imported: ImportRate, plain: Run) -> None:
    """The import beside the plain writes."""
    table = _table("Import", ("values", "seconds", "values/s", "server CPU s"))
    table.add_row(
        f"cvault import, {imported.contacts:,} contacts",
        f"{imported.values:,}",
        f"{imported.seconds:.1f}",
        f"{imported.values_per_second:,.0f}",
        f"{imported.server_cpu_seconds:.1f}",
    )
    table.add_row(
        YARDSTICK,
        f"{plain.values:,}",
        f"{plain.seconds:.1f}",
        f"{plain.per_second:,.0f}",
        f"{plain.cpu_seconds:.1f}",
    )
    console.print(table)


def print_detokenize(console: Console, contests: Sequence[Contest]) -> None:
    """One table a shape."""
    for shape, title in _SHAPES.items():
        table = _table(
            f"Detokenize, values/s; {title}",
            ("a core", "lowest", "highest", "on the wall", f"of {YARDSTICK}"),
        )
        for contest in contests:
            if contest.shape == shape:
                low, high = contest.spread
                part = ratio(contest, contests)
                table.add_row(
                    contest.name,
                    f"{contest.per_core:,.0f}",
                    f"{low:,.0f}",
                    f"{high:,.0f}",
                    f"{contest.per_second:,.0f}",
                    f"{part:.2f}" if part is not None else "",
                )
        console.print(table)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def document(
    machine: dict[str, object], imported: ImportRate, plain: Run, contests: Sequence[Contest]
) -> dict[str, Any]:
    """Everything measured, for a file."""
    return {
        "machine": machine,
        "import": asdict(imported) | {"values_per_second": round(imported.values_per_second)},
        "plain_import": asdict(plain) | {"values_per_second": round(plain.per_second)},
        "detokenize": [
            {
                "name": contest.name,
                "shape": contest.shape,
                "values_per_second_a_core": round(contest.per_core),
                "values_per_second_wall": round(contest.per_second),
                "of_plain_loop": part and round(part, 3),
                "runs": [asdict(run) for run in contest.runs],
            }
            for contest in contests
            for part in [ratio(contest, contests)]
        ],
    }


def save(name: str, results: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Writes `results` to `<date>-<name>.json`; the file."""
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = folder / f"{now:%Y-%m-%d}-{name}.json"
    path.write_text(json.dumps({"time": now.isoformat(timespec="seconds"), **results}, indent=2) + "\n")
    return path
