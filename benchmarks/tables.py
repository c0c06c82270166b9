"""A Parquet table through `cvault tokenize-table` and back: rate, memory, equality.

    python -m benchmarks.tables [--rows 1000000] [--folder DIR]

Rules:
- A row has an id and five columns of values, all of them stored and replaced: ROWS x 5 tokens.
- Memory is the largest resident set of the command's process, as the kernel counts it.
- The table that comes back has to be equal to the one that went in, cell by cell.
- With --folder the files stay, and so does what was done of an interrupted run.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import facts, line
from benchmarks.throwaway import (
    CVAULT,
    ThrowAwayVault,
    VaultProcessError,
    ending_on_sigterm,
    throwaway_vault,
)

COLUMNS = {"name": "name", "email": "email", "phone": "phone", "address": "address", "note": "note"}
_GROUP_ROWS = 50_000
_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Hedy", "Radia")

# The largest resident set counts what the child was before its exec, a copy of its parent: so a small parent.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """One command over the whole table. `memory_mb` is its largest resident set."""

    seconds: float
    memory_mb: float


def write_table(path: Path, rows: int) -> None:
    """A table of made-up people."""
    schema = pa.schema([("customer_id", pa.string()), *((name, pa.string()) for name in COLUMNS)])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, _GROUP_ROWS):
            numbers = range(first, min(first + _GROUP_ROWS, rows))
            writer.write_table(pa.Table.from_pylist([_row(number) for number in numbers], schema))


def _row(number: int) -> dict[str, str]:
    name = _NAMES[number % len(_NAMES)]
    return {
        "customer_id": f"crm-{number:09d}",
        "name": f"{name} Example{number}",
        "email": f"{name.lower()}.{number}@example.org",
        "phone": f"+49151{10_000_000 + number:08d}",
        "address": f"Street {number % 997}, {10_000 + number % 80_000} Town, Germany",
        "note": f"called on day {number % 365} about order {number}",
    }


def run(vault: ThrowAwayVault, *arguments: str | Path) -> Ran:
    """Runs a command as `dev`.

    Raises:
        VaultProcessError: Its exit code is not 0.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("CVAULT_")}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(CVAULT), *map(str, arguments)],
        env=own | vault.environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise VaultProcessError(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Ran(time.monotonic() - begun, int(done.stdout) / 1024)


def equal(one: Path, other: Path) -> bool:
    """Whether two tables hold the same rows in the same order; reads them side by side."""
    batches = zip(_batches(one), _batches(other), strict=True)
    return all(left == right for left, right in batches)


def _batches(path: Path) -> Iterator[list[Any]]:
    with pq.ParquetFile(path) as file:
        rows: list[Any] = []
        for batch in file.iter_batches(10_000):
            rows += batch.to_pylist()
            while len(rows) >= 10_000:
                yield rows[:10_000]
                rows = rows[10_000:]
        yield rows


def round_trip(vault: ThrowAwayVault, folder: Path, rows: int) -> tuple[Ran, Ran, bool]:
    """Tokenizes and detokenizes a table of `rows` in `folder`; whether it came back equal."""
    table, tokens, back = (folder / f"{name}.parquet" for name in ("table", "tokens", "back"))
    if not table.exists():
        write_table(table, rows)
    maps = [text for name, field_class in COLUMNS.items() for text in ("--map", f"{name}={field_class}")]
    there = run(vault, "tokenize-table", table, tokens, "--id", "customer_id", *maps)
    columns = [text for name in COLUMNS for text in ("--column", name)]
    again = run(vault, "detokenize-table", tokens, back, *columns, "--purpose", "support")
    return there, again, equal(table, back) and not equal(table, tokens)


def main() -> int:
    """Runs it; 1 when the table came back different or a command took 300 MB."""
    parser = argparse.ArgumentParser(description="A Parquet table in and out of tokens.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with ending_on_sigterm(), throwaway_vault() as (vault, folder):
        there, again, same = round_trip(vault, chosen.folder or folder, chosen.rows)
    print(f"{chosen.rows:,} rows x {len(COLUMNS)} columns of Parquet; {line(facts())}\n")
    print(f"{'':20}{'seconds':>10}{'values/s':>12}{'memory MB':>12}")
    for name, ran in (("tokenize-table", there), ("detokenize-table", again)):
        rate = chosen.rows * len(COLUMNS) / ran.seconds
        print(f"{name:20}{ran.seconds:>10.1f}{rate:>12,.0f}{ran.memory_mb:>12.0f}")
    print(f"\ncame back {'equal' if same else 'DIFFERENT'}")
    return 0 if same and max(there.memory_mb, again.memory_mb) < 300 else 1


if __name__ == "__main__":
    sys.exit(main())
