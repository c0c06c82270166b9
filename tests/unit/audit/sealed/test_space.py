import pytest

from vault.audit.sealed.space import Budget, bytes_on_disk

DAY = 86_400.0


@pytest.mark.parametrize(
    ("used", "free", "budget", "level"),
    [
        (10, 990, 0, "ok"),
        (700, 300, 0, "warn"),
        (900, 100, 0, "high"),
        (75, 900, 100, "warn"),
        (95, 900, 100, "high"),
    ],
)
def test_the_level_by_size(tmp_path, used, free, budget, level):
    assert Budget(tmp_path, budget).judge(0.0, used, free).level == level


@pytest.mark.parametrize(("a_day", "level"), [(1, "ok"), (200, "warn"), (1800, "high")])
def test_the_level_by_when_it_will_be_full(tmp_path, a_day, level):
    budget = Budget(tmp_path, 1000)
    budget.judge(0.0, 10, 5000)
    usage = budget.judge(DAY / 2, 10 + a_day // 2 if a_day > 1 else 11, 5000)
    assert usage.level == level
    assert usage.limit_bytes == 1000


def test_a_log_that_does_not_grow_is_never_full(tmp_path):
    budget = Budget(tmp_path, 1000)
    budget.judge(0.0, 10, 5000)
    assert budget.judge(DAY, 10, 5000).full_seconds is None


def test_every_file_below_counts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 10_000)
    (tmp_path / "c").write_bytes(b"x")
    assert bytes_on_disk(tmp_path) >= 10_000
    assert Budget(tmp_path, 0).measure(0.0).bytes == bytes_on_disk(tmp_path)
