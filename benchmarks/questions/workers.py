"""Do more workers manage more?"""

from benchmarks.calls import contact_order, detokenize_calls, whole
from benchmarks.figures import VAULT, Answer, Figure
from benchmarks.load import load
from benchmarks.processes import cpu_seconds, descendants
from benchmarks.stage import Stage, target_of

_BATCH = 1000
_CALLS = 200


def ask(stage: Stage) -> Answer:
    """1, 2, 4, ... workers on as many of the server's cores as there are."""
    stage.end_main()
    source = stage.filled(stage.size.values)
    calls = detokenize_calls(source, whole(contact_order(range(source.customers)), _BATCH, _CALLS), _BATCH)
    figures = []
    for count in counts(len(stage.cores.servers)):
        stage.tell(f"{count} workers")
        cores = set(stage.cores.servers[:count])
        with (
            stage.started(source.folder, count, cores) as vault,
            load(cores=stage.cores.client, threads=4 * count) as sending,
        ):
            sending.connect(VAULT, target_of(vault))
            sending.hold("contact", calls)
            pids = descendants(vault.ready.pid)
            for _ in range(2 * count):  # connections go to any worker: let each have seen the customers
                sending.once(VAULT, "contact")
            walls, rates = [], []
            for _ in range(stage.size.runs):
                before = cpu_seconds(pids)
                lap = sending.lap(VAULT, "contact", stage.size.seconds)
                rates.append(lap.values / max(1e-3, cpu_seconds(pids) - before))
                walls.append(lap.values / lap.seconds)
        row = f"{count} on {len(cores)} core{'s' if len(cores) > 1 else ''}"
        figures.append(Figure(row, "on the wall", "values/s", tuple(walls)))
        figures.append(Figure(row, "a core", "values/s a core", tuple(rates)))
    return Answer(
        "workers",
        "Workers",
        "Values a second in batches of 1,000, five values a customer. Server and client never share a "
        "core, so a machine of two cores shows what a second worker costs on one core, not what it gains "
        "on two.",
        tuple(figures),
    )


def counts(cores: int) -> list[int]:
    """1, 2, 4, ... up to the cores, and at least up to 2."""
    found = [1, 2]
    while found[-1] * 2 <= cores:
        found.append(found[-1] * 2)
    return found
