"""What the processes count, for Prometheus.

Each process writes its counts to files of its own (prometheus_client's multiprocess mode, chosen by
`PROMETHEUS_MULTIPROC_DIR` before this module is imported); the keeper adds them up. Labels are methods,
codes and reasons: small closed sets, and nothing of a request.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess
from prometheus_client.exposition import generate_latest

from vault.core.committer import GroupTimes
from vault.server.logs import log

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

CALLS = Counter("cvault_calls", "Calls answered.", ("method", "code", "reason"))
SECONDS = Histogram(
    "cvault_call_seconds", "Time from a call's start to its answer.", ("method",), buckets=_SECONDS
)
IN_PROGRESS = Gauge("cvault_calls_in_progress", "Calls being worked on.", multiprocess_mode="livesum")
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
