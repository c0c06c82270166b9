"""The client counts what it got, and an open loop counts the wait of every call that was due."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as api

from benchmarks.calls import DETOKENIZE, PURPOSE, Call
from benchmarks.echo import Echo, echo_server
from benchmarks.load import Load, LoadError, load
from benchmarks.stage import target_of
from benchmarks.throwaway import throwaway_vault

BATCH = 3
STALL_SECONDS = 0.4


def request(count: int) -> bytes:
    return api.DetokenizeRequest(tokens=["t" * 36] * count, purpose=PURPOSE).SerializeToString()


def reply(count: int) -> bytes:
    return api.DetokenizeResponse(
        values=["v"] * count, reveals=[common_pb2.REVEAL_PLAIN] * count
    ).SerializeToString()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Load, Echo]]:
    """A client that holds calls, and an echo that answers them; one of its answers lacks a value."""
    cores = os.sched_getaffinity(0)
    replies = {len(request(BATCH)): reply(BATCH), len(request(BATCH + 1)): reply(BATCH)}
    with (
        throwaway_vault(workers=1) as (vault, _),
        echo_server(vault.data / "tls", replies, cores=cores) as echo,
        load(cores=cores) as sending,
    ):
        sending.connect("echo", target_of(vault, echo.address))
        sending.hold("right", [Call(DETOKENIZE, request(BATCH), BATCH)] * 4)
        sending.hold("wrong", [Call(DETOKENIZE, request(BATCH + 1), BATCH + 1)])
        yield sending, echo


def test_once_sends_every_call_once(served: tuple[Load, Echo]) -> None:
    lap = served[0].once("echo", "right")
    assert (lap.calls, lap.values) == (4, 4 * BATCH)


def test_a_lap_sends_calls_for_as_long_as_it_is_told(served: tuple[Load, Echo]) -> None:
    lap = served[0].lap("echo", "right", 0.2)
    assert lap.seconds >= 0.2
    assert lap.calls > 4
    assert lap.values == lap.calls * BATCH


def test_a_reply_with_too_few_values_ends_the_measurement(served: tuple[Load, Echo]) -> None:
    with pytest.raises(LoadError, match="not revealed"):
        served[0].once("echo", "wrong")
    assert served[0].once("echo", "right").calls == 4


def test_calls_that_were_due_while_the_server_stood_still_have_waited(served: tuple[Load, Echo]) -> None:
    sending, echo = served
    found = []
    measuring = threading.Thread(target=lambda: found.append(sending.open_loop("echo", "right", 100, 1.0)))
    measuring.start()
    time.sleep(0.2)
    os.kill(echo.pid, signal.SIGSTOP)
    try:
        time.sleep(STALL_SECONDS)
    finally:
        os.kill(echo.pid, signal.SIGCONT)
    measuring.join()
    [took] = found
    assert took.failed == 0
    waited = [seconds for seconds in took.seconds if seconds > STALL_SECONDS / 4]
    # A closed loop of four connections would tell of four; by the schedule some thirty were due.
    assert len(waited) > 12
    assert max(waited) > STALL_SECONDS * 0.8
