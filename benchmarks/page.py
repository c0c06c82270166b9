"""A result as one page: tables and plots in one HTML file that loads nothing, in light and in dark."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks import machine, plots
from benchmarks.figures import EFFICIENCY, Answer, Figure
from benchmarks.results import Result
from benchmarks.table import LEGEND, shown

_STYLE = """\
:root { color-scheme: light dark; --page: #fcfcfb; --ink: #1d1f22; --soft: #5d6269; --rule: #d9dbde;
  --c0: #2a6fbb; --c1: #c9741a; --c2: #2c8a5b; --c3: #8fbfa6; --c4: #7d5ab5; --c5: #b33f62; }
@media (prefers-color-scheme: dark) { :root {
  --page: #17191c; --ink: #e7e8ea; --soft: #a0a5ad; --rule: #3a3e44;
  --c0: #6ba7ea; --c1: #eba25a; --c2: #5fc192; --c3: #3f6f58; --c4: #b196e3; --c5: #e5809d; } }
body { background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 58rem; padding: 0 1rem; }
h2 { margin: 3rem 0 0.25rem; } p, li { color: var(--soft); max-width: 46rem; }
svg { width: 100%; height: auto; margin: 0.75rem 0; } svg text { fill: var(--ink); font-size: 12px; }
.spread { stroke: var(--ink); stroke-width: 1.5; } .grid { stroke: var(--rule); }
.curve { fill: none; stroke-width: 2.5; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; font-size: 0.85rem; }
.key i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 0.4em; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.85rem; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--rule); padding: 0.25rem 0.75rem; text-align: right;
  white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; } th { font-weight: 600; }
th small { color: var(--soft); font-weight: 400; display: block; }
summary { cursor: pointer; color: var(--soft); }
pre { white-space: pre-wrap; font-size: 0.8rem; }
"""
_PERCENTILES = ("p", "max")


def save(result: Result, path: Path) -> None:
    """Writes the page of a result."""
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    """The whole document."""
    said = (
        f"{machine.line(result.machine)}. Size {result.size}, {result.seconds:,.0f} s, ended {result.time}"
        f"{', tree ' + result.commit if result.commit else ''}."
    )
    legend = "".join(f"<li>{escape(line)}</li>" for line in LEGEND)
    facts = escape(json.dumps(result.machine, indent=1))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Customer Vault benchmarks, {escape(result.time[:10])}</title><style>{_STYLE}</style>"
        f"</head><body><h1>Customer Vault benchmarks</h1><p>{escape(said)}</p><ul>{legend}</ul>"
        f"<details><summary>Machine and versions</summary><pre>{facts}</pre></details>"
        f"{''.join(_section(answer) for answer in result.answers)}</body></html>\n"
    )


def _section(answer: Answer) -> str:
    return (
        f'<section id="{escape(answer.name)}"><h2>{escape(answer.title)}</h2><p>{escape(answer.note)}</p>'
        f"{''.join(_plots(answer))}{_table(answer)}</section>"
    )


def _plots(answer: Answer) -> Iterator[str]:
    """Curves for percentiles, bars for the rest: one plot for each unit, and one for shares."""
    curved = [
        figure for figure in answer.figures if figure.column.startswith(_PERCENTILES) and figure.unit == "ms"
    ]
    if curved:
        yield from _curves(answer, curved)
        return
    for unit in dict.fromkeys(figure.unit for figure in answer.figures):
        chosen = [figure for figure in answer.figures if figure.unit == unit]
        columns = list(dict.fromkeys(figure.column for figure in chosen))
        yield _key({column: number for number, column in enumerate(columns)}, unit or EFFICIENCY)
        groups: dict[str, list[tuple[int, Figure]]] = {}
        for figure in chosen:
            groups.setdefault(figure.row, []).append((columns.index(figure.column), figure))
        yield plots.bars(groups, f"{answer.title}, {unit or EFFICIENCY}")


def _curves(answer: Answer, figures: list[Figure]) -> Iterator[str]:
    """A plot for each kind of call: what stands before the comma in a row's name."""
    kinds: dict[str, dict[str, list[Figure]]] = {}
    for figure in figures:
        kind, _, load = figure.row.partition(", ")
        kinds.setdefault(kind, {}).setdefault(load, []).append(figure)
    for kind, lines in kinds.items():
        yield _key({load: number for number, load in enumerate(lines)}, kind)
        yield plots.curves(lines, f"{answer.title}: {kind}")


def _key(colours: dict[str, int], unit: str) -> str:
    items = "".join(
        f'<span><i style="background:var(--c{number % plots.COLOURS})"></i>{escape(name)}</span>'
        for name, number in colours.items()
    )
    return f'<div class="key"><b>{escape(unit)}</b>{items}</div>'


def _table(answer: Answer) -> str:
    heads = []
    for column in answer.columns:
        units = {figure.unit for row in answer.rows if (figure := answer.at(row, column))}
        heads.append(f"<th>{escape(column)}<small>{escape(' / '.join(sorted(units)))}</small></th>")
    rows = [
        f"<tr><th>{escape(row)}</th>"
        + "".join(f"<td>{escape(shown(answer.at(row, column)))}</td>" for column in answer.columns)
        + "</tr>"
        for row in answer.rows
    ]
    return (
        f'<details open><summary>Table</summary><div class="scroll"><table><tr><th></th>{"".join(heads)}</tr>'
        f"{''.join(rows)}</table></div></details>"
    )
