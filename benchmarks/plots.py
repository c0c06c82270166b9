"""Plots as SVG text: bars of rows and columns, and curves of percentiles. No script, no font, nothing loaded.

Colours are the page's variables `--c0`, `--c1`, ..., so that a plot follows light and dark; text takes the
page's colour. A bar is a median, the line on it goes from the lowest run to the highest.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import floor, log10

from benchmarks.figures import Figure
from benchmarks.table import number

COLOURS = 6
_WIDTH = 820
_LABELS = 250
_VALUES = 110
_BAR = 16
_GAP = 12
_CURVE_HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 12, 34


def bars(groups: Mapping[str, Sequence[tuple[int, Figure]]], title: str) -> str:
    """Horizontal bars, on one scale.

    Args:
        groups: By row, the figures with the number of their colour.
        title: What is plotted, for those who do not see it.
    """
    largest = (
        max((max(figure.runs) for figures in groups.values() for _, figure in figures), default=0.0) or 1.0
    )
    scale = (_WIDTH - _LABELS - _VALUES) / largest
    parts = []
    top = _GAP / 2
    for row, figures in groups.items():
        middle = top + _BAR * len(figures) / 2
        parts.append(_text(_LABELS - 10, middle, row, "end"))
        for colour, figure in figures:
            parts.append(_bar(top, colour, figure, scale))
            top += _BAR
        top += _GAP
    return _svg(top, title, parts)


def curves(lines: Mapping[str, Sequence[Figure]], title: str) -> str:
    """Percentiles, the values on a logarithmic scale.

    Args:
        lines: By row, one figure for each percentile, which its column names; the same ones in each row.
        title: What is plotted.
    """
    values = [max(figure.median, 1e-3) for line in lines.values() for figure in line]
    low, high = floor(log10(min(values))), -floor(-log10(max(values)))
    high = max(high, low + 1)
    names = [figure.column for figure in next(iter(lines.values()))]
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(names) - 1)
    depth = (_CURVE_HEIGHT - _TOP - _BOTTOM) / (high - low)

    def y(value: float) -> float:
        return _TOP + (high - log10(max(value, 1e-3))) * depth

    parts = []
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 8, at, f"{10.0**power:g} ms", "end"))
    for place, name in enumerate(names):
        anchor = "end" if place == len(names) - 1 else "middle"
        parts.append(_text(_LEFT + place * step, _CURVE_HEIGHT - _BOTTOM / 2, name, anchor))
    for colour, (row, line) in enumerate(lines.items()):
        points = [(_LEFT + place * step, y(figure.median)) for place, figure in enumerate(line)]
        drawn = " ".join(f"{x:.1f},{at:.1f}" for x, at in points)
        parts.append(f'<polyline points="{drawn}" class="curve" style="stroke:var(--c{colour % COLOURS})"/>')
        for (x, at), figure in zip(points, line, strict=True):
            told = f"<title>{escape(row)}, {figure.column}: {figure.median:.2f} ms</title>"
            fill = f"fill:var(--c{colour % COLOURS})"
            parts.append(f'<circle cx="{x:.1f}" cy="{at:.1f}" r="4" style="{fill}">{told}</circle>')
    return _svg(_CURVE_HEIGHT, title, parts)


def _bar(top: float, colour: int, figure: Figure, scale: float) -> str:
    middle, length = top + _BAR / 2, max(0.0, figure.median) * scale
    low, high = (_LABELS + max(0.0, edge) * scale for edge in (min(figure.runs), max(figure.runs)))
    told = escape(f"{figure.row}, {figure.column}: {number(figure.median)} {figure.unit}")
    found = (
        f'<rect x="{_LABELS}" y="{top + 1:.1f}" width="{length:.1f}" height="{_BAR - 3}" rx="2" '
        f'style="fill:var(--c{colour % COLOURS})"><title>{told}</title></rect>'
    )
    if len(figure.runs) > 1:
        found += f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}" class="spread"/>'
    return found + _text(max(high, _LABELS + length) + 8, middle, number(figure.median), "start")


def _text(x: float, y: float, said: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dy="0.35em">{escape(said)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
