"""Sends calls from a process of its own, on cores of its own, and times them.

- Raw: requests were serialized beforehand and replies stay bytes until the clock has stopped, so that next to
  nothing of the client is in the figures: they are the server's. Every reply is then parsed and counted.
- By SDK: `Vault.detokenize`, as a CRM calls it.
- Closed loop: several threads, each on a connection of its own, each with one call under way. Says how many
  calls a server manages, and nothing about latency: a slow server slows its clients down.
- Open loop: see `open_loop`.
"""

import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
from customervault import Vault
from customervault.v1 import token_service_pb2 as api

from benchmarks.calls import PURPOSE, Call
from benchmarks.open_loop import TIMEOUT_SECONDS, Latencies, OpenLoop
from vault.server import insides

_STOP_SECONDS = 10.0
_POLLER_READS = "-event_engine_client"  # who polls gRPC reads the sockets: a sixth less CPU for each call
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.enable_http_proxy", 0),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and as whom: an address, and paths of PEM files."""

    address: str
    ca: str
    certificate: str
    key: str

    def credentials(self) -> grpc.ChannelCredentials:
        """Of a channel to it."""
        return grpc.ssl_channel_credentials(
            *(Path(file).read_bytes() for file in (self.ca, self.key, self.certificate))
        )


@dataclass(frozen=True, slots=True)
class Lap:
    """What went through in one timed stretch of a closed loop; `seconds` is wall time."""

    calls: int
    values: int
    seconds: float


class LoadError(Exception):
    """A call failed, or a reply did not hold what was asked for: the measurement means nothing."""


class Load:
    """The sending process, seen from the one that measures."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe

    def connect(self, server: str, target: Target) -> None:
        """Opens connections to a server that is called `server` from now on."""
        self._ask("connect", server, target)

    def hold(self, script: str, calls: Sequence[Call]) -> None:
        """Keeps calls under a name."""
        self._ask("hold", script, calls)

    def reply(self, server: str, script: str) -> bytes:
        """The reply to the first call of a script."""
        found: bytes = self._ask("reply", server, script)
        return found

    def once(self, server: str, script: str) -> Lap:
        """Sends every call of a script once."""
        lap: Lap = self._ask("lap", server, script, 0.0)
        return lap

    def lap(self, server: str, script: str, seconds: float) -> Lap:
        """Sends the calls of a script, over and over, and ends when all are answered."""
        lap: Lap = self._ask("lap", server, script, seconds)
        return lap

    def sdk_lap(self, server: str, script: str, seconds: float) -> Lap:
        """The same with the SDK; the script's calls must be Detokenize."""
        lap: Lap = self._ask("sdk_lap", server, script, seconds)
        return lap

    def open_loop(self, server: str, script: str, calls_a_second: float, seconds: float) -> Latencies:
        """Sends calls of a script at a rate."""
        found: Latencies = self._ask("open_loop", server, script, calls_a_second, seconds)
        return found

    def _ask(self, what: str, *arguments: object) -> Any:
        self._pipe.send((what, arguments))
        failure, answer = self._pipe.recv()
        if failure:
            raise LoadError(failure)
        return answer


@contextmanager
def load(*, cores: set[int], threads: int = 4) -> Iterator[Load]:
    """Starts the sending process.

    Args:
        cores: Where it runs.
        threads: Calls under way at the same time in a closed loop, and connections to each server.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, cores, threads), daemon=True)
    with _experiments(_POLLER_READS):
        process.start()
    theirs.close()
    try:
        yield Load(ours)
    finally:
        ours.close()
        process.join(_STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


@contextmanager
def _experiments(chosen: str) -> Iterator[None]:
    """What gRPC is to try in processes that are started meanwhile; anybody's own choice stands."""
    before = os.environ.get(insides.VARIABLE)
    os.environ.setdefault(insides.VARIABLE, chosen)
    try:
        yield
    finally:
        if before is None:
            del os.environ[insides.VARIABLE]


def _serve(pipe: "Connection[Any, Any]", cores: set[int], threads: int) -> None:
    """Obeys until the pipe closes."""
    os.sched_setaffinity(0, cores)
    with ExitStack() as stack:
        sender = _Sender(threads, stack)
        while True:
            try:
                what, arguments = pipe.recv()
            except EOFError:
                return
            try:
                answer = getattr(sender, what)(*arguments)
            except Exception as error:  # noqa: BLE001 - told to the process that measures, which raises it
                pipe.send((f"{type(error).__name__}: {error}", None))
            else:
                pipe.send(("", answer))


