"""Drives exchanges over sync channels: deadlines, retries, batches at the same time, pages."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc

from customervault._balance import Balance
from customervault._channel import Line
from customervault._config import Config, PathLike, resolve
from customervault._exchange import Answer, Exchange, Item, Page, Request
from customervault._retry import RetryPolicy
from customervault._status import error_of_call
from customervault._window import Outcome, Place, Window, Windows, longest_wait, no_turn
from customervault.errors import ClosedError, DeadlineExceededError, OverloadedError, VaultError


class Transport:
    """Connections of one client. Safe to use from several threads; make it after forking, not before."""

    def __init__(
        self,
        address: str | None = None,
        *,
        ca: PathLike | None = None,
        certificate: PathLike | None = None,
        key: PathLike | None = None,
        domain: str | None = None,
        purpose: str | None = None,
        timeout: float | None = None,
        channels: int = 2,
        max_batch: int = 1000,
        max_attempts: int = 4,
        server_name: str | None = None,
        coalesce: bool = True,
    ) -> None:
        self._config: Config = resolve(
            address,
            ca=ca,
            certificate=certificate,
            key=key,
            domain=domain,
            purpose=purpose,
            timeout=timeout,
            channels=channels,
            max_batch=max_batch,
            max_attempts=max_attempts,
            server_name=server_name,
            coalesce=coalesce,
        )
        self._retry = RetryPolicy(self._config.max_attempts)
        self._lines = [Line(self._config) for _ in range(self._config.channels)]
        self._balance = Balance(self._config.channels)
        self._windows = Windows()
        self._pool = ThreadPoolExecutor(self._config.channels, thread_name_prefix="customervault")
        self._closed = threading.Event()

    def close(self) -> None:
        """End calls under way and all connections. Closing again does nothing."""
        self._closed.set()
        self._windows.close()
        for line in self._lines:
            line.close()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, exchange: Exchange[Answer]) -> Answer:
        return self._drive(exchange, self._deadline())

    def _run_in_turn(self, exchanges: Iterable[Exchange[list[Item]]]) -> list[Item]:
        """One after the other, each with its own deadline."""
        return [item for exchange in exchanges for item in self._run(exchange)]

    def _run_together(
        self, exchanges: Sequence[Exchange[Answer]], deadline: float | None = None
    ) -> list[Answer]:
        """At the same time over the channels, under one deadline; answers in order."""
        if deadline is None:
            deadline = self._deadline()
        if len(exchanges) <= 1:
            return [self._drive(exchange, deadline) for exchange in exchanges]
        self._check_open()
        futures = [self._pool.submit(self._drive, exchange, deadline) for exchange in exchanges]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _pages(self, page: Callable[[str], Exchange[Page[Item]]]) -> Iterator[Item]:
        """Items of all pages, each page fetched when it is reached."""
        token = ""
        while True:
            items, token = self._run(page(token))
            yield from items
            if not token:
                return

    def _drive(self, exchange: Exchange[Answer], deadline: float) -> Answer:
        try:
            request = next(exchange)
            while True:
                try:
                    reply = self._send(request, deadline)
                except VaultError as error:
                    request = exchange.throw(error)
                else:
                    request = exchange.send(reply)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer

    def _send(self, request: Request, deadline: float) -> Any:
        attempts, window = 0, self._windows.of(request.path)
        self._retry.budget.earn()
        while True:
            self._check_open()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise DeadlineExceededError("the time for the call ran out")
            attempts += 1
            place, outcome = window.enter() or self._wait(window, deadline), Outcome.FAILED
            try:
                with self._balance.connection() as number:
                    reply = self._lines[number].call(request, deadline - time.monotonic(), attempts)
                outcome = Outcome.ANSWERED
            except grpc.RpcError as failure:
                error = error_of_call(failure)
                if isinstance(error, OverloadedError):
                    outcome = Outcome.REFUSED
            except ValueError:  # gRPC's way to say that another thread closed the channel
                self._check_open()
                raise
            else:
                return reply
            finally:
                window.leave(place, outcome)
            self._check_open()
            wait = self._retry.wait_seconds(error, attempts, deadline - time.monotonic())
            if wait is None:
                raise error
            self._closed.wait(wait)

    def _wait(self, window: Window, deadline: float) -> Place:
        woken = threading.Event()
        place = window.wait(woken.set)
        woken.wait(longest_wait(deadline - time.monotonic()))
        if place.admitted:
            return place
        window.leave(place, Outcome.FAILED)
        self._check_open()
        raise no_turn()

    def _deadline(self) -> float:
        return time.monotonic() + self._config.timeout_seconds

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ClosedError("the client was closed")
