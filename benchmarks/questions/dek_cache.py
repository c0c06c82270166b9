"""What does the first read of a customer cost, and what every later one?"""

from benchmarks.calls import contact_order
from benchmarks.figures import VAULT, Answer, Figure
from benchmarks.filling import FIELDS
from benchmarks.stage import Serving, Stage

_BATCH = 1000
_PARTS = 30  # of the customers, so that every run finds customers that were never read
_NAMES = ("first read (cold)", "again (hot)")


def ask(stage: Stage) -> Answer:
    """The vault is started anew; each run reads other customers, then the same ones again."""
    serving = stage.main(fresh=True)
    customers = serving.filled.customers
    part = customers // _PARTS
    runs = min(stage.size.runs, _PARTS // 2)
    figures = []
    for shape, name in enumerate(("five values a customer", "one value a customer")):
        found: dict[str, list[float]] = {each: [] for each in _NAMES}
        for run in range(runs):
            stage.tell(f"cold and hot keys: {name}")
            some = range(part * (2 * run + shape), part * (2 * run + shape + 1))
            order = contact_order(some)
            if shape == 1:
                order = order[::FIELDS]
            label = f"cold {shape} {run}"
            batch = min(_BATCH, len(order))
            serving.script(label, order, batch)
            for each in _NAMES:
                found[each].append(_pass(serving, label))
        figures += [Figure(name, each, "us of CPU a value", tuple(found[each]), "lower") for each in _NAMES]
    return Answer(
        "dek_cache",
        "Cold and hot keys",
        "Microseconds of the server's CPU for each value, batches of 1,000, in a vault that was just "
        "started: the first read of a customer fetches and unwraps its data key and verifies its row.",
        tuple(figures),
    )


def _pass(serving: Serving, label: str) -> float:
    before = serving.cpu()
    lap = serving.load.once(VAULT, label)
    return (serving.cpu() - before) / lap.values * 1e6
