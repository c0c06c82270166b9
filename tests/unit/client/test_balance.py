import threading

import pytest
from customervault._balance import Balance


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def call(balance: Balance, clock: Clock, seconds: dict[int, float]) -> int:
    with balance.connection() as number:
        clock.now += seconds[number]
    return number


def test_every_connection_is_tried_before_any_is_preferred() -> None:
    clock = Clock()
    balance = Balance(4, clock)
    assert {call(balance, clock, dict.fromkeys(range(4), 0.01)) for _ in range(4)} == {0, 1, 2, 3}


def test_equal_connections_share_the_calls() -> None:
    clock = Clock()
    balance = Balance(4, clock)
    chosen = [call(balance, clock, dict.fromkeys(range(4), 0.01)) for _ in range(400)]
    assert min(chosen.count(number) for number in range(4)) > 50


def test_a_slow_connection_gets_few_calls_and_is_not_forgotten() -> None:
    clock = Clock()
    balance = Balance(2, clock)
    chosen = [call(balance, clock, {0: 0.01, 1: 0.2}) for _ in range(1000)]
    assert 0 < chosen.count(1) < 100


def test_what_is_under_way_counts() -> None:
    clock = Clock()
    balance = Balance(2, clock)
    for _ in range(2):
        call(balance, clock, {0: 0.1, 1: 0.1})
    with balance.connection() as first, balance.connection() as second:
        assert {first, second} == {0, 1}


def test_a_retry_goes_elsewhere() -> None:
    clock = Clock()
    balance = Balance(2, clock)
    for _ in range(4):
        call(balance, clock, {0: 0.01, 1: 0.01})
    with pytest.raises(ConnectionError), balance.connection() as failed:
        raise ConnectionError
    with balance.connection() as next_one:
        assert next_one != failed


def test_threads_do_not_lose_count() -> None:
    balance = Balance(3)

    def work() -> None:
        for _ in range(500):
            with balance.connection():
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert balance._under_way == [0, 0, 0]