class _Sender:
    def __init__(self, threads: int, stack: ExitStack) -> None:
        self._threads = threads
        self._stack = stack
        self._channels: dict[str, list[grpc.Channel]] = {}
        self._vaults: dict[str, Vault] = {}
        self._targets: dict[str, Target] = {}
        self._scripts: dict[str, Sequence[Call]] = {}
        self._turns: dict[tuple[str, str], Iterator[int]] = {}
        self._open_loop = OpenLoop()
        stack.callback(self._open_loop.close)

    def connect(self, server: str, target: Target) -> None:
        credentials = target.credentials()
        self._targets[server] = target
        self._open_loop.forget(server)
        self._vaults.pop(server, None)
        self._channels[server] = [
            self._stack.enter_context(grpc.secure_channel(target.address, credentials, _OPTIONS))
            for _ in range(self._threads)
        ]

    def hold(self, script: str, calls: Sequence[Call]) -> None:
        self._scripts[script] = calls
        self._turns = {of: turn for of, turn in self._turns.items() if of[1] != script}

    def reply(self, server: str, script: str) -> bytes:
        method, request, _ = self._scripts[script][0]
        send: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channels[server][0].unary_unary(method)
        return send(request, timeout=TIMEOUT_SECONDS)

    def lap(self, server: str, script: str, seconds: float) -> Lap:
        calls = self._scripts[script]
        send = self._senders(server, calls)
        replies: list[tuple[int, bytes]] = []

        def call(thread: int, number: int) -> None:
            method, request, values = calls[number % len(calls)]
            replies.append((values, send[thread][method](request, timeout=TIMEOUT_SECONDS)))

        wall = self._drive(call, self._turn(server, script), seconds, len(calls))
        return Lap(len(replies), sum(_revealed(reply, values) for values, reply in replies), wall)

    def sdk_lap(self, server: str, script: str, seconds: float) -> Lap:
        if server not in self._vaults:
            target = self._targets[server]
            vault = Vault(
                target.address,
                ca=target.ca,
                certificate=target.certificate,
                key=target.key,
                purpose=PURPOSE,
                channels=self._threads,
                timeout=TIMEOUT_SECONDS,
            )
            self._vaults[server] = self._stack.enter_context(vault)
        detokenize = self._vaults[server].detokenize
        batches = [
            list(api.DetokenizeRequest.FromString(each.request).tokens) for each in self._scripts[script]
        ]
        counts: list[int] = []

        def call(_: int, number: int) -> None:
            counts.append(len(detokenize(batches[number % len(batches)]).plain_list()))

        wall = self._drive(call, itertools.count(), seconds, len(batches))
        return Lap(len(counts), sum(counts), wall)

    def open_loop(self, server: str, script: str, calls_a_second: float, seconds: float) -> Latencies:
        if not self._open_loop.is_connected(server):
            target = self._targets[server]
            credentials = target.credentials()
            self._open_loop.connect(server, target.address, credentials, _OPTIONS, self._threads)
        turn = self._turn(server, script)
        return self._open_loop.run(server, self._scripts[script], turn, calls_a_second, seconds)

    def _senders(
        self, server: str, calls: Sequence[Call]
    ) -> "list[dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]]]":
        methods = {call.method for call in calls}
        return [{each: channel.unary_unary(each) for each in methods} for channel in self._channels[server]]

    def _turn(self, server: str, script: str) -> Iterator[int]:
        """Goes on where the last lap ended: no lap sees only the script's beginning."""
        return self._turns.setdefault((server, script), itertools.count())

    def _drive(
        self, call: Callable[[int, int], None], turn: Iterator[int], seconds: float, calls: int
    ) -> float:
        """Calls from all threads for so long, or so often if `seconds` is 0; how long it took."""
        failures: list[BaseException] = []
        left = iter(range(calls))
        begun = time.perf_counter()
        end = begun + seconds

        def run(thread: int) -> None:
            try:
                while not failures and (
                    time.perf_counter() < end if seconds else next(left, None) is not None
                ):
                    call(thread, next(turn))
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
    """How many values a reply holds; 0 if it is not a Detokenize's."""
    if not asked:
        return 0
    message = api.DetokenizeResponse.FromString(reply)
    if message.errors or len(message.values) != asked:
        raise LoadError(f"{len(message.errors)} of {asked} values were not revealed")
    return asked
