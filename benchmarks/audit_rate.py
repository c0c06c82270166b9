"""Detokenization with and without the sealed access log, in turns, in the same run.

- Two vaults of the same contacts, one worker each, of which one runs at a time. One seals every five seconds,
  as by default, the other does not at all.
- All processes of a vault, the keeper that seals included, share one core, the client has the other: what
  sealing costs is missing from the rate.
- A run begins warm, under load for longer than a round, and lasts several rounds of sealing. Index and
  compression do what they do while records come in numbers.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from customervault.v1 import token_service_pb2 as api

from benchmarks import contacts
from benchmarks.batches import SHAPES, chosen, read_cells, shaped
from benchmarks.calls import DETOKENIZE, PURPOSE, Call
from benchmarks.cores import Cores
from benchmarks.import_rate import COLUMNS, measure_import
from benchmarks.load import load
from benchmarks.processes import descendants, pin
from benchmarks.stage import target_of
from benchmarks.throwaway import ThrowAwayVault

_CONTACTS = 10_000
_WARM_SECONDS = 7.0  # more than a round of sealing: a vault that was quiet spends more on its index at first
_WITHOUT = "[audit]\nseal_seconds = 0\n"


def measure_pairs(pairs: int, seconds: float) -> Iterator[tuple[str, list[float], list[float]]]:
    """For each shape of batches: values a second with the tree, and without, run by run."""
    rates: dict[str, tuple[list[float], list[float]]] = {shape: ([], []) for shape in SHAPES}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="customer-vault-")))
        contacts.write_csv(folder / "contacts.csv", _CONTACTS)
        contestants = [_vault(folder / name, folder / "contacts.csv") for name in ("tree", "plain")]
        for number in range(pairs):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            for which in order:
                vault, batches = contestants[which]
                for shape, rate in _run(vault, batches, "" if which == 0 else _WITHOUT, seconds):
                    rates[shape][which].append(rate)
    for shape, (with_tree, without) in rates.items():
        yield shape, with_tree, without


def _vault(folder: Path, source: Path) -> tuple[ThrowAwayVault, dict[str, Sequence[Sequence[str]]]]:
    """A stopped vault that has imported the contacts, and batches of its tokens."""
    folder.mkdir()
    vault, copy = ThrowAwayVault(folder), folder / "tokens.csv"
    vault.start(settings=_WITHOUT)
    try:
        measure_import(vault, source, copy)
    finally:
        vault.stop()
    tokens = read_cells(copy, COLUMNS)
    shapes = shaped([len(row) for row in tokens])
    return vault, {shape: chosen(positions, tokens) for shape, positions in shapes.items()}


def _run(
    vault: ThrowAwayVault, batches: dict[str, Sequence[Sequence[str]]], settings: str, seconds: float
) -> Iterator[tuple[str, float]]:
    cores = Cores.of_machine()
    vault.start(workers=1, settings=settings)
    try:
        ready = vault.ready
        for pid in descendants(ready.pid):
            pin(pid, cores.server)
        with load(cores=cores.client) as sending:
            sending.connect("vault", target_of(vault))
            for shape in SHAPES:
                sending.hold(shape, [_call(batch) for batch in batches[shape]])
                sending.once("vault", shape)
            for shape in SHAPES:
                sending.lap("vault", shape, _WARM_SECONDS)
                lap = sending.lap("vault", shape, seconds)
                yield shape, lap.values / lap.seconds
    finally:
        vault.stop()


def _call(batch: Sequence[str]) -> Call:
    request = api.DetokenizeRequest(tokens=batch, purpose=PURPOSE).SerializeToString()
    return Call(DETOKENIZE, request, len(batch))
