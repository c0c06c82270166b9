"""How long does a call take at 50, 70 and 90 % of what the server manages?

Calls begin at moments drawn beforehand, and a latency runs from that moment. Percentiles are exact: every
latency of a run is kept. The peak is measured anew by a closed loop just before each run, so that a share of
it is one of what the machine does at that time. The empty echo gets calls at the rate of `BESIDE`.
"""

from benchmarks.figures import ECHO, VAULT, Answer, Figure, percentile
from benchmarks.open_loop import Latencies
from benchmarks.stage import Stage

LOADS = (50, 70, 90)
BESIDE = 70
PERCENTS = (50.0, 90.0, 99.0, 99.9, 100.0)
BATCHES = (("contact", 100), ("random", 1))
_PEAK_SECONDS = 0.75  # in runs of a closed loop elsewhere


def column(percent: float) -> str:
    """What a percentile's column is called."""
    return "max" if percent == 100 else f"p{percent:g}"


def row(batch: int, share: int, server: str = VAULT) -> str:
    """What a load's row is called."""
    calls = f"{batch} value{'s' if batch > 1 else ''} a call, {share} % of peak"
    return calls if server == VAULT else f"{calls}, {server}"


def ask(stage: Stage) -> Answer:
    """Open loops against one worker, and one against the echo, in turns."""
    serving = stage.main()
    figures = []
    for shape, batch in BATCHES:
        script = serving.shaped(shape, batch)
        serving.warm_up(script)
        found: dict[str, list[Latencies]] = {}
        rates: dict[str, list[float]] = {}
        for run in range(stage.size.runs):
            stage.tell(f"latency of batches of {batch}, run {run + 1}")
            for share, server in [*((share, VAULT) for share in LOADS), (BESIDE, ECHO)]:
                peak = serving.load.lap(VAULT, script.name, _PEAK_SECONDS * stage.size.seconds)
                rate = peak.calls / peak.seconds * share / 100
                name = row(batch, share, server)
                took = serving.load.open_loop(server, script.name, rate, stage.size.latency_seconds)
                found.setdefault(name, []).append(took)
                rates.setdefault(name, []).append(rate)
        for name, runs in found.items():
            figures += _figures(name, runs, rates[name])
    return Answer(
        "latency",
        "Latency at a given load",
        "Milliseconds from the moment that a call was due, by a clock that waits for nobody (Poisson "
        "arrivals, no coordinated omission), to its answer; one worker. Near 1.0 of a core, the client "
        "itself is the one who waits; the most by which it was late is in its latencies. The echo's calls "
        "come at the vault's rate, of which it could take more.",
        tuple(figures),
    )


def _figures(name: str, runs: list[Latencies], rates: list[float]) -> list[Figure]:
    ascending = [sorted(run.seconds) for run in runs]
    return [
        *(
            Figure(name, column(each), "ms", tuple(percentile(run, each) * 1e3 for run in ascending), "lower")
            for each in PERCENTS
        ),
        Figure(name, "calls/s", "calls/s", tuple(rates), ""),
        Figure(name, "failed", "calls", tuple(float(run.failed) for run in runs), "lower"),
        Figure(name, "client's CPU", "of a core", tuple(run.client_cpu for run in runs), ""),
        Figure(name, "client late", "ms", tuple(run.late * 1e3 for run in runs), ""),
    ]
