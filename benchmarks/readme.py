"""The README's figures: a marked block that is made from a result, so that no figure is typed by hand."""

import re
from pathlib import Path

from benchmarks.figures import C_LOOP, ECHO, EFFICIENCY, VAULT
from benchmarks.questions.batches import row
from benchmarks.results import Result
from benchmarks.table import number

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"
_BLOCK = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
_NAMED = {
    ("contact", 1000): "batches of 1,000, five values a customer",
    ("random", 1000): "batches of 1,000, every value of another customer",
    ("contact", 100): "batches of 100, five values a customer",
}


def block(result: Result, source: str) -> str:
    """The block, markers included.

    Args:
        result: A run with the questions `unary`, `batches` and `imports`.
        source: The file's name, for readers.

    Raises:
        ValueError: A question was not asked.
    """
    batches, unary, imports = (result.answer(name) for name in ("batches", "unary", "imports"))
    if batches is None or unary is None or imports is None:
        raise ValueError("the README needs the answers to unary, batches and imports")
    columns = (VAULT, ECHO, C_LOOP, EFFICIENCY)
    rows = [(name, batches, row(*key)) for key, name in _NAMED.items()]
    rows.append(("single values, one a call", unary, unary.rows[0]))
    lines = [
        f"On {result.machine['cores']} cores of {result.machine['cpu']}, medians, in values/s for each core",
        f"that the server used (`benchmarks/results/{source}`):",
        "",
        "| detokenize | vault | empty gRPC echo | C loop | efficiency |",
        "|---|---|---|---|---|",
    ]
    for name, answer, key in rows:
        cells = []
        for column in columns:
            figure = answer.at(key, column)
            assert figure is not None
            cells.append(number(rounded(figure.median), share=column == EFFICIENCY))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    wall = imports.figures[0]
    lines += [
        "",
        f"Import, durable and validated, on both sides' cores: {number(rounded(wall.median))} values/s.",
    ]
    return "\n".join([BEGIN, *lines, END])


def rounded(value: float) -> float:
    """To three digits."""
    return float(f"{value:.3g}")


def fill(result: Result, source: str, readme: Path = README) -> None:
    """Replaces the README's block.

    Raises:
        ValueError: The README has no such block, or the result lacks an answer.
    """
    text = readme.read_text(encoding="utf-8")
    if not _BLOCK.search(text):
        raise ValueError(f"{readme} has no block of figures")
    made = block(result, source)
    readme.write_text(_BLOCK.sub(lambda _: made, text), encoding="utf-8")
