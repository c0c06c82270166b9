"""How many single values can be read a second, one a call?"""

from benchmarks.figures import ECHO, VAULT, Answer, Figure, merged, row_of
from benchmarks.stage import Stage

_ROW = "one value a call"


def ask(stage: Stage) -> Answer:
    """Calls of one random value, beside the echo and the C loop."""
    serving = stage.main()
    script = serving.shaped("random", 1)
    stage.tell("single values")
    serving.load.lap(VAULT, script.name, stage.size.seconds)
    rates = stage.rounds(serving.contestants(script, stage.size), stage.size.runs)
    share = tuple(vault / echo for vault, echo in zip(rates[VAULT], rates[ECHO], strict=True))
    return Answer(
        "unary",
        "Single values",
        "Calls a second for each core used, which are values, too. A call costs what gRPC and TLS cost, "
        "mostly: compare with the echo.",
        merged([row_of(_ROW, rates), [Figure(_ROW, "of the echo", "", share)]]),
    )
