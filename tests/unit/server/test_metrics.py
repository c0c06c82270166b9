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


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_calls_are_counted_when_they_are_written() -> None:
    gathering = metrics.Gathering()
    tally = gathering.tally("Gathered")
    assert gathering.tally("Gathered") is tally
    for seconds, ok in ((0.0004, True), (0.0005, True), (0.02, False), (99.0, True)):
        tally.begin()
        tally.end(seconds, ok=ok)
    tally.begin()
    assert sample("cvault_calls_total", method="Gathered", code="OK", reason="") == 0
    for _ in range(2):  # writing again counts nothing twice
        gathering.write()
        assert sample("cvault_calls_total", method="Gathered", code="OK", reason="") == 3
        assert sample("cvault_call_seconds_count", method="Gathered") == 4
        assert sample("cvault_call_seconds_sum", method="Gathered") == 0.0004 + 0.0005 + 0.02 + 99.0
        limits = {"0.0005": 2, "0.01": 2, "0.025": 3, "10.0": 3, "+Inf": 4}
        for limit, count in limits.items():
            assert sample("cvault_call_seconds_bucket", method="Gathered", le=limit) == count
        assert sample("cvault_calls_in_progress") == 1
    tally.end(0.1, ok=True)
    gathering.write()
    assert sample("cvault_calls_in_progress") == 0


def test_what_is_not_yet_written_is_written_at_the_end() -> None:
    gathering = metrics.Gathering()
    before = sample("cvault_values_detokenized_total")
    gathering.start()
    gathering.reveal(7)
    gathering.stop()
    gathering.write()
    assert sample("cvault_values_detokenized_total") == before + 7


def test_waits_are_written_with_what_is_gathered() -> None:
    waits = metrics.waits("tested")
    waits.observe(0.3)
    assert sample("cvault_wait_seconds_count", line="tested") == 0
    metrics.GATHERING.write()
    metrics.GATHERING.write()
    assert sample("cvault_wait_seconds_count", line="tested") == 1
    assert sample("cvault_wait_seconds_sum", line="tested") == 0.3
