"""Open loops: calls begin at moments drawn beforehand (a Poisson process), whatever became of earlier ones.

A latency runs from the moment that was drawn: where the server stalls, or this client is late, the wait of
every call that was due counts (no "coordinated omission"). So this client has to be quick:

- It is one thread, with asyncio. Threads that send would wait for threads that take answers, up to 5 ms for
  their turn at the interpreter.
- Its event loop waits by `select`, which keeps microseconds; `epoll` is told milliseconds.
- Python's collector of cycles is off meanwhile, and what a call leaves behind is little.

A loop begins with `LEAD_SECONDS` of calls that are sent and not counted: connections were idle by then, and
the processor's caches hold something else.
"""

import asyncio
import gc
import random
import selectors
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc

from benchmarks.calls import Call

TIMEOUT_SECONDS: Final = 30.0
LEAD_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Latencies:
    """An open loop: seconds from the moment that a call was due to its answer; failed calls have none.

    `client_cpu` is what the client used, of a core; `late` by how much it sent a call too late, at worst.
    """

    seconds: tuple[float, ...]
    failed: int
    client_cpu: float
    late: float


class OpenLoop:
    """Connections to servers, of which each has a name. For one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._channels: dict[str, list[grpc.aio.Channel]] = {}
        self._gaps = random.Random(11)

    def is_connected(self, server: str) -> bool:
        """Whether there are connections to it."""
        return server in self._channels

    def connect(
        self,
        server: str,
        address: str,
        credentials: grpc.ChannelCredentials,
        options: Sequence[tuple[str, Any]],
        count: int,
    ) -> None:
        """Opens so many connections to a server."""
        self._loop.run_until_complete(self._connect(server, address, credentials, options, count))

    def forget(self, server: str) -> None:
        """Ends the connections to a server, if there are any."""
        self._loop.run_until_complete(self._close(self._channels.pop(server, ())))

    def run(
        self, server: str, calls: Sequence[Call], turn: Iterator[int], calls_a_second: float, seconds: float
    ) -> Latencies:
        """Sends calls for so long, after the lead, those whose turn it is, and waits for all answers."""
        gaps, moments, moment = self._gaps, list[float](), 0.0
        while (moment := moment + gaps.expovariate(calls_a_second)) < LEAD_SECONDS + seconds:
            moments.append(moment)
        with _no_collection():
            return self._loop.run_until_complete(self._send(server, calls, turn, moments))

    def close(self) -> None:
        """Ends all connections."""
        for server in list(self._channels):
            self.forget(server)
        self._loop.close()

    async def _connect(
        self, server: str, address: str, credentials: Any, options: Sequence[tuple[str, Any]], count: int
    ) -> None:
        channels = [grpc.aio.secure_channel(address, credentials, options) for _ in range(count)]
        self._channels[server] = channels
        await asyncio.gather(*[channel.channel_ready() for channel in channels])

    async def _send(
        self, server: str, calls: Sequence[Call], turn: Iterator[int], moments: Sequence[float]
    ) -> Latencies:
        methods = {call.method for call in calls}
        send = [{each: channel.unary_unary(each) for each in methods} for channel in self._channels[server]]
        latencies: list[float] = []
        late, cpu, begun = 0.0, time.process_time(), time.perf_counter()
        counted, failed = begun + LEAD_SECONDS, 0

        async def answered(call: "grpc.aio.UnaryUnaryCall[bytes, bytes]", due: float) -> None:
            nonlocal failed
            try:
                await call
            except grpc.aio.AioRpcError:  # it has no latency
                failed += due >= counted
            else:
                if due >= counted:
                    latencies.append(time.perf_counter() - due)

        async with asyncio.TaskGroup() as under_way:
            for moment in moments:
                due = begun + moment
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                number = next(turn)
                method, request, _ = calls[number % len(calls)]
                if due >= counted:
                    late = max(late, time.perf_counter() - due)
                call = send[number % len(send)][method](request, timeout=TIMEOUT_SECONDS)
                under_way.create_task(answered(call, due))
        used = (time.process_time() - cpu) / (time.perf_counter() - begun)
        return Latencies(tuple(latencies), failed, used, late)

    async def _close(self, channels: Iterable[grpc.aio.Channel]) -> None:
        for channel in channels:
            await channel.close()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's collector of cycles is off meanwhile: its pauses would count as the server's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
