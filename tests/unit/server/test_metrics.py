from prometheus_client import REGISTRY

from vault.core.committer import GroupTimes
from vault.server import metrics


def seconds(part: str) -> float:
    return REGISTRY.get_sample_value("cvault_commit_seconds_sum", {"part": part}) or 0.0


def test_a_commit_is_counted_by_its_parts() -> None:
    before = [seconds(part) for part in ("wait", "work", "sync")]
    metrics.count_commit(GroupTimes(waited=1.0, worked=2.0, synced=4.0))
    after = [seconds(part) for part in ("wait", "work", "sync")]
    assert [late - early for early, late in zip(before, after, strict=True)] == [1.0, 2.0, 4.0]
