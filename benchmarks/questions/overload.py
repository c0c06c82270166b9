"""What does a worker still do of three times as much as it can, and do single reads get through?

- Through the SDK, one core of clients cannot offer three times what a core of the vault answers. So there the
  worker shares its core with two processes that only burn CPU, at its peak as well as at three times of it.
- The bulk job beside which single reads go is a closed loop of four batches of 1,000 under way.
"""

import time

from benchmarks.calls import random_order
from benchmarks.figures import Answer, Figure, percentile
from benchmarks.overloading import Senders, Sent, neighbours, senders
from benchmarks.stage import Stage, target_of

_BATCH = 1000
_BATCHES = 50
_SINGLES = 1000
_SINGLE_RATE = 100.0
_OVERLOAD = 3
_NEIGHBOURS = 2
_AHEAD_SECONDS = 0.5  # of the bulk job, before and after single reads
_RAW, _SDK = "batches of 1,000, raw", "batches of 1,000, by SDK"
_ALONE, _BESIDE = "single reads, alone", "single reads, beside bulk"


def ask(stage: Stage) -> Answer:
    """One worker; raw clients, SDK and single reads take turns."""
    serving = stage.main()
    source, seconds = serving.filled, stage.size.overload_seconds
    order = random_order(range(source.values), seed=11)
    tokens = [source.token(value) for value in order[: _BATCH * _BATCHES]]
    batches = [tokens[at : at + _BATCH] for at in range(0, len(tokens) - _BATCH + 1, _BATCH)]
    singles = [[token] for token in tokens[:_SINGLES]]
    pairs: dict[str, list[tuple[Sent, Sent]]] = {_RAW: [], _SDK: []}
    reads: dict[str, list[Sent]] = {_ALONE: [], _BESIDE: []}
    with senders(target_of(serving.vault), stage.cores.client) as sending:
        sending.warm_up(batches, seconds)
        for run in range(stage.size.side_runs):
            stage.tell(f"overload, run {run + 1}")
            pairs[_RAW].append(_raw(sending, batches, seconds))
            with neighbours(stage.cores.server, _NEIGHBOURS):
                pairs[_SDK].append(_by_sdk(sending, batches, seconds))
            reads[_ALONE].append(sending.open_loop(singles, _SINGLE_RATE, 2 * seconds).result())
            reads[_BESIDE].append(_beside_bulk(sending, batches, singles, 2 * seconds))
    figures = [figure for row, runs in pairs.items() for figure in _goodput(row, runs)]
    figures += [figure for row, sent in reads.items() for figure in _latencies(row, sent)]
    return Answer(
        "overload",
        "Overload",
        f"One worker, offered {_OVERLOAD} times the calls that a closed loop gets answered. What is "
        "answered in full within two seconds counts; the rest is refused early, with a hint when to come "
        f"again. Single reads: {_SINGLE_RATE:.0f} a second, milliseconds from the moment that each was due, "
        "alone and beside a job that keeps four batches of 1,000 under way.",
        tuple(figures),
    )


def _raw(sending: Senders, batches: list[list[str]], seconds: float) -> tuple[Sent, Sent]:
    peak = sending.closed_loop(batches, seconds).result()
    return peak, sending.open_loop(batches, _OVERLOAD * peak.rate, seconds).result()


def _by_sdk(sending: Senders, batches: list[list[str]], seconds: float) -> tuple[Sent, Sent]:
    peak = sending.by_sdk(batches, 0.0, seconds).result()
    return peak, sending.by_sdk(batches, _OVERLOAD * peak.rate, seconds).result()


def _beside_bulk(
    sending: Senders, batches: list[list[str]], singles: list[list[str]], seconds: float
) -> Sent:
    bulk = sending.closed_loop(batches, seconds + 2 * _AHEAD_SECONDS)
    time.sleep(_AHEAD_SECONDS)
    reads = sending.open_loop(singles, _SINGLE_RATE, seconds).result()
    bulk.result()
    return reads


def _goodput(row: str, runs: list[tuple[Sent, Sent]]) -> list[Figure]:
    shares = tuple(100 * loaded.rate / peak.rate for peak, loaded in runs)
    return [
        Figure(row, "peak", "calls/s", tuple(peak.rate for peak, _ in runs)),
        Figure(row, "offered", "calls/s", tuple(loaded.offered / loaded.seconds for _, loaded in runs), ""),
        Figure(row, "answered", "calls/s", tuple(loaded.rate for _, loaded in runs)),
        Figure(row, "of peak", "%", shares),
        Figure(row, "refused", "calls", tuple(float(loaded.refused) for _, loaded in runs), ""),
        Figure(row, "failed", "calls", tuple(float(loaded.failed) for _, loaded in runs), "lower"),
    ]


def _latencies(row: str, runs: list[Sent]) -> list[Figure]:
    ascending = [sorted(sent.latencies) for sent in runs]
    return [
        Figure(row, f"p{each:g}", "ms", tuple(percentile(run, each) * 1e3 for run in ascending), "lower")
        for each in (50.0, 90.0, 99.0)
    ]
