"""Do reads slow down as the store grows, how much memory do they take, and how much disk?

A vault of 100 million values is filled and measured in the same way: `--stores 100000000 --keep FOLDER`.
"""

from pathlib import Path

from benchmarks.figures import Answer, Figure, merged, row_of
from benchmarks.processes import resident_bytes
from benchmarks.stage import SHAPES, Serving, Stage

_BATCH = 1000
_PLANES = {"values": "values", "keys": "keyring", "index": "index", "ledger": "ledger"}


def ask(stage: Stage) -> Answer:
    """The stores of the size that was chosen, the smallest first."""
    rows: list[list[Figure]] = []
    for values in stage.size.stores:
        source = stage.filled(values)
        rows.append(_on_disk(source.folder / "vault", f"{values:,} values", values))
        with stage.serving_of(values) as serving:
            rows += _measured(stage, serving)
    return Answer(
        "store_size",
        "By the number of values",
        "Batches of 1,000, values a second for each core. Memory is what the worker has to itself "
        "(anonymous) once every customer has been read; the store's pages are the page cache's. Bytes a "
        "value are those of a freshly filled vault, five values a customer, and hold customer rows and "
        "sheets.",
        merged(rows),
    )


def _measured(stage: Stage, serving: Serving) -> list[list[Figure]]:
    row = f"{serving.filled.values:,} values"
    found = []
    for shape in SHAPES:
        stage.tell(f"{row}: {shape}")
        script = serving.shaped(shape, _BATCH)
        serving.warm_up(script)
        rates = stage.rounds(serving.contestants(script, stage.size))
        found.append(row_of(f"{row}, {shape}", rates))
    memory = sum(resident_bytes(pid) for pid in serving.vault.ready.workers) / 2**20
    found.append([Figure(row, "worker's memory", "MiB", (memory,), "lower")])
    return found


def _on_disk(vault: Path, row: str, values: int) -> list[Figure]:
    return [
        Figure(row, f"{name} on disk", "bytes a value", (_bytes_used(vault / plane) / values,), "lower")
        for name, plane in _PLANES.items()
    ]


def _bytes_used(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)
