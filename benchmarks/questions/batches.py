"""How many values can be read a second, by the size of batches and by what is asked for together?"""

from benchmarks.figures import VAULT, Answer, Figure, merged, row_of
from benchmarks.stage import SHAPES, Stage

SIZES = (10, 100, 1000)
_NAMED = {"contact": "five values a customer", "random": "random values"}


def row(shape: str, batch: int) -> str:
    """What the row of a shape and size is called."""
    return f"{batch:,}, {_NAMED[shape]}"


def ask(stage: Stage) -> Answer:
    """Every size in both shapes, beside the echo and the C loop; the largest ones also through the SDK."""
    serving = stage.main()
    rows = []
    for shape in SHAPES:
        stage.tell(f"warming up: {shape}")
        serving.warm_up(serving.shaped(shape, SIZES[-1]))
        for batch in SIZES:
            stage.tell(f"batches of {batch}: {shape}")
            script = serving.shaped(shape, batch)
            rates = stage.rounds(serving.contestants(script, stage.size), stage.size.runs)
            rows.append(row_of(row(shape, batch), rates))
        sdk = stage.rounds({VAULT: lambda script=script: serving.sdk_lap(script, stage.size.seconds)})  # type: ignore[misc]
        rows.append([Figure(row(shape, batch), "vault, by SDK", "values/s a core", tuple(sdk[VAULT]))])
    return Answer(
        "batches",
        "Batches",
        "Values a second for each core that the server used. Efficiency is vault x (1/echo + 1/C): 1.0 "
        "would be nothing but gRPC and the C loop.",
        merged(rows),
    )
