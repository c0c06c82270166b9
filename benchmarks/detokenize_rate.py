"""How many values a second one core of the vault reveals, beside an empty echo and the plain loop.

- Workers and echo run on the first core, the process that sends on the second: neither waits for the
  other's CPU.
- The rate for each core is values by CPU seconds of *all* processes of the vault (workers, keeper,
  supervisor: user and system time), whatever the clock on the wall says.
- Everything is warm: each batch was asked for once before. Every value of every reply is counted.
- Runs of all contestants take turns, so that a slow minute of the machine hits each of them.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.batches import SHAPES
from benchmarks.echo import Echo
from benchmarks.load import Client, Load
from benchmarks.plain_loop import PlainStore
from benchmarks.processes import cpu_seconds, descendants, pin
from benchmarks.report import Contest, Run
from benchmarks.throwaway import ThrowAwayVault


@dataclass(frozen=True, slots=True)
class Cores:
    """Where servers and client run; the same core when there is only one."""

    server: set[int]
    client: set[int]

    @classmethod
    def of_machine(cls) -> "Cores":
        """The first two cores that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls({usable[0]}, {usable[min(1, len(usable) - 1)]})


def pin_workers(vault: ThrowAwayVault, cores: Cores) -> None:
    """Confines the workers to the server's core."""
    for pid in vault.ready.workers:
        pin(pid, cores.server)


def measure_detokenize(
    vault: ThrowAwayVault,
    echo: Echo,
    load: Load,
    plain: PlainStore,
    plain_batches: Mapping[str, Sequence[Sequence[bytes]]],
    *,
    runs: int,
    seconds: float,
    report: Callable[[str], None],
) -> list[Contest]:
    """Runs every contestant `runs` times for `seconds` each, taking turns."""
    server = descendants(vault.ready.pid)

    def over_grpc(client: Client, shape: str, pids: Sequence[int]) -> Run:
        before = cpu_seconds(pids)
        lap = load.lap(client, shape, seconds)
        return Run(lap.values, cpu_seconds(pids) - before, lap.seconds)

    def in_loop(shape: str) -> Run:
        stretch = plain.lap(plain_batches[shape], seconds)
        return Run(stretch.values, stretch.cpu_seconds, stretch.seconds)

    contestants: list[tuple[str, str, Callable[[], Run]]] = []
    for shape in SHAPES:
        contestants += [
            ("vault", shape, partial(over_grpc, "raw", shape, server)),
            ("vault, by SDK", shape, partial(over_grpc, "sdk", shape, server)),
            ("plain loop", shape, partial(in_loop, shape)),
        ]
    contestants.append(("empty gRPC echo", "contact", partial(over_grpc, "echo", "contact", [echo.pid])))
    found: dict[tuple[str, str], list[Run]] = {(name, shape): [] for name, shape, _ in contestants}
    for number in range(1, runs + 1):
        report(f"run {number} of {runs}")
        for name, shape, run in contestants:
            found[name, shape].append(run())
    return [Contest(name, shape, tuple(each)) for (name, shape), each in found.items()]
