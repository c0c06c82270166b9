"""Detokenization with and without the sealed access log, in turns, in the same run.

- Two copies of a vault, one worker each, of which one runs at a time. One seals every five seconds, as by
  default, the other does not at all.
- All processes of a vault, the keeper that seals included, share one core, the client has the other: what
  sealing costs is missing from the rate.
- A run begins warm, under load for longer than a round, and lasts several rounds of sealing. Index and
  compression do what they do while records come in numbers.
- Machines that others use, too, change their speed within a run. So the share of the CPU that the processes
  beside the worker took is told as well: it is of the same seconds as what it is a share of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.figures import VAULT
from benchmarks.processes import cpu_seconds
from benchmarks.sizes import BENCH
from benchmarks.stage import SHAPES, Serving, Stage

_BATCH = 1000
_WARM_SECONDS = 7.0  # more than a round of sealing: a vault that was quiet spends more on its index at first
_WITHOUT = "[audit]\nseal_seconds = 0\n"


@dataclass(slots=True)
class Runs:
    """Of one shape of batches: values a second, and the share of CPU beside the worker's, run by run."""

    rates: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)


def measure_pairs(
    pairs: int, seconds: float, values: int, tell: Callable[[str], None]
) -> dict[str, tuple[Runs, Runs]]:
    """For each shape of batches: with the tree, and without."""
    found = {shape: (Runs(), Runs()) for shape in SHAPES}
    stage = Stage(replace(BENCH, values=values), tell)
    try:
        source = stage.filled(values)
        contestants = ((source, ""), (stage.copied(source), _WITHOUT))
        for number in range(pairs):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                tell(f"pair {number + 1}, {'with' if which == 0 else 'without'} the tree")
                folder, settings = contestants[which]
                with stage.serving(folder, denominators=False, settings=settings) as serving:
                    _run(serving, [found[shape][which] for shape in SHAPES], seconds)
    finally:
        stage.close()
    return found


def _run(serving: Serving, runs: Sequence[Runs], seconds: float) -> None:
    workers = serving.vault.ready.workers
    for shape, run in zip(SHAPES, runs, strict=True):
        script = serving.shaped(shape, _BATCH)
        serving.warm_up(script)
        serving.load.lap(VAULT, script.name, _WARM_SECONDS)
        before, before_all = cpu_seconds(workers), serving.cpu()
        lap = serving.load.lap(VAULT, script.name, seconds)
        used, used_all = cpu_seconds(workers) - before, serving.cpu() - before_all
        run.rates.append(lap.values / lap.seconds)
        run.beside.append(1 - used / used_all)
