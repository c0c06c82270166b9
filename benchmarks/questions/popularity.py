"""Does it matter that some values are read far more often than others?"""

from benchmarks.calls import random_order, zipf_order
from benchmarks.figures import Answer, merged, row_of
from benchmarks.stage import Stage

_BATCH = 1000
_MOST_CALLS = 300


def ask(stage: Stage) -> Answer:
    """Batches of random values, each as likely as any other, and by Zipf's law."""
    serving = stage.main()
    values = range(serving.filled.values)
    draws = min(len(values), _MOST_CALLS * _BATCH)
    orders = {
        "uniform": random_order(values, seed=8)[:draws],
        "Zipf 0.99": zipf_order(values, draws),
    }
    rows = []
    for name, order in orders.items():
        stage.tell(f"popularity: {name}")
        script = serving.script(name, order, _BATCH)
        serving.warm_up(script)
        rows.append(row_of(name, stage.rounds(serving.contestants(script, stage.size))))
    return Answer(
        "popularity",
        "Uniform and skewed access",
        f"Batches of {_BATCH:,} single values, all equally likely or by Zipf's law with exponent 0.99; "
        "values a second for each core. All keys are in the server's cache in both: what differs is the "
        "processor's caches.",
        merged(rows),
    )
