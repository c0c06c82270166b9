"""The round of replacements, over processes that really start and end."""

import subprocess
import sys
import time
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


def turn(replacing: Replacing, places: list[Place], flag: Path, seconds: float = 20) -> None:
    """Steps until the flag is gone; no two places may be empty at once."""
    give_up = time.monotonic() + seconds
    while flag.exists():
        assert time.monotonic() < give_up
        replacing.step()
        assert sum(p.process is None or p.process.poll() is not None for p in places) <= 1
        for place in places:
            place.respawn_if_ended()
        time.sleep(0.01)


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "writes-stopped"


def test_without_the_flag_nothing_is_replaced(flag: Path) -> None:
    place = Place()
    pid = place.pid
    replacing = Replacing(flag, [place], 5)  # type: ignore[list-item]
    for _ in range(3):
        replacing.step()
    assert place.pid == pid
    assert place.process is not None
    assert place.process.poll() is None
    place.close()


def test_each_process_is_replaced_one_after_the_other(flag: Path) -> None:
    places = [Place(), Place(), Place()]
    before = [place.pid for place in places]
    flag.touch()
    turn(Replacing(flag, places, 5), places, flag)  # type: ignore[arg-type]
    assert not set(before) & {place.pid for place in places}
    for place in places:
        place.close()


def test_a_process_that_does_not_end_is_killed(flag: Path) -> None:
    places = [Place(STUBBORN)]
    pid = places[0].pid
    flag.touch()
    turn(Replacing(flag, places, 0.2), places, flag)  # type: ignore[arg-type]
    assert places[0].pid != pid
    places[0].close()


def test_a_failure_during_the_round_begins_another(flag: Path) -> None:
    places = [Place(), Place()]
    replacing = Replacing(flag, places, 5)  # type: ignore[arg-type]
    flag.touch()
    replacing.step()
    middle = places[1].pid
    time.sleep(0.01)
    flag.touch()
    turn(replacing, places, flag)
    assert places[1].pid != middle
    for place in places:
        place.close()
