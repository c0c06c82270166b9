"""The round of replacements, over processes that really start and end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.server.replacing import Replacing
from vault.server.slots import State

IDLE = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit()); print(flush=True); time.sleep(60)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)


class Place:
    """A slot whose process does nothing but wait for its end."""

    def __init__(self, program: str = IDLE) -> None:
        self._program = program
        self.spawn()

    def spawn(self) -> None:
        command = [sys.executable, "-c", self._program]
        self.process: subprocess.Popen[bytes] | None = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout
        self.process.stdout.readline()  # it handles SIGTERM from now on
        self.state = State.READY

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def signal(self, number: int) -> None:
        if self.process:
            self.process.send_signal(number)

    def respawn_if_ended(self) -> None:
        if self.process and self.process.poll() is not None:
            self.close()
            self.spawn()

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
        self.process, self.state = None, State.ABSENT


class Round:
    """A `Replacing` over places, driven as the supervisor does; the check finds `errors`."""

    def __init__(self, flag: Path, places: list[Place], *, end_seconds: float = 5, errors: int = 0) -> None:
        self.checks = 0
        self._flag, self._places, self._errors = flag, places, errors
        self.replacing = Replacing(flag, places, end_seconds, self._check)  # type: ignore[arg-type]

    def run(self, checks: int = 1) -> None:
        """Steps until so many checks were made; no two places may be empty at once."""
        give_up = time.monotonic() + 20
        while self.checks < checks:
            assert time.monotonic() < give_up
            self.replacing.step()
            assert sum(p.process is None or p.process.poll() is not None for p in self._places) <= 1
            for place in self._places:
                place.respawn_if_ended()
            time.sleep(0.01)
        self.replacing.checked(self._errors)

    def _check(self) -> None:
        assert self._flag.exists(), "writes must stay stopped until the check is done"
        self.checks += 1


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "writes-stopped"


@pytest.fixture
def places() -> Iterator[list[Place]]:
    three = [Place(), Place(), Place()]
    yield three
    for place in three:
        place.close()


def test_without_the_flag_nothing_is_replaced(flag: Path, places: list[Place]) -> None:
    before = [place.pid for place in places]
    turn = Round(flag, places)
    for _ in range(3):
        turn.replacing.step()
    assert [place.pid for place in places] == before
    assert all(place.process and place.process.poll() is None for place in places)


def test_each_process_is_replaced_one_after_the_other(flag: Path, places: list[Place]) -> None:
    before = {place.pid for place in places}
    flag.touch()
    Round(flag, places).run()
    assert not before & {place.pid for place in places}
    assert not flag.exists()


def test_a_process_that_does_not_end_is_killed(flag: Path) -> None:
    place = Place(STUBBORN)
    before = place.pid
    flag.touch()
    Round(flag, [place], end_seconds=0.2).run()
    assert place.pid != before
    place.close()


def test_unsound_stores_keep_writes_stopped_without_another_round(flag: Path, places: list[Place]) -> None:
    flag.touch()
    turn = Round(flag, places, errors=1)
    turn.run()
    assert flag.exists()
    after = [place.pid for place in places]
    for _ in range(3):
        turn.replacing.step()
    assert [place.pid for place in places] == after
    assert all(place.process and place.process.poll() is None for place in places)


def test_a_later_failure_begins_another_round(flag: Path, places: list[Place]) -> None:
    turn = Round(flag, places)
    flag.touch()
    turn.run()
    middle = {place.pid for place in places}
    flag.touch()
    turn.run(checks=2)
    assert not middle & {place.pid for place in places}
    assert not flag.exists()
