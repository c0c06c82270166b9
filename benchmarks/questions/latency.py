"""How long does a call take at 50, 70 and 90 % of what the server manages?

Calls begin at moments drawn beforehand, and a latency runs from that moment. Percentiles are exact: every
latency is kept.
"""

from statistics import median

from benchmarks.figures import VAULT, Answer, Figure, percentile
from benchmarks.stage import Stage

LOADS = (50, 70, 90)
PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)
BATCHES = (("contact", 100), ("random", 1))
_LAPS = 3


def column(percent: float) -> str:
    """What a percentile's column is called."""
    return "max" if percent == 100 else f"p{percent:g}"


def ask(stage: Stage) -> Answer:
    """Open loops against one worker, its peak measured by a closed loop just before."""
    serving = stage.main()
    figures = []
    for shape, batch in BATCHES:
        script = serving.shaped(shape, batch)
        stage.tell(f"the peak of batches of {batch}")
        laps = [serving.load.lap(VAULT, script.name, stage.size.seconds) for _ in range(_LAPS)]
        peak = median(lap.calls / lap.seconds for lap in laps)
        for share in LOADS:
            stage.tell(f"latency at {share} % of the peak, batches of {batch}")
            rate = peak * share / 100
            took = serving.load.open_loop(VAULT, script.name, rate, stage.size.latency_seconds)
            row = f"{batch} value{'s' if batch > 1 else ''} a call, {share} % of peak"
            ascending = sorted(took.seconds)
            figures += [
                Figure(row, column(each), "ms", (percentile(ascending, each) * 1e3,), "lower")
                for each in PERCENTS
            ]
            figures += [
                Figure(row, "calls/s", "calls/s", (rate,), ""),
                Figure(row, "failed", "calls", (float(took.failed),), "lower"),
                Figure(row, "client's CPU", "of a core", (took.client_cpu,), ""),
                Figure(row, "client late", "ms", (took.late * 1e3,), ""),
            ]
    return Answer(
        "latency",
        "Latency at a given load",
        "Milliseconds from the moment that a call was due, by a clock that waits for nobody (Poisson "
        "arrivals, no coordinated omission), to its answer; one worker. Near 1.0 of a core, the client "
        "itself is the one who waits; the most by which it was late is in its latencies.",
        tuple(figures),
    )
