"""Turns: the commit thread goes first, and waits for a few items at most."""

import threading

import pytest

from vault.core.turn import _ITEMS_A_TURN, Turn

TIMEOUT = 10.0


@pytest.mark.parametrize("count", [0, 1, _ITEMS_A_TURN, _ITEMS_A_TURN + 1, 3 * _ITEMS_A_TURN])
def test_each_gives_what_was_made_in_order(count: int) -> None:
    assert Turn().each(str, range(count)) == [str(number) for number in range(count)]


def test_work_that_fails_gives_its_turn_back() -> None:
    turn = Turn()
    with pytest.raises(ZeroDivisionError) as kept:
        turn.each(lambda number: 1 // number, [1, 0])
    assert kept.value.__traceback__ is not None  # and with it every frame that was left
    with turn.urgent():
        pass
    with turn.ordinary():
        pass


def test_what_is_urgent_goes_before_the_rest_of_a_long_piece_of_work() -> None:
    turn, order, begun, asked = Turn(), list[str](), threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            begun.set()
            assert asked.wait(TIMEOUT)
        order.append("ordinary")

    def urgent() -> None:
        with turn.urgent():
            order.append("urgent")

    clear = turn._nobody_urgent.clear

    def noticed() -> None:
        clear()
        asked.set()

    turn._nobody_urgent.clear = noticed  # type: ignore[method-assign]
    workers = [threading.Thread(target=lambda: turn.each(work, range(5 * _ITEMS_A_TURN)))]
    workers[0].start()
    assert begun.wait(TIMEOUT)
    workers.append(threading.Thread(target=urgent))
    workers[1].start()
    for worker in workers:
        worker.join(TIMEOUT)
    assert order.index("urgent") == _ITEMS_A_TURN
    assert len(order) == 5 * _ITEMS_A_TURN + 1
