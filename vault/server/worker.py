"""A worker: one gRPC server on the shared port, few threads, until it is told to drain.

The sync server with a handful of threads answers unary calls 45 to 80 % faster than asyncio does
here; processes give the cores, and the kernel spreads connections over them (SO_REUSEPORT). Calls of `SHORT`
are answered on the thread that takes them from gRPC (`shortway`), and wait for it in its `inbox`. The others
wait for their turn in `lanes`; threads beyond a handful exist only while so many calls wait.
"""

import gc
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from vault.config import Settings
from vault.core.vault import Vault
from vault.crypto.hazmat import GuardedMemory
from vault.errors import InvalidRequestError, KeyUnavailableError
from vault.model.controls import BudgetEvent
from vault.model.ids import Epoch
from vault.server import child, insides, metrics
from vault.server.anchors import Anchors
from vault.server.calls import HARD_LIMIT_FACTOR, Calls
from vault.server.child import Child
from vault.server.control import Message
from vault.server.inbox import Inbox
from vault.server.lanes import LaneName, Lanes
from vault.server.logs import log
from vault.server.services import bind
from vault.server.shortway import ShortWay
from vault.server.tls import CertificateSource, TlsFiles, server_credentials

CONNECTION_AGE_MS = 3_600_000  # then a client reconnects: expired certificates end, load spreads anew
CONNECTION_GRACE_MS = 60_000
SHORT = ("/customervault.v1.TokenService/Detokenize",)
_WHOLE_SERVER = ""  # the health protocol's name for it


class Worker:
    """The server of this process, not yet SERVING."""

    def __init__(self, process: Child, edks: Mapping[int, GuardedMemory]) -> None:
        start = process.start
        settings = start.settings
        self._vault = Vault.open(start.data_dir, settings, edks, process_name=start.name)
        self._vault.engine.committer.observe = metrics.count_commit
        self._vault.engine.budgets.notify = tell_budget_event
        limits = settings.limits
        short = SHORT if insides.is_known() else ()
        self._lanes = Lanes(settings, {path.rpartition("/")[2] for path in short})
        self._server = grpc.server(
            self._lanes.threads,
            options=options(settings),
            maximum_concurrent_rpcs=self._lanes.most_calls,
            interceptors=[self._lanes],
        )
        files = TlsFiles.of(start.data_dir, settings.server)
        anchors = _anchors(files)
        names = bind(
            self._server, self._vault, Calls(self._vault, limits.message_bytes, anchors, self._lanes)
        )
        inbox: Inbox[Any] = Inbox(
            LaneName.READ.value,
            calls=limits.waiting_reads,
            items=limits.waiting_items,
            principal_of=anchors.principal,
        )
        self._names = (_WHOLE_SERVER, *names)
        self._pools = ThreadPoolExecutor(1, "health"), ThreadPoolExecutor(1, "reflection")
        self._health = health.HealthServicer(experimental_thread_pool=self._pools[0])
        self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        _add_reflection(self._server, (*names, health.SERVICE_NAME), self._pools[1])
        credentials = server_credentials(CertificateSource(files))
        try:
            self._server.add_secure_port(start.address, credentials)
        except RuntimeError as error:
            raise KeyUnavailableError(f"cannot listen on {start.address}") from error
        _spare_what_stays()
        way = ShortWay(self._server, short, settings.server.threads, inbox)
        self._vault.engine.committer.before_wait = way.step_aside
        metrics.GATHERING.start()
        way.start()
        log.info("worker listens", address=start.address)

    def handle(self, message: Message) -> None:
        """`serve` opens the doors."""
        if message["kind"] == "serve":
            self._say(health_pb2.HealthCheckResponse.SERVING)

    def take_epoch(self, epoch: Epoch, edk: GuardedMemory) -> None:
        """Holds the key of a further epoch."""
        self._vault.engine.take_epoch(epoch, edk)

    def leave_epoch(self, epoch: Epoch) -> None:
        """Lets go of an epoch's key."""
        self._vault.engine.leave_epoch(epoch)

    def stop(self, grace_seconds: float) -> None:
        """Takes no new calls, finishes those begun, closes the vault."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()
        self._lanes.close()
        metrics.GATHERING.stop()
        self._vault.close()
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _say(self, state: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for name in self._names:
            self._health.set(name, state)


def _anchors(files: TlsFiles) -> Anchors:
    try:
        return Anchors(files.client_cas)
    except (OSError, InvalidRequestError) as error:
        raise KeyUnavailableError("the files of the CAs whose clients are let in cannot be used") from error


def tell_budget_event(event: BudgetEvent) -> None:
    """Says in log and metrics that a principal nears or passes a budget, once a window for all workers."""
    level = "exceeded" if event.exceeded else "alert"
    metrics.BUDGET_EVENTS.labels(event.kind.value, level).inc()
    log.warning(
        "a principal has passed a budget" if event.exceeded else "a principal nears a budget",
        principal=event.principal,
        budget=event.budget,
        kind=event.kind.value,
        customers=event.customers,
        limit=event.limit,
    )


def _spare_what_stays() -> None:
    """Keeps the garbage collector from looking through modules and tables again and again.

    What is loaded by now stays until the end. A batch makes thousands of short-lived objects without
    cycles, so collections are due only after many of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def options(settings: Settings) -> list[tuple[str, int]]:
    """GRPC's channel arguments."""
    largest = HARD_LIMIT_FACTOR * max(settings.limits.message_bytes, settings.limits.reply_bytes)
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", HARD_LIMIT_FACTOR * settings.limits.message_bytes),
        ("grpc.max_send_message_length", largest),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
        ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
    ]


def _add_reflection(server: grpc.Server, names: tuple[str, ...], pool: ThreadPoolExecutor) -> None:
    """Serves reflection from a thread of its own: its streams stay open and would starve the calls."""

    class Reflection(reflection.ReflectionServicer):  # type: ignore[misc]
        def ServerReflectionInfo(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            yield from super().ServerReflectionInfo(requests, context)

    Reflection.ServerReflectionInfo.experimental_thread_pool = pool  # type: ignore[attr-defined]
    servicer = Reflection((*names, reflection.SERVICE_NAME))
    reflection._reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)


if __name__ == "__main__":
    sys.exit(child.main(Worker, sys.argv[1:]))
