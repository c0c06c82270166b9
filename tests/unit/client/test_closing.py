"""Closing and cancelling while a call is under way."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from customervault import AsyncVault, Vault, errors
from customervault.v1 import token_service_pb2 as api

from tests.unit.client.scripted_vault import ScriptedVault


class Hanging:
    """A vault that holds each call until released."""

    def __init__(self, server: ScriptedVault) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        server.on("InspectToken", self._hang)

    def _hang(self, _request: Any) -> api.InspectTokenResponse:
        self.entered.set()
        self.release.wait(10)
        return api.InspectTokenResponse()


@pytest.fixture
def hanging(server: ScriptedVault) -> Iterator[Hanging]:
    hanging = Hanging(server)
    yield hanging
    hanging.release.set()


def test_closing_ends_a_call_of_another_thread(hanging: Hanging, settings: dict[str, Any]) -> None:
    with Vault(**settings) as vault:

        def close_under_the_call() -> None:
            hanging.entered.wait(5)
            vault.close()

        closer = threading.Thread(target=close_under_the_call)
        closer.start()
        with pytest.raises(errors.ClosedError):
            vault.inspect("cv1_0")
        closer.join()


def test_closing_ends_a_call_of_another_task(
    hanging: Hanging, settings: dict[str, Any], loop: asyncio.AbstractEventLoop
) -> None:
    async def scene() -> None:
        async with AsyncVault(**settings) as vault:
            call = asyncio.ensure_future(vault.inspect("cv1_0"))
            assert await asyncio.to_thread(hanging.entered.wait, 5)
            await vault.close()
            with pytest.raises(errors.ClosedError):
                await call

    loop.run_until_complete(scene())


def test_a_cancelled_call_is_cancelled(
    hanging: Hanging, settings: dict[str, Any], loop: asyncio.AbstractEventLoop
) -> None:
    async def scene() -> None:
        async with AsyncVault(**settings) as vault:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(vault.inspect("cv1_0"), 0.3)

    loop.run_until_complete(scene())


def test_a_request_shows_no_value() -> None:
    from customervault._exchanges import tokens

    exchange = tokens.update("cv1_0", "ada@example.org", domain="", request_id=None)
    assert "ada" not in repr(next(exchange))
