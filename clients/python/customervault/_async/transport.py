"""Drives exchanges over asyncio channels: deadlines, retries, batches at the same time, pages."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from customervault._balance import Balance
from customervault._channel import AsyncLine
from customervault._config import Config, PathLike, resolve
from customervault._exchange import Answer, Exchange, Item, Page, Request
from customervault._retry import RetryPolicy
from customervault._status import error_of_call
from customervault._window import Outcome, Place, Window, Windows, longest_wait, no_turn
from customervault.errors import ClosedError, DeadlineExceededError, OverloadedError, VaultError


class AsyncTransport:
    """Connections of one client. Belongs to the event loop of its first call."""

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
        self._lines: list[AsyncLine] = []
        self._balance = Balance(self._config.channels)
        self._windows = Windows()
        self._closed = False

    async def close(self) -> None:
        """End calls under way and all connections. Closing again does nothing."""
        self._closed = True
        self._windows.close()
        for line in self._lines:
            await line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, exchange: Exchange[Answer]) -> Answer:
        return await self._drive(exchange, self._deadline())

    async def _run_in_turn(self, exchanges: Iterable[Exchange[list[Item]]]) -> list[Item]:
        """One after the other, each with its own deadline."""
        return [item for exchange in exchanges for item in await self._run(exchange)]

    async def _run_together(
        self, exchanges: Sequence[Exchange[Answer]], deadline: float | None = None
    ) -> list[Answer]:
        """At the same time over the channels, under one deadline; answers in order."""
        if deadline is None:
            deadline = self._deadline()
        if len(exchanges) == 1:
            return [await self._drive(exchanges[0], deadline)]
        room = asyncio.Semaphore(self._config.channels)

        async def drive(exchange: Exchange[Answer]) -> Answer:
            async with room:
                return await self._drive(exchange, deadline)

        tasks = [asyncio.ensure_future(drive(exchange)) for exchange in exchanges]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _pages(self, page: Callable[[str], Exchange[Page[Item]]]) -> AsyncIterator[Item]:
        """Items of all pages, each page fetched when it is reached."""
        token = ""
        while True:
            items, token = await self._run(page(token))
            for item in items:
                yield item
            if not token:
                return

    async def _drive(self, exchange: Exchange[Answer], deadline: float) -> Answer:
        try:
            request = next(exchange)
            while True:
                try:
                    reply = await self._send(request, deadline)
                except VaultError as error:
                    request = exchange.throw(error)
                else:
                    request = exchange.send(reply)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer

    async def _send(self, request: Request, deadline: float) -> Any:
        attempts, window = 0, self._windows.of(request.path)
        self._retry.budget.earn()
        while True:
            lines = self._open_lines()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise DeadlineExceededError("the time for the call ran out")
            attempts += 1
            place, outcome = window.enter() or await self._wait(window, deadline), Outcome.FAILED
            try:
                with self._balance.connection() as number:
                    reply = await lines[number].call(request, deadline - time.monotonic(), attempts)
                outcome = Outcome.ANSWERED
            except grpc.RpcError as failure:
                error = error_of_call(failure)
                if isinstance(error, OverloadedError):
                    outcome = Outcome.REFUSED
            except asyncio.CancelledError:
                self._check_closed_under_call()
                raise
            else:
                return reply
            finally:
                window.leave(place, outcome)
            wait = self._retry.wait_seconds(error, attempts, deadline - time.monotonic())
            if wait is None:
                raise error
            await asyncio.sleep(wait)

    async def _wait(self, window: Window, deadline: float) -> Place:
        woken = asyncio.Event()
        place = window.wait(woken.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest_wait(deadline - time.monotonic())):
                    await woken.wait()
        except asyncio.CancelledError:
            window.leave(place, Outcome.FAILED)
            raise
        if place.admitted:
            return place
        window.leave(place, Outcome.FAILED)
        self._open_lines()
        raise no_turn()

    def _check_closed_under_call(self) -> None:
        """Closing a channel cancels its calls; only a caller's own cancellation may look like one."""
        task = asyncio.current_task()
        if self._closed and not (task and task.cancelling()):
            raise ClosedError("the client was closed") from None

    def _open_lines(self) -> list[AsyncLine]:
        if self._closed:
            raise ClosedError("the client was closed")
        if not self._lines:
            # Made here, not at construction: a channel takes the loop that runs when it is made.
            self._lines = [AsyncLine(self._config) for _ in range(self._config.channels)]
        return self._lines

    def _deadline(self) -> float:
        return time.monotonic() + self._config.timeout_seconds
