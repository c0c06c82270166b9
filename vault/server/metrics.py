"""What the processes count, for Prometheus.

Each process writes its counts to files of its own (prometheus_client's multiprocess mode, chosen by
`PROMETHEUS_MULTIPROC_DIR` before this module is imported); the keeper adds them up. Labels are methods,
codes and reasons: small closed sets, and nothing of a request.

What every call counts is gathered in memory (`Tally`) and written every `GATHER_SECONDS`, and at the end:
a count in a file costs more than a small call may.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess
from prometheus_client.exposition import generate_latest

from vault.core.committer import GroupTimes
from vault.server.line import Line
from vault.server.logs import log

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
GATHER_SECONDS: Final = 0.25
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

CALLS = Counter("cvault_calls", "Calls answered.", ("method", "code", "reason"))
SECONDS = Histogram(
    "cvault_call_seconds", "Time from a call's start to its answer.", ("method",), buckets=_SECONDS
)
IN_PROGRESS = Gauge(
    "cvault_calls_in_progress", "Calls being worked on, or at a gate.", multiprocess_mode="livesum"
)
WAITING_CALLS = Gauge(
    "cvault_waiting_calls", "Calls that wait for their turn.", ("line",), multiprocess_mode="livesum"
)
WAITING_ITEMS = Gauge(
    "cvault_waiting_items",
    "What they weigh: 50 a call, and 1 for each token or 38 bytes.",
    ("line",),
    multiprocess_mode="livesum",
)
WAIT_SECONDS = Histogram(
    "cvault_wait_seconds", "How long calls that had to wait in a line did so.", ("line",), buckets=_SECONDS
)
REFUSED = Counter("cvault_refused", "Calls that were turned away for load.", ("line", "why"))
VALUES = Counter("cvault_values_detokenized", "Values that left the vault.")
DENIED = Counter(
    "cvault_values_denied", "Tokens of detokenize calls that were answered with an error.", ("reason",)
)
STORED = Counter("cvault_fields_stored", "Fields of tokenize calls.", ("outcome",))
SHREDS = Counter("cvault_customers_shredded", "Customers shredded.")
COMMIT_SECONDS = Histogram(
    "cvault_commit_seconds",
    "Time of a group of writes: waiting for the write lock, working under it, syncing.",
    ("part",),
    buckets=_SECONDS,
)
_WAIT, _WORK, _SYNC = [COMMIT_SECONDS.labels(part) for part in ("wait", "work", "sync")]
BUDGET_EVENTS = Counter(
    "cvault_budget_events",
    "Windows in which a principal came to a budget's alert level, or was first refused.",
    ("kind", "level"),
)
CHORES = Counter("cvault_chores", "Runs of background work.", ("chore", "outcome"))
CHORE_SECONDS = Gauge(
    "cvault_chore_seconds",
    "How long the last run of a chore took.",
    ("chore",),
    multiprocess_mode="mostrecent",
)
AUDIT_LEAVES = Gauge(
    "cvault_audit_leaves", "Leaves of the sealed access log.", multiprocess_mode="mostrecent"
)
AUDIT_COSIGNED = Gauge(
    "cvault_audit_cosigned", "Whether the witness has seen all leaves.", multiprocess_mode="mostrecent"
)
AUDIT_BYTES = Gauge("cvault_audit_bytes", "Size of the access log.", multiprocess_mode="mostrecent")
AUDIT_LIMIT_BYTES = Gauge(
    "cvault_audit_limit_bytes", "Budget of the access log.", multiprocess_mode="mostrecent"
)
AUDIT_FULL_SECONDS = Gauge(
    "cvault_audit_full_seconds",
    "When the budget is used up at the rate of late; -1 where it does not grow.",
    multiprocess_mode="mostrecent",
)


class Durations:
    """What goes into a histogram of seconds, since it was last written. Any thread may call."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._lock = threading.Lock()
        self._sum = 0.0
        self._buckets = [0] * (len(_SECONDS) + 1)

    def observe(self, seconds: float) -> None:
        """Something took so long."""
        bucket = bisect_left(_SECONDS, seconds)
        with self._lock:
            self._sum += seconds
            self._buckets[bucket] += 1

    def write(self) -> None:
        """Adds it to the process's files."""
        with self._lock:
            total, buckets = self._sum, self._buckets
            self._sum, self._buckets = 0.0, [0] * len(buckets)
        if not any(buckets):
            return
        self._histogram._sum.inc(total)
        for cell, count in zip(self._histogram._buckets, buckets, strict=True):
            if count:
                cell.inc(count)


class Tally:
    """Counts of one method's calls since they were last written. Any thread may call."""

    def __init__(self, method: str) -> None:
        self._seconds = Durations(SECONDS.labels(method))
        self._answered = CALLS.labels(method, "OK", "")
        self._lock = threading.Lock()
        self._ok = 0
        self.under_way = 0

    def begin(self) -> None:
        """A call has begun."""
        with self._lock:
            self.under_way += 1

    def end(self, seconds: float, *, ok: bool) -> None:
        """A call has ended after so long, answered or not."""
        with self._lock:
            self.under_way -= 1
            self._ok += ok
        self._seconds.observe(seconds)

    def write(self) -> None:
        """Adds what was counted to the process's files."""
        with self._lock:
            ok, self._ok = self._ok, 0
        if ok:
            self._answered.inc(ok)
        self._seconds.write()


class Gathering:
    """Writes what was counted in memory. Any thread may call."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._told: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._values = 0
        self._said = 0  # calls under way, as written last
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def tally(self, method: str) -> Tally:
        """The counts of a method's calls."""
        if method not in self._tallies:
            self._tallies[method] = Tally(method)
        return self._tallies[method]

    def reveal(self, values: int) -> None:
        """So many values are leaving the vault."""
        with self._lock:
            self._values += values

    def watch(self, tell: Callable[[], None]) -> None:
        """Calls `tell` with each writing."""
        self._told.append(tell)

    def start(self) -> None:
        """Writes from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Writes for the last time."""
        self._stopping.set()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Writes now."""
        with self._lock:
            values, self._values = self._values, 0
        if values:
            VALUES.inc(values)
        for tally in self._tallies.values():
            tally.write()
        under_way = sum(tally.under_way for tally in self._tallies.values())
        if under_way != self._said:
            self._said = under_way
            IN_PROGRESS.set(under_way)
        for tell in self._told:
            tell()

    def _run(self) -> None:
        while not self._stopping.wait(GATHER_SECONDS):
            self.write()


GATHERING: Final = Gathering()
"""Of this process."""


def waits(name: str) -> Durations:
    """How long calls wait in a line; written with all that is gathered."""
    durations = Durations(WAIT_SECONDS.labels(name))
    GATHERING.watch(durations.write)
    return durations


def watch_line(name: str, line: Line[Any]) -> None:
    """Says with each writing what waits in a line."""
    calls, items = WAITING_CALLS.labels(name), WAITING_ITEMS.labels(name)

    def tell() -> None:
        calls.set(line.waiting_calls)
        items.set(line.waiting_weight)

    GATHERING.watch(tell)


def count_commit(times: GroupTimes) -> None:
    """Counts where a group of writes spent its time; the log has each of them at level debug."""
    _WAIT.observe(times.waited)
    _WORK.observe(times.worked)
    _SYNC.observe(times.synced)
    log.debug(
        "commit",
        waited_ms=_ms(times.waited),
        worked_ms=_ms(times.worked),
        synced_ms=_ms(times.synced),
    )


def exposition() -> bytes:
    """The counts of all processes of this vault, in Prometheus' text format."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
