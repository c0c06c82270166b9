import itertools

import pytest

from vault.audit.sealed.pacing import BITE_SECONDS, CUT_SECONDS, LEAST_SHARE, Pace


class Thread:
    """A thread's clock of CPU, and the rests that it took."""

    def __init__(self) -> None:
        self.used = 5.0
        self.rests: list[float] = []
        self.gave_way_at: list[float] = []
        self.pace = Pace(self.rests.append, lambda: self.used, lambda: self.gave_way_at.append(self.used))

    def work(self, seconds: float, pieces: int) -> None:
        self.pace()
        for _ in range(pieces):
            self.used += seconds / pieces
            self.pace()


def test_work_takes_its_share_in_bites() -> None:
    thread = Thread()
    thread.work(0.3, 600)
    assert sum(thread.rests) == pytest.approx(0.3 * (1 - LEAST_SHARE) / LEAST_SHARE, rel=0.02)
    assert max(thread.rests) < 1.5 * BITE_SECONDS / LEAST_SHARE


def test_whoever_waits_goes_first_several_times_a_bite() -> None:
    thread = Thread()
    thread.work(0.3, 30_000)
    between = [later - one for one, later in itertools.pairwise(thread.gave_way_at)]
    assert max(between) < 3 * CUT_SECONDS  # a rest counts as giving way
    assert min(between) > 0.9 * CUT_SECONDS  # not with every piece


def test_little_work_is_not_held_up() -> None:
    thread = Thread()
    thread.work(BITE_SECONDS / 2, 10)
    assert thread.rests == []


def test_who_is_late_takes_more_and_gives_it_back() -> None:
    thread = Thread()
    for _ in range(10):
        thread.pace.round_took(4.9, 5.0)
    assert thread.pace.share == 1.0
    thread.work(0.3, 600)
    assert sum(thread.rests) == 0
    shares = []
    for _ in range(10):
        thread.pace.round_took(1.0, 5.0)
        shares.append(thread.pace.share)
    assert shares[0] == 0.5
    assert all(one >= other for one, other in itertools.pairwise(shares))
    assert shares[-1] == LEAST_SHARE


def test_a_round_in_between_changes_nothing() -> None:
    thread = Thread()
    thread.pace.round_took(4.9, 5.0)
    before = thread.pace.share
    thread.pace.round_took(3.0, 5.0)
    assert thread.pace.share == before
