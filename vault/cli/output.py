"""What commands print.

Rules:
- Results go to standard output, errors to standard error.
- With `--json`: one JSON document, or JSON Lines where the length of the answer is open.
- Otherwise tables and sentences for people. Control characters are then shown as escapes, for a
  stored value may hold codes that a terminal obeys; `--json` is exact.
- Colours and progress appear on a terminal only.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vault.cli.exits import lines_of, message_of, reason_of

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_PIPED_WIDTH = 10_000  # columns; a table that is not for a screen is never folded


def print_json(document: object) -> None:
    """One JSON document on one line of standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, separators=(", ", ": ")) + "\n")


def print_line(text: str = "") -> None:
    """One line for people."""
    sys.stdout.write(text + "\n")


def print_remark(text: str) -> None:
    """One line beside the results, on standard error."""
    sys.stderr.write(text + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence `empty` when there are no rows."""
    lines = [[visible(str(cell)) for cell in row] for row in rows]
    if not lines:
        print_line(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", header_style="bold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with console.capture() as drawn:
        console.print(table)
    for drawn_line in drawn.get().splitlines():
        print_line(drawn_line.rstrip())


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Names and what they are, one a line, aligned."""
    pairs = [(name, visible(str(fact))) for name, fact in facts]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, fact in pairs:
        print_line(f"{name:<{width}}  {fact}".rstrip())


def print_error(error: Exception, *, as_json: bool) -> None:
    """Says what went wrong: in one line, or a line for each thing that did."""
    reason, lines = reason_of(error), [visible(line) for line in lines_of(error)]
    if as_json:
        document: dict[str, Any] = {"reason": reason, "message": message_of(error)}
        details = getattr(error, "details", None)
        if isinstance(details, Mapping) and details:
            document["details"] = dict(details)
        sys.stderr.write(json.dumps({"error": document}, ensure_ascii=False) + "\n")
    else:
        first, *others = lines or [""]
        shown = first if reason == "USAGE" else f"{first} [{reason}]"
        sys.stderr.write("\n       ".join([f"error: {shown}", *others]) + "\n")


def visible(text: str) -> str:
    """`text` with control characters as escapes."""
    return text.translate(_ESCAPES)


def when(moment: datetime | None) -> str:
    """A time in UTC to the second, `-` for none."""
    if moment is None:
        return "-"
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def when_json(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds, None for none."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plural(count: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`, `1,234 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
