"""Sends more than a server can answer, from processes of their own on the clients' core.

- *Closed loop*: four calls under way, each on a connection of its own. Its rate is a server's peak.
- *Open loop* sends at fixed times, whether or not what was sent before is answered; a call counts that is
  answered in full within its deadline of 2 s. Its latency runs from the time at which it was to be sent (no
  coordinated omission).
- *By SDK* (`AsyncVault`): each call begins at its time, whatever became of those before; its retries, and its
  waiting in the client, are its own.
"""

import asyncio
import gc
import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from customervault import AsyncVault
from customervault.errors import VaultError
from customervault.v1 import token_service_pb2 as api

from benchmarks.calls import DETOKENIZE, PURPOSE
from benchmarks.load import Target
from benchmarks.processes import pin

_DEADLINE_SECONDS = 2.0
_CHANNELS = 4
_SENDERS = 2
_WARM_UP = 20
_BATCHES = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Sent:
    """How calls ended that were sent over some seconds."""

    offered: int
    answered: int
    refused: int
    failed: int
    seconds: float
    latencies: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Calls answered in a second."""
        return self.answered / self.seconds


class Senders:
    """Processes that send to one server, two calls of them at the same time."""

    def __init__(self, pool: ProcessPoolExecutor, target: Target) -> None:
        self._pool = pool
        self._target = target

    def warm_up(self, batches: _BATCHES, seconds: float) -> None:
        """Both processes run, and have sent, when this is over."""
        for loop in [self.closed_loop(batches, seconds) for _ in range(_SENDERS)]:
            loop.result()

    def closed_loop(self, batches: _BATCHES, seconds: float) -> "Future[Sent]":
        """Four calls under way, each on its own connection."""
        return self._pool.submit(closed_loop, self._target, batches, seconds)

    def open_loop(self, batches: _BATCHES, rate: float, seconds: float) -> "Future[Sent]":
        """Calls at fixed times, so many a second."""
        return self._pool.submit(open_loop, self._target, batches, rate, seconds)

    def by_sdk(self, batches: _BATCHES, rate: float, seconds: float) -> "Future[Sent]":
        """The same through the SDK; a rate of 0: four calls under way without pause."""
        return self._pool.submit(by_sdk, self._target, batches, rate, seconds)


@contextmanager
def senders(target: Target, cores: set[int]) -> Iterator[Senders]:
    """Starts the processes when they are needed.

    Args:
        target: To whom they send.
        cores: Where they run.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_SENDERS, mp_context=context, initializer=_prepare, initargs=(cores,)) as pool:
        yield Senders(pool, target)


