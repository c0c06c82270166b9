"""Do more workers manage more?"""

from benchmarks.calls import Call, contact_order, detokenize_calls, whole
from benchmarks.figures import VAULT, Answer, Figure
from benchmarks.load import load
from benchmarks.processes import cpu_seconds, descendants
from benchmarks.stage import Stage, target_of
from benchmarks.throwaway import ThrowAwayVault

_BATCH = 1000
_CALLS = 200


def ask(stage: Stage) -> Answer:
    """1, 2, 4, ... workers on as many of the server's cores as there are."""
    source = stage.main().filled
    calls = detokenize_calls(source, whole(contact_order(range(source.customers)), _BATCH, _CALLS), _BATCH)
    figures = []
    for count in counts(len(stage.cores.servers)):
        stage.tell(f"{count} workers")
        cores = set(stage.cores.servers[:count])
        if count == 1:
            found = _rates(stage, stage.main().vault, calls, 1)
        else:
            stage.end_main()
            with stage.started(source.folder, count, cores) as vault:
                found = _rates(stage, vault, calls, count)
        row = f"{count} on {len(cores)} core{'s' if len(cores) > 1 else ''}"
        figures += [Figure(row, column, unit, runs) for (column, unit), runs in found.items()]
    return Answer(
        "workers",
        "Workers",
        "Values a second in batches of 1,000, five values a customer. Server and client never share a "
        "core, so a machine of two cores shows what a second worker costs on one core, not what it gains "
        "on two.",
        tuple(figures),
    )


def _rates(
    stage: Stage, vault: ThrowAwayVault, calls: list[Call], workers: int
) -> dict[tuple[str, str], tuple[float, ...]]:
    pids = descendants(vault.ready.pid)
    walls, rates = [], []
    with load(cores=stage.cores.client, threads=4 * workers) as sending:
        sending.connect(VAULT, target_of(vault))
        sending.hold("contact", calls)
        for _ in range(2 * workers):  # connections go to any worker: let each have seen the customers
            sending.once(VAULT, "contact")
        for _ in range(stage.size.side_runs):
            before = cpu_seconds(pids)
            lap = sending.lap(VAULT, "contact", stage.size.seconds)
            rates.append(lap.values / max(1e-3, cpu_seconds(pids) - before))
            walls.append(lap.values / lap.seconds)
    return {("on the wall", "values/s"): tuple(walls), ("a core", "values/s a core"): tuple(rates)}


def counts(cores: int) -> list[int]:
    """1, 2, 4, ... up to the cores, and at least up to 2."""
    found = [1, 2]
    while found[-1] * 2 <= cores:
        found.append(found[-1] * 2)
    return found
