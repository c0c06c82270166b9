"""Connections to the vault: mutual TLS, several channels, sizes.

Each channel has its own connection (`grpc.use_local_subchannel_pool`): the vault's workers share one
port and are balanced by connection, so one channel reaches one worker only.
"""

from typing import Any

import grpc

from customervault._config import Config
from customervault._exchange import Request

# The vault keeps its replies below its own limit; this only has to lie above it.
_MESSAGE_BYTES = 64 * 1024 * 1024
# A worker that was replaced is back within moments: gRPC's own 1 s to 120 s would outlast every retry.
_FIRST_RECONNECT_MS = 100
_LARGEST_RECONNECT_MS = 2000
# What gRPC calls the least backoff is how long it gives a connection to come about, TLS and HTTP/2 settings
# included. A vault under load may take a second for that; an address that is gone refuses at once.
_CONNECT_MS = 5000
_ATTEMPT = "cvault-attempt"


def options(config: Config) -> list[tuple[str, Any]]:
    """Channel arguments, the same for sync and async."""
    chosen: list[tuple[str, Any]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _LARGEST_RECONNECT_MS),
        ("grpc.enable_http_proxy", 0),
    ]
    if config.server_name is not None:
        chosen.append(("grpc.ssl_target_name_override", config.server_name))
    return chosen


def credentials(config: Config) -> grpc.ChannelCredentials:
    """The client's certificate, and the CA that the vault must chain to."""
    return grpc.ssl_channel_credentials(
        root_certificates=config.ca, private_key=config.key, certificate_chain=config.certificate
    )


def _attempt(number: int) -> tuple[tuple[str, str], ...]:
    """Says from the second attempt on that it is one: a flood of others' first ones must not hide it."""
    return ((_ATTEMPT, str(number)),) if number > 1 else ()


class Line:
    """One sync channel and its methods."""

    def __init__(self, config: Config) -> None:
        self._channel = grpc.secure_channel(config.address, credentials(config), options(config))
        self._methods: dict[str, grpc.UnaryUnaryMultiCallable[Any, Any]] = {}

    def call(self, request: Request, timeout_seconds: float, attempt: int) -> Any:
        """Send once; `attempt` counts from 1.

        Raises:
            grpc.RpcError: It failed.
        """
        method = self._methods.get(request.path)
        if method is None:
            method = self._methods[request.path] = self._channel.unary_unary(
                request.path,
                request_serializer=type(request.message).SerializeToString,
                response_deserializer=request.reply_type.FromString,
            )
        return method(request.message, timeout=timeout_seconds, metadata=_attempt(attempt))

    def close(self) -> None:
        """End calls under way and the connection."""
        self._channel.close()


class AsyncLine:
    """One asyncio channel and its methods."""

    def __init__(self, config: Config) -> None:
        self._channel = grpc.aio.secure_channel(config.address, credentials(config), options(config))
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[Any, Any]] = {}

    async def call(self, request: Request, timeout_seconds: float, attempt: int) -> Any:
        """Send once; `attempt` counts from 1.

        Raises:
            grpc.RpcError: It failed.
        """
        method = self._methods.get(request.path)
        if method is None:
            method = self._methods[request.path] = self._channel.unary_unary(
                request.path,
                request_serializer=type(request.message).SerializeToString,
                response_deserializer=request.reply_type.FromString,
            )
        return await method(request.message, timeout=timeout_seconds, metadata=_attempt(attempt))

    async def close(self) -> None:
        """End calls under way and the connection."""
        await self._channel.close()
