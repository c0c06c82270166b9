"""The supervisor: unlocks the vault once, keeps its processes running, ends them in order.

- It opens no store (but to found one for `--dev`) and imports no gRPC. It holds the EDKs in guarded memory,
  so that respawned processes get them without another unlock, and the passphrase, so that a new epoch needs
  nobody at the keyboard (`epochs`); and the lock on the data directory.
- Start: all processes are spawned at once, before there is a key, and import what they need while the vault
  is unlocked. The keeper is told to begin first (its `Vault.open` recovers, and it sees to the server's
  certificate), then the workers; all serve, and the ready file is written, once every one is ready.
- SIGTERM, SIGINT: workers drain, then the keeper; a second one kills. SIGHUP: certificates.
- A process that dies is respawned at once, then with a growing delay, until it has lived for a minute.
- After a failed commit or sync (`run/writes-stopped`) every process is replaced, see `replacing`.
"""

import fcntl
import os
import queue
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TextIO

from vault.config import ServerSettings, Settings
from vault.crypto.hazmat import GuardedMemory
from vault.errors import InvalidRequestError
from vault.keys.hardening import forbid_dumps
from vault.keys.unlock import unlock
from vault.model.secret import Secret
from vault.policy.bootstrap import DEVELOPER
from vault.server import address, logs
from vault.server.control import Message, Start
from vault.server.epochs import EpochKeys
from vault.server.logs import log
from vault.server.notify import notify
from vault.server.ready import Certificates, Ready
from vault.server.replacing import Replacing
from vault.server.slots import Event, Slot, State
from vault.store import files
from vault.store.files import Format
from vault.store.runfiles import STOPPED_FILE

LOCK_NAME = "supervisor.lock"
START_SECONDS = 120.0
POLL_SECONDS = 0.5
KILL_SECONDS = 5.0  # beyond the drain
EXIT_OK = 0
EXIT_UNAVAILABLE = 4


def serve(
    data_dir: Path,
    settings: Settings,
    passphrase: Secret | None,
    *,
    dev: bool = False,
    ready_file: Path | None = None,
    listen: str | None = None,
) -> int:
    """Serves a vault until it is told to stop; returns the exit code (0, or 4 when it cannot serve).

    Args:
        data_dir: of the vault; with `dev`, one is founded there when there is none.
        settings: of the vault.
        passphrase: seals the root key; None where a key file does, or with `dev`.
        dev: development only: founds, prints how to connect, leaves memory readable, loopback only.
        ready_file: written once every worker serves, see `vault.server.ready`.
        listen: instead of the settings' address; port 0 takes a free one, and for the metrics another.

    Raises:
        InvalidRequestError: there is no vault, or an address or setting is not usable.
        KeyUnavailableError: the root key cannot be opened, or an address is taken.
    """
    data_dir = data_dir.resolve()
    if listen:
        settings = replace(settings, server=_listening(settings.server, listen))
    if dev:
        address.check_loopback(settings.server)
    elif not (data_dir / "FORMAT").exists():
        raise InvalidRequestError(f"there is no vault in {data_dir}")
    else:
        Format.read(data_dir)  # refuses while a restore is unfinished, before anything is unlocked
        forbid_dumps()
    logs.configure(process="supervisor", pretty=dev and sys.stderr.isatty())
    lock = _lock(data_dir / "run")
    if lock is None:
        return EXIT_UNAVAILABLE
    with lock:
        certificates: Certificates = {}
        supervisor: Supervisor | None = None
        try:
            supervisor = Supervisor(data_dir, settings, dev=dev)
            if dev:
                from vault.server.dev import prepare  # which imports the use cases; needed for this only

                passphrase, certificates = prepare(data_dir, settings)
            epoch = files.read_current(data_dir)
            edk = unlock(data_dir, settings, passphrase)
            return supervisor.run(passphrase, epoch, edk, certificates, ready_file)
        finally:
            if supervisor is not None:
                supervisor.close()


