"""One question a file; `ask` answers it. The order spares restarts; what changes the shared vault is late."""

from collections.abc import Callable, Mapping

from benchmarks.figures import Answer
from benchmarks.questions import (
    batches,
    dek_cache,
    imports,
    latency,
    mixed,
    overload,
    popularity,
    shred_storm,
    store_size,
    suites,
    unary,
    workers,
)
from benchmarks.stage import Stage

QUESTIONS: Mapping[str, Callable[[Stage], Answer]] = {
    "dek_cache": dek_cache.ask,
    "unary": unary.ask,
    "batches": batches.ask,
    "popularity": popularity.ask,
    "latency": latency.ask,
    "overload": overload.ask,
    "store_size": store_size.ask,
    "suites": suites.ask,
    "mixed": mixed.ask,
    "workers": workers.ask,
    "shred_storm": shred_storm.ask,
    "imports": imports.ask,
}
