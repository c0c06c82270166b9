"""The supervisor's side of one child: spawning it, hearing it, respawning it.

Children are spawned, never forked: gRPC and LMDB do not survive a fork. They get two descriptors and
nothing else of the supervisor's: their end of the control line, and a pipe on which the keys of epochs
come. They live in a process group of their own, so that Ctrl-C reaches the supervisor alone.
"""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any, NamedTuple

from vault.crypto.hazmat import GuardedMemory
from vault.keys.unlock import send_edk
from vault.server.control import Channel, Message, Start
from vault.server.insides import environment

HEALTHY_SECONDS = 60.0
FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 2.0
PASSPHRASE_VARIABLE = "CVAULT_PASSPHRASE"  # noqa: S105 - a name
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class State(Enum):
    """Of a slot's process."""

    ABSENT = auto()
    STARTING = auto()
    READY = auto()


class Event(NamedTuple):
    """Something happened to a slot's process: a message, or its end (None)."""

    slot: "Slot"
    pid: int
    message: Message | None


class Slot:
    """A place that one process at a time fills."""

    def __init__(self, module: str, start: Start, inbox: "queue.SimpleQueue[Any]", metrics: str) -> None:
        self.name = start.name
        self.state = State.ABSENT
        self.attempts = 0
        self.due = 0.0  # when to spawn again, on the monotonic clock
        self._module = module
        self._start = start
        self._inbox = inbox
        self._environment = environment({k: v for k, v in os.environ.items() if k != PASSPHRASE_VARIABLE})
        self._environment[METRICS_VARIABLE] = metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._spawned = 0.0
        self._key_pipe = -1
        self.held: set[int] = set()  # epochs whose keys the process was given and has not let go of
        self.taken: set[int] = set()  # those of them that it has confirmed

    @property
    def pid(self) -> int:
        """Of the running process; 0 when there is none."""
        return self._process.pid if self._process else 0

    def spawn(self) -> None:
        """Starts the process, which waits for `begin`. Call from the supervisor's main thread only."""
        ours, theirs = socket.socketpair()
        key_read, key_write = os.pipe()
        passed = [theirs.fileno(), key_read]
        arguments = [str(number) for number in (*passed, os.getpid())]
        if self._start.metrics_fd >= 0:
            passed.append(self._start.metrics_fd)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                env=self._environment,
                process_group=0,
            )
        except BaseException:
            os.close(key_write)
            raise
        finally:
            theirs.close()
            os.close(key_read)
        self._channel, self._key_pipe = Channel(ours), key_write
        self.state, self._spawned, self.due = State.STARTING, time.monotonic(), 0.0
        threading.Thread(target=self._hear, args=(self._process, self._channel), daemon=True).start()

    def begin(self, edks: Mapping[int, GuardedMemory]) -> None:
        """Tells the process what it is and hands it the EDKs."""
        self.held, self.taken = set(edks), set(edks)
        self.send("start", **replace(self._start, epochs=tuple(edks)).content())
        for edk in edks.values():
            self._send_key(edk)

    def abandon(self) -> None:
        """Ends a process that has not begun anything worth an orderly end; returns when it has ended."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def give_epoch(self, epoch: int, edk: GuardedMemory) -> None:
        """Hands the process the key of a further epoch."""
        self.held.add(epoch)
        self.send("take-epoch", epoch=epoch)
        self._send_key(edk)

    def _send_key(self, edk: GuardedMemory) -> None:
        # 32 bytes fit into any pipe, so this does not wait; the end of a process is seen elsewhere.
        with contextlib.suppress(BrokenPipeError):
            send_edk(edk, self._key_pipe)

    def send(self, kind: str, **content: object) -> None:
        """Sends a message to the process, if there is one."""
        if self._channel:
            self._channel.send(kind, **content)

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if there is one that was not yet reaped."""
        if self._process:
            self._process.send_signal(number)

    def ended(self, *, expected: bool) -> int:
        """Notes the end of the process; returns its exit code and sets when to spawn again."""
        code = self._process.returncode if self._process else 0
        if expected or time.monotonic() - self._spawned > HEALTHY_SECONDS:
            self.attempts = 0
        delay = (
            min(FIRST_DELAY_SECONDS * 2 ** (self.attempts - 1), MAX_DELAY_SECONDS) if self.attempts else 0.0
        )
        self.attempts += 1
        self.due = time.monotonic() + delay
        if self._channel:
            self._channel.close()
        if self._key_pipe >= 0:
            os.close(self._key_pipe)
        self._key_pipe, self.held, self.taken = -1, set(), set()
        self.state, self._process, self._channel = State.ABSENT, None, None
        return code

    def _hear(self, process: "subprocess.Popen[bytes]", channel: Channel) -> None:
        while (message := channel.receive()) is not None:
            self._inbox.put(Event(self, process.pid, message))
        process.wait()
        self._inbox.put(Event(self, process.pid, None))