@contextmanager
def neighbours(cores: set[int], count: int) -> Iterator[None]:
    """So many processes that take their share of `cores`."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    burning = [context.Process(target=_burn, args=(stop,), daemon=True) for _ in range(count)]
    for process in burning:
        process.start()
        assert process.pid is not None
        pin(process.pid, cores)
    try:
        yield
    finally:
        stop.set()
        for process in burning:
            process.join(10)


def closed_loop(target: Target, batches: _BATCHES, seconds: float) -> Sent:
    """Four calls under way, each on its own connection."""
    requests, turn = _requests(batches), itertools.count()
    replies: list[bytes] = []
    with ExitStack() as stack:
        methods = _Connections(target, stack).methods()
        begun = time.perf_counter()

        def run(method: "grpc.UnaryUnaryMultiCallable[bytes, bytes]") -> None:
            while time.perf_counter() - begun < seconds:
                replies.append(method(requests[next(turn) % len(requests)], timeout=30.0))

        _together([lambda method=method: run(method) for method in methods])
        took = time.perf_counter() - begun
    answered = sum(map(_full, replies))
    return Sent(len(replies), answered, 0, len(replies) - answered, took)


def open_loop(target: Target, batches: _BATCHES, rate: float, seconds: float) -> Sent:
    """Calls at fixed times, without waiting for answers; the latency of each answer from its time."""
    requests = _requests(batches)
    replies: list[tuple[float, bytes]] = []
    codes: list[grpc.StatusCode] = []
    over = threading.Semaphore(0)

    def note(call: Any, due: float) -> None:
        now = time.perf_counter()
        if call.code() is grpc.StatusCode.OK:
            replies.append((now - due, call.result()))
        else:
            codes.append(call.code())
        over.release()

    with ExitStack() as stack:
        methods = _Connections(target, stack).methods()
        for number in range(_WARM_UP):
            methods[number % len(methods)](requests[number % len(requests)], timeout=30.0)
        begun, offered = time.perf_counter() + 0.05, int(rate * seconds)
        for number in range(offered):
            due = begun + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            call = methods[number % len(methods)].future(
                requests[number % len(requests)], timeout=_DEADLINE_SECONDS
            )
            call.add_done_callback(lambda done, due=due: note(done, due))
        for _ in range(offered):
            over.acquire()
        took = time.perf_counter() - begun
    good = [seconds for seconds, reply in replies if _full(reply)]
    refused = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
    return Sent(offered, len(good), refused, offered - len(good) - refused, max(took, seconds), good)


def by_sdk(target: Target, batches: _BATCHES, rate: float, seconds: float) -> Sent:
    """`AsyncVault.detokenize` at fixed times; a rate of 0: four calls under way without pause."""
    return asyncio.run(_by_sdk(target, batches, rate, seconds))


async def _by_sdk(target: Target, batches: _BATCHES, rate: float, seconds: float) -> Sent:
    outcomes: list[str] = []
    async with AsyncVault(
        target.address, ca=target.ca, certificate=target.certificate, key=target.key,
        purpose=PURPOSE, channels=_CHANNELS, timeout=_DEADLINE_SECONDS,
    ) as vault:  # fmt: skip

        async def one(number: int) -> None:
            try:
                answer = await vault.detokenize(batches[number % len(batches)])
            except VaultError as error:
                outcomes.append(error.reason)
            else:
                outcomes.append("" if len(answer.plain_list()) else "EMPTY")

        async def over_and_over() -> None:
            while time.perf_counter() < begun + seconds:
                await one(next(turn))

        turn = itertools.count()
        await one(next(turn))
        outcomes.clear()
        begun = time.perf_counter()
        if rate:
            async with asyncio.TaskGroup() as calls:
                for number in range(int(rate * seconds)):
                    await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
                    calls.create_task(one(number))
        else:
            await asyncio.gather(*[over_and_over() for _ in range(_CHANNELS)])
        took = time.perf_counter() - begun
    refused, good = outcomes.count("OVERLOADED"), outcomes.count("")
    return Sent(len(outcomes), good, refused, len(outcomes) - good - refused, took)


class _Connections:
    """A few connections, each with its own channel, used in turn."""

    def __init__(self, target: Target, stack: ExitStack, count: int = _CHANNELS) -> None:
        credentials = target.credentials()
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 * 2**20)]
        self.channels = [
            stack.enter_context(grpc.secure_channel(target.address, credentials, own)) for _ in range(count)
        ]
        for channel in self.channels:
            grpc.channel_ready_future(channel).result(10)

    def methods(self, path: str = DETOKENIZE) -> "list[grpc.UnaryUnaryMultiCallable[bytes, bytes]]":
        return [channel.unary_unary(path) for channel in self.channels]


def _requests(batches: _BATCHES) -> list[bytes]:
    return [api.DetokenizeRequest(tokens=batch, purpose=PURPOSE).SerializeToString() for batch in batches]


def _full(reply: bytes) -> bool:
    return not api.DetokenizeResponse.FromString(reply).errors


def _burn(stop: Any) -> None:
    """Uses a core until told to stop."""
    while not stop.is_set():
        sum(range(10_000))


def _together(jobs: Sequence[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _prepare(cores: set[int]) -> None:
    """Of a process that sends: its core, and no pauses of its own."""
    os.sched_setaffinity(0, cores)
    gc.freeze()
    gc.disable()