class Supervisor:
    """The processes of one vault, spawned at once. Everything happens on the thread that calls `run`."""

    _epochs: EpochKeys

    def __init__(self, data_dir: Path, settings: Settings, *, dev: bool) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._dev = dev
        self._end_seconds = settings.server.drain_seconds + KILL_SECONDS
        self._inbox: queue.SimpleQueue[Event | int | Callable[[], None]] = queue.SimpleQueue()
        self._reserved, self._address = address.reserve(settings.server.listen)
        self._metrics_socket, self._metrics = address.listen(settings.server.metrics_listen)
        metrics_dir = _fresh_directory(data_dir / "run" / "metrics")
        start = Start(data_dir, settings, "keeper", self._address, dev)
        keeper = replace(start, metrics_fd=self._metrics_socket.fileno())
        self._keeper = Slot("vault.server.keeper", keeper, self._inbox, metrics_dir)
        self._workers = [
            Slot("vault.server.worker", replace(start, name=f"worker-{n}"), self._inbox, metrics_dir)
            for n in range(1, (settings.server.workers or os.cpu_count() or 1) + 1)
        ]
        self._slots = [*self._workers, self._keeper]
        self._replacing = Replacing(
            data_dir / "run" / STOPPED_FILE,
            self._slots,
            self._end_seconds,
            lambda: self._keeper.send("check"),
        )
        self._certificates: Certificates = {}
        self._ready_file: Path | None = None
        self._serving = False
        self._stops = 0
        for slot in self._slots:
            slot.spawn()

    def run(
        self,
        passphrase: Secret | None,
        epoch: int,
        edk: GuardedMemory,
        certificates: Certificates,
        ready_file: Path | None,
    ) -> int:
        """Starts, serves, and drains when told to; returns the exit code. Frees the EDKs in the end."""
        self._epochs = EpochKeys(
            self._data_dir, self._settings, passphrase, self._slots, self._keeper.send, self._inbox.put
        )
        self._epochs.add(epoch, edk)
        self._certificates, self._ready_file = certificates, ready_file
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signalled)
        self._remove_ready_file()
        try:
            started = self._start([self._keeper]) and self._start(self._workers)
            if started:
                self._open_doors()
                self._serve()
            return EXIT_OK if self._stops else EXIT_UNAVAILABLE
        finally:
            notify("STOPPING=1")
            self._serving = False
            self._remove_ready_file()
            self._end(self._workers)
            self._end([self._keeper])
            self._epochs.close()
            log.info("stopped")

    def close(self) -> None:
        """Gives up the ports, and the processes where there was nothing for them to do."""
        for slot in self._slots:
            slot.abandon()
        self._reserved.close()
        self._metrics_socket.close()

    def _start(self, slots: Sequence[Slot]) -> bool:
        """Has them begin and waits until each is ready. False when one fails, or when told to stop."""
        give_up = time.monotonic() + START_SECONDS
        for slot in slots:
            slot.begin(self._epochs.held)
        while not all(slot.state is State.READY for slot in slots):
            if self._stops or time.monotonic() > give_up:
                return False
            self._take(POLL_SECONDS)
            if any(slot.state is State.ABSENT for slot in slots):
                return False
        return True

    def _open_doors(self) -> None:
        self._serving = True
        for worker in self._workers:
            worker.send("serve")
        self._tell()
        notify("READY=1", f"STATUS=serving on {self._address}")
        log.info("serving", address=self._address, metrics=self._metrics, workers=len(self._workers))
        if self._dev:
            sys.stdout.write(self._ready().banner(DEVELOPER))
            sys.stdout.flush()

    def _serve(self) -> None:
        while not self._stops:
            self._take(POLL_SECONDS)
            self._replacing.step()
            for slot in self._slots:
                if slot.state is State.ABSENT and time.monotonic() >= slot.due:
                    slot.spawn()
                    slot.begin(self._epochs.held)

    def _take(self, seconds: float) -> None:
        """Handles the next thing that happens, if anything does in time."""
        try:
            item = self._inbox.get(timeout=seconds)
        except queue.Empty:
            return
        if callable(item):
            item()
        elif isinstance(item, int):
            if item == signal.SIGHUP and not self._dev:
                self._keeper.send("certificates")
        elif item.message is None:
            self._ended(item.slot)
        elif item.pid == item.slot.pid:
            self._heard(item.slot, item.message)

    def _heard(self, slot: Slot, message: Message) -> None:
        if self._epochs.heard(slot, message):
            return
        match message["kind"]:
            case "ready":
                slot.state = State.READY
                self._epochs.step()
                if self._serving:
                    slot.send("serve")
                    self._tell()
                if slot is self._keeper and self._replacing.checking:
                    slot.send("check")  # the one that was checking has died
            case "failed":
                log.error("process cannot serve", worker=slot.name, reason=message["reason"])
                _say(f"{slot.name}: {message['message']}")
            case "overdue":
                self._end_holder(message["pid"])
            case "checked":
                self._replacing.checked(message["errors"])

    def _ended(self, slot: Slot) -> None:
        expected = bool(self._stops) or self._replacing.asked_to_end(slot.pid)
        code = slot.ended(expected=expected)
        self._epochs.step()
        if not expected:
            log.warning("process ended", worker=slot.name, exit_code=code, attempt=slot.attempts)
        if self._serving:
            self._tell()

    def _end_holder(self, pid: int) -> None:
        """Ends a process that holds the write lock too long, if it is one of ours."""
        for slot in self._slots:
            if slot.pid == pid != 0:
                log.error("write lock held too long, process ended", worker=slot.name)
                slot.signal(signal.SIGKILL)

    def _end(self, slots: Sequence[Slot]) -> None:
        """Drains and ends processes; kills what does not end in time, or once told to stop twice."""
        give_up = time.monotonic() + self._end_seconds
        for slot in slots:
            slot.signal(signal.SIGTERM)
        while any(slot.pid for slot in slots):
            if self._stops > 1 or time.monotonic() > give_up:
                for slot in slots:
                    slot.signal(signal.SIGKILL)
            self._take(POLL_SECONDS / 5)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        # A terminal that closes sends SIGHUP too, and a development vault should not outlive it.
        if number != signal.SIGHUP or self._dev:
            self._stops += 1
        self._inbox.put(number)

    def _tell(self) -> None:
        """Says how many workers serve: to the keeper for `/healthz`, and in the ready file."""
        ready = sum(worker.state is State.READY for worker in self._workers)
        self._keeper.send("ready", workers=len(self._workers), ready=ready)
        if self._ready_file:
            self._ready().write(self._ready_file)

    def _ready(self) -> Ready:
        return Ready(
            address=self._address,
            metrics=self._metrics,
            ca=str(self._data_dir / "tls" / "ca.crt"),
            certificates=self._certificates,
            pid=os.getpid(),
            workers=[worker.pid for worker in self._workers if worker.pid],
        )

    def _remove_ready_file(self) -> None:
        if self._ready_file:
            self._ready_file.unlink(missing_ok=True)


def _listening(server: ServerSettings, listen: str) -> ServerSettings:
    if address.parse(listen)[1] != 0:
        return replace(server, listen=listen)
    metrics_host, _ = address.parse(server.metrics_listen)
    return replace(server, listen=listen, metrics_listen=address.spell(metrics_host, 0))


def _lock(run_dir: Path) -> TextIO | None:
    """The lock on the data directory, or None, with a word on stderr, when a supervisor runs."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (run_dir / LOCK_NAME).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        _say(f"process {file.read().strip() or '?'} serves this vault already")
        file.close()
        return None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _say(text: str) -> None:
    sys.stderr.write(f"cvault: {text}\n")
    sys.stderr.flush()


def _fresh_directory(path: Path) -> str:
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    return str(path)
