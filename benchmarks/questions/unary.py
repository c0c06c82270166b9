"""How many single values can be read a second, one a call?"""

from benchmarks.calls import random_order
from benchmarks.figures import ECHO, VAULT, Answer, Figure, merged, row_of
from benchmarks.stage import Stage

_ROW = "one value a call"
_CALLS = 5_000  # sent over and over: what a first read of a customer costs is another question (`dek_cache`)


def ask(stage: Stage) -> Answer:
    """Calls of one random value, beside the echo and the C loop; keys are warm, as for batches."""
    serving = stage.main()
    script = serving.script(_ROW, random_order(range(serving.filled.values)), 1, _CALLS)
    stage.tell("single values")
    serving.warm_up(script)
    rates = stage.rounds(serving.contestants(script, stage.size), stage.size.runs)
    share = tuple(vault / echo for vault, echo in zip(rates[VAULT], rates[ECHO], strict=True))
    return Answer(
        "unary",
        "Single values",
        "Calls a second for each core used, which are values, too. A call costs what gRPC and TLS cost, "
        "mostly: compare with the echo.",
        merged([row_of(_ROW, rates), [Figure(_ROW, "of the echo", "", share)]]),
    )
