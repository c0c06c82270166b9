"""Killed processes lose nothing that was acknowledged, and the vault serves again at once.

A real vault works under a mixed load of creates, updates, shreds and reads, while SIGKILL takes a worker, the
keeper, the supervisor or all of them. After each round, over many fresh connections:
- every acknowledged write is there: a value is the last acknowledged, or one that was sent after it;
- no value of a customer whose shred was acknowledged can be read;
- a request without an answer took effect wholly or not at all, and sent again it has one outcome;
- a request that was answered gives the same answer again.
Every few rounds, and at the end, the vault is stopped and the offline check finds nothing wrong.

`CVAULT_CRASH_ROUNDS` sets the number of rounds; above the default, each round is reported on a line.
"""

import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from customervault.errors import DeadlineExceededError, UnavailableError

from tests.scenarios.support.crash_kill.book import Book
from tests.scenarios.support.crash_kill.load import Load
from tests.scenarios.support.crash_kill.served_vault import ServedVault, Victim
from tests.scenarios.support.crash_kill.verifying import verify

DEFAULT_ROUNDS = 4
ROUNDS = int(os.environ.get("CVAULT_CRASH_ROUNDS", str(DEFAULT_ROUNDS)))
ROUNDS_BETWEEN_CHECKS = 3
WRITERS = 4
FRESH_CONNECTIONS = 8
SERVES_AGAIN_SECONDS = 20.0  # generous: the machine may be busy with other things; the figures are reported
ORDER = (Victim.WORKER, Victim.ALL, Victim.KEEPER, Victim.SUPERVISOR)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[ServedVault]:
    served = ServedVault(tmp_path)
    served.start()
    try:
        yield served
    finally:
        served.abandon()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_processes_are_killed(
    vault: ServedVault, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    book, chance = Book(), random.Random(0)
    load = Load(book, WRITERS, lambda: vault.connect(channels=2))
    outages: dict[Victim, list[float]] = {victim: [] for victim in Victim}
    for number, victim in zip(range(1, ROUNDS + 1), itertools.cycle(ORDER)):
        outage = _round(vault, load, victim, chance)
        outages[victim].append(outage)
        assert not book.problems
        verify(book, vault.connect, FRESH_CONNECTIONS, chance)
        if number % ROUNDS_BETWEEN_CHECKS == 0 or number == ROUNDS:
            vault.stop()
            vault.check()
            if number < ROUNDS:
                vault.start()
        if ROUNDS > DEFAULT_ROUNDS:
            with capsys.disabled():
                sys.stdout.write(f"round {number}: {victim.value}, written to again after {outage:.2f} s\n")
    for victim, seconds in outages.items():
        if seconds:
            record_property(f"seconds until written to again, {victim.value}", f"{max(seconds):.2f} at most")
    record_property("requests", str(book.counts))
    assert max(itertools.chain.from_iterable(outages.values())) < SERVES_AGAIN_SECONDS


def _round(vault: ServedVault, load: Load, victim: Victim, chance: random.Random) -> float:
    """Kills under load; returns the seconds until a new connection's write was acknowledged."""
    with load:
        time.sleep(chance.uniform(0.3, 1.0))
        killed = time.monotonic()
        vault.kill(victim, chance)
        if victim is Victim.ALL:
            load.stop()  # what was under way stays unanswered until it is judged
        if victim in (Victim.ALL, Victim.SUPERVISOR):
            vault.start()
        outage = _write_again(vault) - killed
        vault.wait_whole()
        time.sleep(0.3)
    return outage


def _write_again(vault: ServedVault) -> float:
    while True:
        try:
            with vault.connect(timeout_seconds=2.0) as client:
                client.create_customer("probe")
                return time.monotonic()
        except (UnavailableError, DeadlineExceededError):
            time.sleep(0.01)
