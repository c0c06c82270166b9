"""What do 500 shreds a second cost the reads beside them, and does any read succeed after its shred?

A run is some rounds of five short stretches: reads alone, shreds alone, both, shreds alone, reads alone; so
a machine that gets faster or slower meanwhile does so for all. What the shreds cost by themselves is
subtracted, and what is left is what they do to the reads. After each acknowledgement the shredded customers
are read at once, by another connection, while the storm goes on.
"""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from customervault import CustomerRef, Vault

from benchmarks.calls import PURPOSE, contact_order
from benchmarks.figures import VAULT, Answer, Figure
from benchmarks.filling import FIELDS
from benchmarks.stage import Script, Serving, Stage

SHREDS_A_SECOND = 500
_BATCH = 1000
_SHREDS_A_CALL = 50
_CALL_SECONDS = _SHREDS_A_CALL / SHREDS_A_SECOND
_ROUNDS = 5  # in each run, at most


class Storm:
    """Shreds customers at a rate, and reads each of them after its acknowledgement."""

    def __init__(self, serving: Serving, customers: Iterator[int], shredder: Vault, reader: Vault) -> None:
        self._serving = serving
        self._customers = customers
        self._shredder = shredder
        self._reader = reader
        self.shredded = self.read_afterwards = 0

    def run(self, calls: int) -> None:
        """So many calls."""
        token = self._serving.filled.token
        begun = time.perf_counter()
        for call in range(calls):
            if (early := begun + call * _CALL_SECONDS - time.perf_counter()) > 0:
                time.sleep(early)
            some = [token(FIELDS * next(self._customers)) for _ in range(_SHREDS_A_CALL)]
            answers = self._shredder.shred_many([CustomerRef(token=each) for each in some])
            self.shredded += sum(1 for answer in answers if answer.shred_id)
            read = self._reader.detokenize(some)
            self.read_afterwards += len(some) - len(read.errors)


def ask(stage: Stage) -> Answer:
    """One worker; half of the customers are read, the others shredded."""
    stage.end_main()
    source = stage.copied(stage.filled(stage.size.storm_values))
    alone: list[float] = []
    beside: list[float] = []
    lost: list[float] = []
    half = source.customers // 2
    with stage.serving(source, denominators=False) as serving:
        script = serving.script("read", contact_order(range(half)), _BATCH)
        serving.warm_up(script)
        rounds, calls = _divided(stage, source.customers - half)
        with (
            serving.vault.connect("admin") as shredder,
            serving.vault.connect(purpose=PURPOSE, coalesce=False) as reader,
        ):
            storm = Storm(serving, iter(range(half, source.customers)), shredder, reader)
            for run in range(stage.size.runs):
                stage.tell(f"shred storm, run {run + 1}")
                done = [_round(serving, storm, script, calls) for _ in range(rounds)]
                reads, both = (_rate(values) for values in zip(*done, strict=True))
                alone.append(reads)
                beside.append(both)
                lost.append(100 * (1 - both / reads))
    return Answer(
        "shred_storm",
        "A storm of shreds beside reads",
        f"{SHREDS_A_SECOND} customers a second are shredded, {_SHREDS_A_CALL} a call, while batches of "
        "1,000 are read; values a second for each core, the CPU of the shreds themselves not counted. "
        "Each shredded customer is read as soon as its shred is acknowledged: not one read may succeed.",
        (
            Figure("reads", "alone", "values/s a core", tuple(alone)),
            Figure("reads", "beside the storm", "values/s a core", tuple(beside)),
            Figure("reads", "lost", "%", tuple(lost), "lower"),
            Figure("shreds", "acknowledged", "customers", (float(storm.shredded),), ""),
            Figure("shreds", "read afterwards", "values", (float(storm.read_afterwards),), "lower"),
        ),
    )


class _Read(NamedTuple):
    """Values that were read, and the server's CPU seconds for them."""

    values: int
    cpu: float


def _divided(stage: Stage, customers: int) -> tuple[int, int]:
    """Rounds in each run, and calls of a storm by itself in each: a round has four times as many."""
    most = customers // (4 * _SHREDS_A_CALL * stage.size.runs)
    wanted = round(stage.size.storm_seconds / _CALL_SECONDS / 2 / _ROUNDS)
    calls = max(1, min(wanted, most // _ROUNDS))
    return min(_ROUNDS, most // calls), calls


def _round(serving: Serving, storm: Storm, script: Script, calls: int) -> tuple[_Read, _Read]:
    """Reads alone, and beside the storm."""
    seconds = calls * _CALL_SECONDS
    first = _reads(serving, script, seconds)
    own = _alone(serving, storm, calls)
    both = _together(serving, storm, script, 2 * calls)
    own += _alone(serving, storm, calls)
    last = _reads(serving, script, seconds)
    return _Read(first.values + last.values, first.cpu + last.cpu), _Read(both.values, both.cpu - own)


def _rate(reads: Iterable[_Read]) -> float:
    """Values a second of a core."""
    values, cpu = map(sum, zip(*reads, strict=True))
    return values / max(1e-3, cpu)


def _reads(serving: Serving, script: Script, seconds: float) -> _Read:
    before = serving.cpu()
    lap = serving.load.lap(VAULT, script.name, seconds)
    return _Read(lap.values, serving.cpu() - before)


def _alone(serving: Serving, storm: Storm, calls: int) -> float:
    """The server's CPU seconds for a storm beside nothing else."""
    before = serving.cpu()
    storm.run(calls)
    return serving.cpu() - before


def _together(serving: Serving, storm: Storm, script: Script, calls: int) -> _Read:
    """What was read while the storm went on, and the server's CPU seconds for both."""
    with ThreadPoolExecutor(1) as pool:
        before = serving.cpu()
        storming = pool.submit(storm.run, calls)
        lap = serving.load.lap(VAULT, script.name, calls * _CALL_SECONDS)
        storming.result()
        return _Read(lap.values, serving.cpu() - before)
