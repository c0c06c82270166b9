"""What an overloaded vault still does: goodput, single reads beside bulk, reads beside a storm of shreds.

    python -m benchmarks.overload [--seconds 4] [--runs 3]

Rules:
- One worker on the first core; everything that sends on the second, in processes of their own.
- *Peak* is a closed loop with four calls under way. *Open loop* sends at fixed times, whether or not what was
  sent before is answered; a call counts that is answered in full within its deadline of 2 s.
- Through the SDK (`AsyncVault`), overload is open too: each call begins at its time, whatever became of those
  before; its retries, and its waiting in the client, are its own. One core of clients cannot offer three
  times what a core of the vault answers, so there the worker shares its core with two processes that only
  burn CPU, at its peak as well as at three times of it.
- Latency of single reads counts from the time at which a read was to be sent (no coordinated omission).
- The storm: batches of 100 shreds, five a second. What shreds cost by themselves is measured without reads,
  as CPU of the worker; the loss is what reads lose beyond it. After each acknowledgement the shredded
  customers' tokens are read at once, on other connections: not one may be answered.
- Figures are medians of runs that take turns.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from customervault import AsyncVault, Entry, Vault
from customervault.errors import VaultError
from customervault.inputs import Field
from customervault.v1 import customer_service_pb2 as customers_api
from customervault.v1 import token_service_pb2 as api

from benchmarks.calls import DETOKENIZE, PURPOSE
from benchmarks.cores import Cores
from benchmarks.load import Target
from benchmarks.machine import facts, line
from benchmarks.processes import cpu_seconds, pin
from benchmarks.throwaway import ThrowAwayVault, ending_on_sigterm, throwaway_vault

SHRED_METHOD = "/customervault.v1.CustomerService/BatchShredCustomers"
BATCH = 1000
STORM_BATCH = 100
STORM_RATE = 5  # batches a second
_READ_CUSTOMERS = 2000
_DEADLINE_SECONDS = 2.0
_SINGLE_RATE = 100.0
_CHANNELS = 4
_NEIGHBOURS = 2
_WARM_UP = 20
_OVERLOAD = 3.0
_SHAPES = {"random": BATCH, "page": 100}
_STORM_THREADS = 2


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


@dataclass(frozen=True, slots=True)
class Storm:
    """What a storm of shreds did."""

    shredded: int
    checked: int
    answered_after: int
    seconds: float


class _Line:
    """A few connections, each with its own channel, used in turn."""

    def __init__(self, target: Target, stack: ExitStack, count: int = _CHANNELS) -> None:
        credentials = grpc.ssl_channel_credentials(
            Path(target.ca).read_bytes(), Path(target.key).read_bytes(), Path(target.certificate).read_bytes()
        )
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 * 2**20)]
        self.channels = [
            stack.enter_context(grpc.secure_channel(target.address, credentials, own)) for _ in range(count)
        ]
        for channel in self.channels:
            grpc.channel_ready_future(channel).result(10)

    def methods(self, path: str = DETOKENIZE) -> "list[grpc.UnaryUnaryMultiCallable[bytes, bytes]]":
        return [channel.unary_unary(path) for channel in self.channels]


def _requests(batches: Sequence[Sequence[str]]) -> list[bytes]:
    return [api.DetokenizeRequest(tokens=batch, purpose=PURPOSE).SerializeToString() for batch in batches]


def _full(reply: bytes) -> bool:
    return not api.DetokenizeResponse.FromString(reply).errors


def closed_loop(target: Target, batches: Sequence[Sequence[str]], seconds: float) -> Sent:
    """Four calls under way, each on its own connection."""
    requests, turn = _requests(batches), itertools.count()
    replies: list[bytes] = []
    with ExitStack() as stack:
        methods = _Line(target, stack).methods()
        begun = time.perf_counter()

        def run(method: "grpc.UnaryUnaryMultiCallable[bytes, bytes]") -> None:
            while time.perf_counter() - begun < seconds:
                replies.append(method(requests[next(turn) % len(requests)], timeout=30.0))

        _together([lambda method=method: run(method) for method in methods])
        took = time.perf_counter() - begun
    answered = sum(map(_full, replies))
    return Sent(len(replies), answered, 0, len(replies) - answered, took)


def open_loop(target: Target, batches: Sequence[Sequence[str]], rate: float, seconds: float) -> Sent:
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
        methods = _Line(target, stack).methods()
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


def by_sdk(target: Target, batches: Sequence[Sequence[str]], rate: float, seconds: float) -> Sent:
    """`AsyncVault.detokenize` at fixed times; a rate of 0: four calls under way without pause."""
    return asyncio.run(_by_sdk(target, batches, rate, seconds))


async def _by_sdk(target: Target, batches: Sequence[Sequence[str]], rate: float, seconds: float) -> Sent:
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


def storm(target: Target, customers: Sequence[tuple[str, str]], seconds: float) -> Storm:
    """Batches of shreds at fixed times, each checked at once; `customers` are customer and value tokens."""
    batches = [customers[at : at + STORM_BATCH] for at in range(0, len(customers), STORM_BATCH)]
    batches = batches[: int(STORM_RATE * seconds)]
    with ExitStack() as stack:
        shred = _Line(target, stack, 1).methods(SHRED_METHOD)[0]
        checks = _Line(target, stack, 2).methods()
        done: list[tuple[int, int]] = []
        left = iter(enumerate(batches))
        turn = threading.Lock()
        begun = time.perf_counter()

        def one() -> bool:
            with turn:
                number, batch = next(left, (0, None))
            if batch is None:
                return False
            time.sleep(max(0.0, begun + number / STORM_RATE - time.perf_counter()))
            request = customers_api.BatchShredCustomersRequest(request_id=str(uuid.uuid4()))
            for customer, _ in batch:
                request.customers.add(token=customer)
            reply = customers_api.BatchShredCustomersResponse.FromString(
                shred(request.SerializeToString(), timeout=30.0)
            )
            (ask,) = _requests([[token for _, token in batch]])
            found = [api.DetokenizeResponse.FromString(check(ask, timeout=30.0)) for check in checks]
            done.append((len(reply.results), sum(len(batch) - len(each.errors) for each in found)))
            return True

        def run() -> None:
            while one():
                pass

        _together([run] * _STORM_THREADS)
        took = time.perf_counter() - begun
    shredded = sum(count for count, _ in done)
    return Storm(shredded, shredded * len(checks), sum(answered for _, answered in done), took)


def burn(stop: Any) -> None:
    """Uses the server's core until told to stop."""
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


