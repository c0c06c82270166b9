"""Who is handed which key, and when the keeper is told, with slots that only remember."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vault.config import Settings
from vault.crypto.hazmat import GuardedMemory
from vault.server.epochs import EpochKeys
from vault.server.slots import State


class Slot:
    """A slot without a process: it remembers what it was sent."""

    def __init__(self, *epochs: int, state: State = State.READY, pid: int = 1) -> None:
        self.held, self.taken = set(epochs), set(epochs)
        self.state, self.pid = state, pid
        self.sent: list[tuple[str, int]] = []

    def give_epoch(self, epoch: int, edk: GuardedMemory) -> None:
        self.held.add(epoch)
        self.sent.append(("take-epoch", epoch))

    def send(self, kind: str, epoch: int) -> None:
        self.sent.append((kind, epoch))


class Stage:
    def __init__(self, *slots: Slot) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.keys = EpochKeys(
            Path("/nowhere"), Settings(), None, slots,  # type: ignore[arg-type]
            lambda kind, **content: self.told.append((kind, content)), self.inbox.put,
        )  # fmt: skip
        self.keys._ask_provider = lambda _: None  # type: ignore[method-assign]  # real in the scenarios

    def hears(self, slot: Slot, kind: str, **content: object) -> None:
        assert self.keys.heard(slot, {"kind": kind, **content})  # type: ignore[arg-type]


@pytest.fixture
def slots() -> tuple[Slot, Slot]:
    return Slot(1), Slot(1)


@pytest.fixture
def stage(slots: tuple[Slot, Slot]) -> Iterator[Stage]:
    stage = Stage(*slots)
    stage.keys.add(1, GuardedMemory(32))
    yield stage
    stage.keys.close()


def test_a_new_key_goes_to_every_process_and_the_keeper_hears_when_all_have_it(
    stage: Stage, slots: tuple[Slot, Slot]
) -> None:
    stage.hears(slots[0], "epoch-wanted", epoch=2, root_key_id="root-2")
    assert stage.told == []
    stage.keys.add(2, GuardedMemory(32))
    assert [slot.sent for slot in slots] == [[("take-epoch", 2)]] * 2
    stage.hears(slots[0], "took-epoch", epoch=2)
    assert stage.told == []
    stage.hears(slots[1], "took-epoch", epoch=2)
    assert stage.told == [("epoch-held", {"epoch": 2})]


def test_a_process_that_starts_meanwhile_is_waited_for(stage: Stage, slots: tuple[Slot, Slot]) -> None:
    slots[1].state = State.STARTING
    stage.hears(slots[0], "epoch-wanted", epoch=2, root_key_id="root-2")
    stage.keys.add(2, GuardedMemory(32))
    stage.hears(slots[0], "took-epoch", epoch=2)
    assert slots[1].sent == stage.told == []
    slots[1].state = State.READY
    stage.keys.step()
    stage.hears(slots[1], "took-epoch", epoch=2)
    assert stage.told == [("epoch-held", {"epoch": 2})]


def test_a_process_that_dies_is_not_waited_for(stage: Stage, slots: tuple[Slot, Slot]) -> None:
    stage.hears(slots[0], "epoch-wanted", epoch=2, root_key_id="root-2")
    stage.keys.add(2, GuardedMemory(32))
    stage.hears(slots[0], "took-epoch", epoch=2)
    slots[1].pid, slots[1].state = 0, State.ABSENT
    slots[1].held, slots[1].taken = set(), set()
    stage.keys.step()
    assert stage.told == [("epoch-held", {"epoch": 2})]


def test_an_epoch_is_over_when_the_last_process_has_left_it(stage: Stage, slots: tuple[Slot, Slot]) -> None:
    stage.hears(slots[0], "epoch-over", epoch=1)
    assert list(stage.keys.held) == []
    assert [slot.sent for slot in slots] == [[("leave-epoch", 1)]] * 2
    stage.hears(slots[0], "left-epoch", epoch=1)
    assert stage.told == []
    stage.hears(slots[1], "left-epoch", epoch=1)
    assert stage.told == [("epoch-left", {"epoch": 1})]


def test_a_process_that_could_not_leave_is_asked_again(stage: Stage, slots: tuple[Slot, Slot]) -> None:
    stage.hears(slots[0], "epoch-over", epoch=1)
    stage.hears(slots[0], "left-epoch", epoch=1)
    stage.hears(slots[0], "epoch-over", epoch=1)
    assert slots[0].sent == [("leave-epoch", 1)]
    assert slots[1].sent == [("leave-epoch", 1)] * 2


def test_other_messages_are_not_its_business(stage: Stage, slots: tuple[Slot, Slot]) -> None:
    assert not stage.keys.heard(slots[0], {"kind": "ready"})  # type: ignore[arg-type]
