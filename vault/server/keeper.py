"""The keeper: background work, the server's certificate, and the metrics of all processes.

- Chores run one after the other, each on its own schedule; one that fails is logged and comes again.
- The watch over the write lock has a thread of its own, since a chore may wait for that very lock. It
  names the holder to the supervisor, which alone ends processes, and only its own.
- Rotations of the epoch have a thread of their own, see `vault.server.rotation`. It computes for minutes,
  in the same interpreter as the commit thread, for which all writers wait while it holds the write lock:
  threads change places every half millisecond.
- The access log is sealed by a thread of its own, see `vault.server.sealing`.
- `/metrics` adds up what all processes counted; `/healthz` is 200 while every worker serves.
"""

import heapq
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vault.core.authority import issue_server_certificate, publish_ca
from vault.core.upkeep import Chore, chores, overdue_lock_holder
from vault.core.vault import Vault
from vault.crypto.hazmat import GuardedMemory
from vault.errors import VaultError
from vault.model.ids import Epoch
from vault.server import child, metrics
from vault.server.child import Child
from vault.server.control import Message
from vault.server.custodian import ANSWERS, SupervisorsCustodian
from vault.server.logs import frames_of, log
from vault.server.rotation import Rotations
from vault.server.sealing import SealerThread
from vault.store.inspection import ERROR, inspect

CERTIFICATE_SECONDS = 3600.0
LOCK_WATCH_SECONDS = 1.0
SWITCH_SECONDS = 0.0005  # tenth of what is usual
REQUEST_SECONDS = 5.0
MAX_FINDINGS = 20


class Keeper:
    """The background work of one vault."""

    def __init__(self, process: Child, edks: Mapping[int, GuardedMemory]) -> None:
        start = process.start
        sys.setswitchinterval(SWITCH_SECONDS)
        self._process = process
        self._vault = Vault.open(start.data_dir, start.settings, edks, process_name=start.name)
        self._vault.engine.committer.observe = metrics.count_commit
        self._renew_certificate()
        self._http = MetricsServer(socket.socket(fileno=start.metrics_fd))
        self._stopping = threading.Event()
        self._certificate = Chore("certificate", CERTIFICATE_SECONDS, self._renew_certificate)
        work = [*chores(self._vault), self._certificate]
        watch = Chore("lock-watch", LOCK_WATCH_SECONDS, self._name_lock_holder)
        self._threads: list[threading.Thread] = []
        self._begin("chores", lambda: run_chores(work, self._stopping))
        self._begin("lock-watch", lambda: run_chores([watch], self._stopping))
        self._custodian = SupervisorsCustodian(process.channel, start.settings.keys.provider)
        self._begin("rotations", Rotations(self._vault.engine, self._custodian, self._stopping).run)
        self._begin("sealer", SealerThread(self._vault.engine, self._stopping).run)
        threading.Thread(target=self._http.serve_forever, name="metrics", daemon=True).start()
        log.info("keeper runs", metrics="{}:{}".format(*self._http.server_address[:2]))

    def handle(self, message: Message) -> None:
        """Acts on a message from the supervisor."""
        match message["kind"]:
            case "ready":
                self._http.ready, self._http.workers = message["ready"], message["workers"]
            case "certificates":
                _run(self._certificate)
            case kind if kind in ANSWERS:
                self._custodian.deliver(message)
            case "check":
                self._begin("check", lambda: _run(Chore("check", 0.0, self._check_stores)))

    def take_epoch(self, epoch: Epoch, edk: GuardedMemory) -> None:
        """Holds the key of a further epoch."""
        self._vault.engine.take_epoch(epoch, edk)

    def leave_epoch(self, epoch: Epoch) -> None:
        """Lets go of an epoch's key."""
        self._vault.engine.leave_epoch(epoch)

    def stop(self, grace_seconds: float) -> None:
        """Lets the running chore end, and closes; what still reads by then ends with the process."""
        self._stopping.set()
        give_up = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        self._http.shutdown()
        if not any(thread.is_alive() for thread in self._threads):
            self._vault.close()

    def _renew_certificate(self) -> str:
        engine = self._vault.engine
        issue_server_certificate(engine, self._process.start.settings)
        publish_ca(engine)
        return ""

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, name=name, daemon=True))
        self._threads[-1].start()

    def _check_stores(self) -> str:
        """Looks at what shows without keys, as `cvault check` does; nobody writes meanwhile."""
        errors = 1  # until it has come to its end
        try:
            found = [finding for finding in inspect(self._vault.engine.store) if finding.severity == ERROR]
            for finding in found[:MAX_FINDINGS]:
                log.error("the stores are damaged", code=finding.code, place=finding.plane)
            errors = len(found)
        finally:
            self._process.channel.send("checked", errors=errors)
        return f"{errors} errors" if errors else ""

    def _name_lock_holder(self) -> str:
        pid = overdue_lock_holder(self._process.start.data_dir)
        if pid is None:
            return ""
        self._process.channel.send("overdue", pid=pid)
        return "a process holds the write lock too long"


def run_chores(work: list[Chore], stopping: threading.Event) -> None:
    """Runs each chore at once and then every `every_seconds`, until `stopping` is set."""
    schedule = [(0.0, number, chore) for number, chore in enumerate(work)]
    while schedule:
        due, number, chore = heapq.heappop(schedule)
        if stopping.wait(max(0.0, due - time.monotonic())):
            return
        _run(chore)
        heapq.heappush(schedule, (time.monotonic() + chore.every_seconds, number, chore))


def _run(chore: Chore) -> None:
    started = time.perf_counter()
    result = "done"
    try:
        if outcome := chore.run():
            log.info("chore done", chore=chore.name, outcome=outcome)
    except VaultError as error:
        result = error.reason.value
        log.warning("chore failed", chore=chore.name, reason=result)
    except Exception as error:  # noqa: BLE001 - one failing chore must not stop the others
        result = "INTERNAL"
        log.error("chore failed", chore=chore.name, exception=type(error).__name__, frames=frames_of(error))
    metrics.CHORES.labels(chore.name, result).inc()
    metrics.CHORE_SECONDS.labels(chore.name).set(time.perf_counter() - started)


class MetricsServer(ThreadingHTTPServer):
    """HTTP on the loopback socket that the supervisor bound, so that its port outlives a keeper."""

    daemon_threads = True
    ready = 0
    workers = 0

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.getsockname()[:2], MetricsHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = listening.getsockname()[:2]
        self.server_port = self.server_address[1]


class MetricsHandler(BaseHTTPRequestHandler):
    """Answers `/metrics` and `/healthz`."""

    server: MetricsServer
    timeout = REQUEST_SECONDS
    server_version = "customer-vault"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers one request."""
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", metrics.exposition())
            case "/healthz":
                whole = 0 < self.server.workers == self.server.ready
                state = {"workers": self.server.workers, "ready": self.server.ready}
                code = HTTPStatus.OK if whole else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(code, "application/json", json.dumps(state).encode() + b"\n")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing: a request's path is the requester's text."""

    def _answer(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    sys.exit(child.main(Keeper, sys.argv[1:]))
