"""A gRPC server that does nothing: what mutual TLS and the messages alone cost.

It answers with the bytes of genuine replies: of a Detokenize of as many values. Certificates, TLS, port
options and threads are those of a vault's worker; it parses nothing, reads nothing, decides nothing.
"""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc

from benchmarks.calls import DETOKENIZE

_THREADS = 4
_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Echo:
    """A running echo server."""

    address: str
    pid: int


@contextmanager
def echo_server(tls: Path, replies: Mapping[int, bytes], *, cores: set[int]) -> Iterator[Echo]:
    """Starts one in a process of its own.

    Args:
        tls: The folder with a vault's `ca.crt`, `server.crt` and `server.key`.
        replies: What it answers, by the length of the request.
        cores: Where it runs.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, tls, dict(replies), cores), daemon=True)
    process.start()
    theirs.close()
    try:
        port = ours.recv()
        assert process.pid is not None
        yield Echo(f"127.0.0.1:{port}", process.pid)
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: "Connection[Any, Any]", tls: Path, replies: dict[int, bytes], cores: set[int]) -> None:
    """Serves until the pipe closes."""
    os.sched_setaffinity(0, cores)
    service, _, method = DETOKENIZE.removeprefix("/").rpartition("/")

    def answer(request: bytes, _context: grpc.ServicerContext) -> bytes:
        return replies[len(request)]

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials(
            [((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())],
            (tls / "ca.crt").read_bytes(),
            require_client_auth=True,
        ),
    )
    server.start()
    pipe.send(port)
    try:
        pipe.recv()
    except EOFError:
        server.stop(_GRACE_SECONDS).wait()
