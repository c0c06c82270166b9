"""What the worker and the keeper have in common: how a child of the supervisor begins and ends.

    python -m vault.server.<module> CONTROL_FD EDK_FD PARENT_PID

- It asks to end with its parent, reads its `start` message, forbids dumps, receives the EDK.
- Everything that happens to it (messages, signals, the end of the line) arrives in one queue.
- It ends itself: on SIGTERM within `drain_seconds`, without a supervisor within `ORPHAN_SECONDS`. A timer
  ends the process where that fails, so that none is ever left behind.
"""

import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from vault.crypto.hazmat import GuardedMemory
from vault.errors import VaultError
from vault.keys.hardening import forbid_dumps
from vault.keys.unlock import receive_edk
from vault.model.ids import Epoch
from vault.server import logs
from vault.server.control import Channel, Message, Start
from vault.server.logs import log
from vault.server.orphans import end_with_parent

ORPHAN_SECONDS = 2.0
PATIENCE_SECONDS = 3.0  # beyond the drain, before the timer ends the process

TERMINATED: Message = {"kind": "terminated"}
ORPHANED: Message = {"kind": "orphaned"}


class Service(Protocol):
    """What a child runs."""

    def handle(self, message: Message) -> None:
        """Acts on a message from the supervisor."""

    def take_epoch(self, epoch: Epoch, edk: GuardedMemory) -> None:
        """Holds the key of a further epoch."""

    def leave_epoch(self, epoch: Epoch) -> None:
        """Lets go of an epoch's key."""

    def stop(self, grace_seconds: float) -> None:
        """Finishes what was begun, for so long at most, and closes."""


class Child:
    """This process, seen from its own side."""

    def __init__(self, channel: Channel, start: Start, parent_pid: int, edk_fd: int) -> None:
        self.channel = channel
        self._edk_fd = edk_fd
        self.start = start
        self._parent_pid = parent_pid
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def run(self, service: Service) -> None:
        """Says that it is ready, and handles messages until the end."""
        self.channel.send("ready")
        threading.Thread(target=self._listen, name="control", daemon=True).start()
        while (message := self.inbox.get()) not in (TERMINATED, ORPHANED):
            self._pass_on(message, service)
        # The kernel's signal may come before the end of the line; both mean the same then.
        orphaned = message == ORPHANED or os.getppid() != self._parent_pid
        grace = ORPHAN_SECONDS if orphaned else self.start.settings.server.drain_seconds
        log.info("draining", reason="orphaned" if orphaned else "terminated")
        _end_after(grace + PATIENCE_SECONDS)
        service.stop(grace)
        log.info("drained")

    def _pass_on(self, message: Message, service: Service) -> None:
        match message["kind"]:
            case "take-epoch":
                epoch, edk = Epoch(message["epoch"]), receive_edk(self._edk_fd)
                if self._done("take-epoch", epoch, lambda: service.take_epoch(epoch, edk)):
                    self.channel.send("took-epoch", epoch=epoch)
            case "leave-epoch":
                epoch = Epoch(message["epoch"])
                if self._done("leave-epoch", epoch, lambda: service.leave_epoch(epoch)):
                    self.channel.send("left-epoch", epoch=epoch)
            case _:
                service.handle(message)

    def _done(self, what: str, epoch: Epoch, work: Callable[[], None]) -> bool:
        """Whether it succeeded; if not, the supervisor asks again or waits for another process."""
        try:
            work()
        except VaultError as error:
            log.error("epoch key", action=what, epoch=epoch, reason=error.reason.value)
            return False
        return True

    def terminate(self, _signal: int, _frame: FrameType | None) -> None:
        """Handles SIGTERM; a second one has nothing to add, the supervisor then kills."""
        self.inbox.put(TERMINATED)

    def _listen(self) -> None:
        while (message := self.channel.receive()) is not None:
            self.inbox.put(message)
        self.inbox.put(ORPHANED)
        _end_after(ORPHAN_SECONDS + PATIENCE_SECONDS)


def main(open_service: Callable[[Child, dict[int, GuardedMemory]], Service], arguments: Sequence[str]) -> int:
    """The life of a child process; returns its exit code."""
    control_fd, edk_fd, parent_pid = map(int, arguments)
    channel = Channel(socket.socket(fileno=control_fd))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_with_parent(parent_pid)
    message = channel.receive()
    if message is None:
        return 0
    start = Start.of(message)
    logs.configure(process=start.name, pretty=start.dev and sys.stderr.isatty())
    child = Child(channel, start, parent_pid, edk_fd)
    signal.signal(signal.SIGTERM, child.terminate)
    if not start.dev:
        forbid_dumps()
    try:
        child.run(open_service(child, {epoch: receive_edk(edk_fd) for epoch in start.epochs}))
    except VaultError as error:
        log.error("cannot serve", reason=error.reason.value)
        channel.send("failed", reason=error.reason.value, message=str(error))
        return 1
    return 0


def _end_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
