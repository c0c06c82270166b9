"""Shows how far an import has come: a bar with rate and time left on a terminal, nothing elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from customervault.tables.journal import Progress

Report = Callable[[Progress], None]


@contextmanager
def showing(name: str, total: int, begin: Progress) -> Iterator[Report]:
    """Gives a function to call after each batch.

    Args:
        name: Stands before the bar.
        total: The offset at which the table ends.
        begin: How far an earlier run had come.
    """
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]} values/s"),
        TimeRemainingColumn(),
    )
    started, values_before = time.monotonic(), begin.tally.values
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total, completed=begin.position.offset, rate="-")

        def report(progress: Progress) -> None:
            rate = (progress.tally.values - values_before) / max(time.monotonic() - started, 0.001)
            bar.update(task, completed=progress.position.offset, rate=f"{rate:,.0f}")

        yield report


def _silent(progress: Progress) -> None:
    del progress