class _Bench:
    """A vault with one worker, what is in it, and processes that send."""

    def __init__(
        self, vault: ThrowAwayVault, senders: ProcessPoolExecutor, seconds: float, runs: int
    ) -> None:
        self._seconds = seconds
        self._server_cores = Cores.of_machine().server
        self._senders = senders
        ready = vault.ready
        files = ready.certificates["dev"]
        self._target = Target(ready.address, ready.ca, files["certificate"], files["key"])
        self._workers = ready.workers
        with vault.connect(timeout=60.0) as client:
            stored = fill(client, _READ_CUSTOMERS, "read")
            tokens = [token for _, values in stored for token in values]
            random.Random(7).shuffle(tokens)
            self.shapes = {
                name: [tokens[at : at + size] for at in range(0, len(tokens) - size + 1, size)]
                for name, size in _SHAPES.items()
            }
            self._singles = [[token] for token in tokens[:1000]]
            self._victims = iter(
                fill(client, int(STORM_RATE * STORM_BATCH * seconds) * 2 * runs, "storm", values=1)
            )
        self._run(closed_loop, self.shapes["random"], 1.0).result()

    def _run(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        return self._senders.submit(work, self._target, *arguments)

    def goodput(self) -> dict[str, Sent]:
        """Peak, and three times as much, by raw open loop and through the SDK."""
        batches, found = self.shapes["random"], {}
        found["raw peak"] = self._run(closed_loop, batches, self._seconds).result()
        rate = _OVERLOAD * found["raw peak"].rate
        found["raw at 3x"] = self._run(open_loop, batches, rate, self._seconds).result()
        with neighbours(self._server_cores):
            found["SDK peak"] = self._run(by_sdk, batches, 0.0, self._seconds).result()
            rate = _OVERLOAD * found["SDK peak"].rate
            found["SDK at 3x"] = self._run(by_sdk, batches, rate, self._seconds).result()
        return found

    def singles(self, beside: bool) -> tuple[Sent, Sent | None]:
        """Single reads at a fixed rate, beside a bulk job of four calls under way, or alone."""
        bulk = self._run(closed_loop, self.shapes["random"], self._seconds + 1) if beside else None
        time.sleep(0.5)
        reads = self._run(open_loop, self._singles, _SINGLE_RATE, self._seconds).result()
        return reads, bulk.result() if bulk is not None else None

    def reads_alone(self) -> Sent:
        """Batches of a hundred, as fast as they go."""
        sent: Sent = self._run(closed_loop, self.shapes["page"], self._seconds).result()
        return sent

    def storm_alone(self) -> tuple[Storm, float]:
        """A storm without reads, and how much of a core it takes."""
        before = cpu_seconds(self._workers)
        done = self._run(storm, self._next_victims(), self._seconds).result()
        return done, (cpu_seconds(self._workers) - before) / done.seconds

    def storm_under_reads(self) -> tuple[Storm, Sent]:
        """Both at once."""
        shreds = self._run(storm, self._next_victims(), self._seconds)
        reads = self._run(closed_loop, self.shapes["page"], self._seconds).result()
        return shreds.result(), reads

    def _next_victims(self) -> list[tuple[str, str]]:
        count = int(STORM_RATE * STORM_BATCH * self._seconds)
        return [(customer, values[0]) for customer, values in itertools.islice(self._victims, count)]


def fill(client: Vault, count: int, name: str, values: int = 5) -> list[tuple[str, list[str]]]:
    """Stores customers with so many values each; their tokens and those of the values."""
    entries = (
        Entry(f"{name}-{n}", [Field("note", f"{name} {n} {at}", f"n{at}") for at in range(values)])
        for n in range(count)
    )
    return [(each.customer_token, list(each.tokens.values())) for each in client.tokenize_many(entries)]


@contextmanager
def neighbours(cores: set[int]) -> Iterator[None]:
    """Processes that take their share of `cores`."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    burning = [context.Process(target=burn, args=(stop,), daemon=True) for _ in range(_NEIGHBOURS)]
    for process in burning:
        process.start()
        assert process.pid is not None
        os.sched_setaffinity(process.pid, cores)
    try:
        yield
    finally:
        stop.set()
        for process in burning:
            process.join(10)


def _pin(cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)


@contextmanager
def bench(seconds: float, runs: int) -> Iterator[_Bench]:
    """A vault of its own with one worker, filled."""
    cores = Cores.of_machine()
    with throwaway_vault(workers=1) as (vault, _), ExitStack() as stack:
        for pid in vault.ready.workers:
            pin(pid, cores.server)
        context = multiprocessing.get_context("spawn")
        senders = stack.enter_context(
            ProcessPoolExecutor(2, mp_context=context, initializer=_pin, initargs=(cores.client,))
        )
        yield _Bench(vault, senders, seconds, runs)


def _p99_ms(sent: Sent) -> float:
    return sorted(sent.latencies)[int(len(sent.latencies) * 0.99)] * 1000


def _median(figures: Sequence[float]) -> float:
    return statistics.median(figures)


def _print_goodput(runs: Sequence[dict[str, Sent]]) -> None:
    print(f"\nBatches of {BATCH:,}, random: calls/s answered (refused, failed in all)")
    for client in ("raw", "SDK"):
        peak = _median([run[f"{client} peak"].rate for run in runs])
        rate = _median([run[f"{client} at 3x"].rate for run in runs])
        loaded = [run[f"{client} at 3x"] for run in runs]
        refused, failed = sum(each.refused for each in loaded), sum(each.failed for each in loaded)
        offered = _median([each.offered / each.seconds for each in loaded])
        print(
            f"  {client}: peak {peak:,.0f}; offered {offered:,.0f}: {rate:,.0f} = {rate / peak:.0%} of peak"
            f" ({refused:,} refused, {failed:,} failed)"
        )


def _print_singles(alone: Sequence[Sent], beside: Sequence[tuple[Sent, Sent | None]]) -> None:
    p99 = _median([_p99_ms(sent) for sent in alone])
    beside_p99 = _median([_p99_ms(sent) for sent, _ in beside])
    bulk = _median([job.rate for _, job in beside if job is not None])
    print(f"\n{_SINGLE_RATE:.0f} single reads a second: p99 {p99:.1f} ms alone, {beside_p99:.1f} ms beside")
    print(f"  a bulk job with four batches of {BATCH:,} under way, which got {bulk:,.0f} batches/s")


def _print_storm(
    reads: Sequence[Sent],
    storms: Sequence[tuple[Storm, float]],
    both: Sequence[tuple[Storm, Sent]],
) -> int:
    cpu = _median([share for _, share in storms])
    before, during = _median([each.rate for each in reads]), _median([sent.rate for _, sent in both])
    pace = _median([shreds.shredded / shreds.seconds for shreds, _ in both])
    every = [shreds for shreds, _ in [*storms, *both] if isinstance(shreds, Storm)]
    answered, checked = sum(each.answered_after for each in every), sum(each.checked for each in every)
    loss = 1 - during / (before * (1 - cpu))
    print(
        f"\n{pace:,.0f} shreds/s in batches of {STORM_BATCH}: reads {before:,.0f} -> {during:,.0f} batches/s;"
    )
    print(f"  the shreds alone take {cpu:.0%} of a core; the loss beyond them is {loss:.0%}")
    print(f"  {answered} of {checked:,} reads that began after their shred was acknowledged were answered")
    return answered


def main() -> int:
    """Runs it; 1 when a read was answered after its shred had been acknowledged."""
    parser = argparse.ArgumentParser(description="An overloaded vault.")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    print(line(facts()))
    with ending_on_sigterm(), bench(chosen.seconds, chosen.runs) as running:
        _print_goodput([running.goodput() for _ in range(chosen.runs)])
        pairs = [(running.singles(beside=False)[0], running.singles(beside=True)) for _ in range(chosen.runs)]
        _print_singles([alone for alone, _ in pairs], [beside for _, beside in pairs])
        rounds = [
            (running.reads_alone(), running.storm_alone(), running.storm_under_reads())
            for _ in range(chosen.runs)
        ]
        answered = _print_storm(
            [each[0] for each in rounds], [each[1] for each in rounds], [each[2] for each in rounds]
        )
    return 1 if answered else 0


if __name__ == "__main__":
    sys.exit(main())
