"""Results as tables on a terminal: medians, with what the figures mean beside them."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.figures import EFFICIENCY, Answer, Figure
from benchmarks.results import Result

LEGEND = (
    '"A core": divided by the CPU seconds (user and system) of all processes of the server.',
    '"vault": mutual TLS, every access decided by policy and written to the access log.',
    '"empty gRPC echo": answers with the bytes of a genuine reply: what TLS and gRPC cost alone.',
    '"C: get and open": LMDB and libsodium in C; the same records in the same order, and customer rows.',
    '"efficiency": vault x (1/echo + 1/C). 1.0 would be nothing but gRPC and the C loop.',
    "Figures are medians; after ± stands half the distance between the lowest and the highest run.",
)


def print_result(console: Console, result: Result) -> None:
    """All answers, and how to read them."""
    console.print(machine.line(result.machine), soft_wrap=True)
    for answer in result.answers:
        print_answer(console, answer)
    console.print("\n".join(LEGEND), soft_wrap=True)


def print_answer(console: Console, answer: Answer) -> None:
    """One question's table."""
    console.print(f"\n[bold]{answer.title}[/bold]")
    console.print(answer.note, soft_wrap=True, style="dim")
    for rows in _alike(answer):
        columns = [column for column in answer.columns if any(answer.at(row, column) for row in rows)]
        table = Table(box=SIMPLE_HEAD)
        table.add_column("", no_wrap=True)
        for column in columns:
            units = {figure.unit for row in rows if (figure := answer.at(row, column))}
            [unit] = units if len(units) == 1 else [""]
            table.add_column(f"{column}\n{unit}", justify="right")
        for row in rows:
            table.add_row(row, *(shown(answer.at(row, column)) for column in columns))
        console.print(table)


def shown(figure: Figure | None) -> str:
    """A figure's median with as many digits as mean something, and how far its runs lie apart."""
    if figure is None:
        return ""
    text = number(figure.median, share=figure.column in (EFFICIENCY, "of the echo"))
    if len(figure.runs) < 3 or not figure.median:
        return text
    spread = (max(figure.runs) - min(figure.runs)) / abs(figure.median) / 2
    return f"{text} ±{100 * spread:.0f}%" if spread < 10 else text


def number(value: float, *, share: bool = False) -> str:
    """Three digits at least, thousands apart."""
    if share or 0 < abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 and value != int(value) else f"{value:,.0f}"


def _alike(answer: Answer) -> Sequence[list[str]]:
    """The rows, those with the same columns together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in answer.rows:
        has = tuple(column for column in answer.columns if answer.at(row, column))
        key = next((known for known in groups if set(has) & set(known)), has)
        groups.setdefault(key, []).append(row)
    return list(groups.values())
