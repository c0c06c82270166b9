"""Sends batches from a process of its own, on a core of its own, for as long as it is told to.

- `raw` sends requests that were serialized beforehand and keeps the replies as bytes: next to
  nothing of the client is in the figures. Every reply is parsed and counted after the clock stopped.
- `sdk` calls `Vault.detokenize`, as a CRM would.
- `echo` is `raw` against the server of `benchmarks.echo`.

Several threads keep several calls under way, each on a connection of its own.
"""

import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import grpc
from customervault import Vault
from customervault.v1 import token_service_pb2 as api

Client = Literal["raw", "sdk", "echo"]
METHOD = "/customervault.v1.TokenService/Detokenize"
PURPOSE = "support"
_TIMEOUT_SECONDS = 30.0
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.enable_http_proxy", 0),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and as whom: addresses, and paths of PEM files."""

    address: str
    echo_address: str
    ca: str
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Lap:
    """What went through in one timed stretch; `seconds` is wall time."""

    calls: int
    values: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Command:
    """Send batches of a shape for so many seconds; without a client, each batch of all shapes once."""

    client: Client | None = None
    shape: str = ""
    seconds: float = 0.0


class LoadError(Exception):
    """A call failed, or a reply did not hold what was asked for: the measurement means nothing."""


class Load:
    """The sending process, seen from the one that measures."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe

    def warm_up(self) -> int:
        """Sends every batch once, so that all keys are in the server's cache; how many values came."""
        return self._ask(Command()).values

    def lap(self, client: Client, shape: str, seconds: float) -> Lap:
        """Sends batches of a shape for so many seconds, and ends when all are answered."""
        return self._ask(Command(client, shape, seconds))

    def _ask(self, command: Command) -> Lap:
        self._pipe.send(command)
        match self._pipe.recv():
            case Lap() as lap:
                return lap
            case failure:
                raise LoadError(failure)


@contextmanager
def load(
    target: Target, batches: Mapping[str, Sequence[Sequence[str]]], *, cores: set[int], threads: int = 4
) -> Iterator[Load]:
    """Starts the sending process.

    Args:
        target: The servers.
        batches: Batches of tokens, by the name of their shape.
        cores: Where it runs.
        threads: Calls under way at the same time.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, target, batches, cores, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Load(ours)
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(
    pipe: "Connection[Any, Any]",
    target: Target,
    batches: Mapping[str, Sequence[Sequence[str]]],
    cores: set[int],
    threads: int,
) -> None:
    """Obeys until the pipe closes."""
    os.sched_setaffinity(0, cores)
    with ExitStack() as stack:
        sender = _Sender(target, batches, threads, stack)
        while True:
            try:
                command = pipe.recv()
            except EOFError:
                return
            try:
                pipe.send(sender.obey(command))
            except Exception as error:  # noqa: BLE001 - told to the process that measures, which raises it
                pipe.send(f"{type(error).__name__}: {error}")


class _Sender:
    def __init__(
        self,
        target: Target,
        batches: Mapping[str, Sequence[Sequence[str]]],
        threads: int,
        stack: ExitStack,
    ) -> None:
        self._batches = batches
        self._requests = {
            shape: [
                api.DetokenizeRequest(tokens=batch, purpose=PURPOSE).SerializeToString() for batch in chosen
            ]
            for shape, chosen in batches.items()
        }
        self._threads = threads
        credentials = grpc.ssl_channel_credentials(
            Path(target.ca).read_bytes(), Path(target.key).read_bytes(), Path(target.certificate).read_bytes()
        )
        self._channels = {
            client: [
                stack.enter_context(grpc.secure_channel(address, credentials, _OPTIONS))
                for _ in range(threads)
            ]
            for client, address in (("raw", target.address), ("echo", target.echo_address))
        }
        self._vault = stack.enter_context(
            Vault(
                target.address,
                ca=target.ca,
                certificate=target.certificate,
                key=target.key,
                purpose=PURPOSE,
                channels=threads,
                timeout=_TIMEOUT_SECONDS,
            )
        )

    def obey(self, command: Command) -> Lap:
        if command.client is None:
            laps = [self._raw("raw", name, once=True) for name in self._batches]
            return Lap(
                sum(lap.calls for lap in laps),
                sum(lap.values for lap in laps),
                sum(lap.seconds for lap in laps),
            )
        if command.client == "sdk":
            return self._sdk(command.shape, command.seconds)
        return self._raw(command.client, command.shape, command.seconds)

    def _raw(self, client: str, shape: str, seconds: float = 0.0, *, once: bool = False) -> Lap:
        methods: list[grpc.UnaryUnaryMultiCallable[bytes, bytes]] = [
            channel.unary_unary(METHOD) for channel in self._channels[client]
        ]
        requests = self._requests[shape]
        replies: list[tuple[int, bytes]] = []

        def call(thread: int, number: int) -> None:
            at = number % len(requests)
            replies.append((at, methods[thread](requests[at], timeout=_TIMEOUT_SECONDS)))

        wall = self._drive(call, seconds, len(requests) if once else 0)
        batches = self._batches[shape]
        values = sum(_revealed(reply, len(batches[at])) for at, reply in replies)
        return Lap(len(replies), values, wall)

    def _sdk(self, shape: str, seconds: float) -> Lap:
        batches = self._batches[shape]
        counts: list[int] = []

        def call(_: int, number: int) -> None:
            values = self._vault.detokenize(batches[number % len(batches)])
            counts.append(len(values.plain_list()))

        wall = self._drive(call, seconds, 0)
        return Lap(len(counts), sum(counts), wall)

    def _drive(self, call: Callable[[int, int], None], seconds: float, most_calls: int) -> float:
        """Calls from all threads until time or calls are used up; wall seconds until the last answer."""
        turn = itertools.count()
        failures: list[BaseException] = []
        begun = time.perf_counter()
        end = begun + seconds

        def run(thread: int) -> None:
            try:
                while (number := next(turn)) < most_calls or (
                    not most_calls and time.perf_counter() < end and not failures
                ):
                    call(thread, number)
            except Exception as error:  # noqa: BLE001 - raised by the thread that waits
                failures.append(error)

        threads = [threading.Thread(target=run, args=(thread,)) for thread in range(self._threads)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        if failures:
            raise failures[0]
        return time.perf_counter() - begun


def _revealed(reply: bytes, asked: int) -> int:
    """How many values a reply holds."""
    message = api.DetokenizeResponse.FromString(reply)
    if message.errors or len(message.values) != asked:
        raise LoadError(f"{len(message.errors)} of {asked} values were not revealed")
    return asked
