"""The keeper's thread of rotations: those that a caller or the schedule asks for, and what a crash left.

A rotation that waits for copies of the keyring is looked at each second, and ended when they are there.
"""

import threading
import time
from dataclasses import replace

from vault.core.engine import Engine
from vault.core.epochs import EpochRotation, Progress
from vault.core.operations import (
    Operation,
    Schedule,
    State,
    ended,
    failed,
    read_operations,
    request_rotation,
    save_operation,
)
from vault.core.trail import Trail
from vault.errors import AuditUnavailableError, Reason, VaultError
from vault.server.custodian import SupervisorsCustodian
from vault.server.logs import frames_of, log

POLL_SECONDS = 1.0
SCHEDULE_SECONDS = 5.0
RESUME_SECONDS = 600.0  # between looks at root keys that a provider has not destroyed yet
_REPORT_SECONDS = 1.0


class Rotations:
    """Does one rotation at a time."""

    def __init__(self, engine: Engine, custodian: SupervisorsCustodian, stopping: threading.Event) -> None:
        self._engine = engine
        self._stopping = stopping
        self._trail = Trail(engine.audit)
        self._schedule = Schedule(engine)
        self._rotation = EpochRotation(engine, custodian, report=self._report)
        self._reported = 0.0

    def run(self) -> None:
        """Until told to stop. A failure is logged, kept with its operation, and does not end the thread."""
        resume_at = schedule_at = 0.0
        while not self._stopping.wait(POLL_SECONDS):
            try:
                if time.monotonic() >= resume_at or self._copies_changed():
                    resume_at = time.monotonic() + RESUME_SECONDS
                    self._rotation.resume()
                    self._tell_waiting()
                if time.monotonic() >= schedule_at:
                    schedule_at = time.monotonic() + SCHEDULE_SECONDS
                    if self._schedule.due():
                        self._trail.local("RotateEpoch", scheduled=True)
                        self._engine.committer.submit(lambda s: request_rotation(self._engine, s, ""))
                waiting = self._waiting()
                if waiting is not None:
                    self._rotate(waiting)
            except VaultError as error:
                log.warning("rotation failed", reason=error.reason.value)
            except Exception as error:  # noqa: BLE001 - the thread has to live on
                log.error("rotation failed", exception=type(error).__name__, frames=frames_of(error))

    def _operations(self) -> list[Operation]:
        with self._engine.store.snapshot() as snapshot:
            return read_operations(self._engine, snapshot)

    def _waiting(self) -> Operation | None:
        """An operation that nobody finished: asked for, or begun by a keeper that has died."""
        return next((each for each in self._operations() if each.under_way), None)

    def _copies_changed(self) -> bool:
        """Whether former root keys wait for copies of the keyring, and there are others than before."""
        waits_for = self._rotation.waits_for
        return waits_for is not None and self._rotation.missing_copies() != waits_for

    def _tell_waiting(self) -> None:
        """Has every operation that waits for copies say what is missing now, or that it is done."""
        for each in self._operations():
            if each.state is State.WAITING:
                told = ended(each, self._engine.now_ms(), self._rotation.waits_for)
                if (told.state, told.message) != (each.state, each.message):
                    save_operation(self._engine, told)
                    log.info("rotation done" if told.finished else "rotation waits", epoch=told.epoch)

    def _rotate(self, operation: Operation) -> None:
        engine = self._engine
        now = engine.now_ms()
        self._operation = replace(operation, state=State.RUNNING, started_ms=now, updated_ms=now)
        save_operation(engine, self._operation)
        log.info("rotation begins", epoch=engine.store.epoch + 1)
        try:
            epoch = self._rotation.rotate()
        except Exception as error:
            reason = error.reason if isinstance(error, VaultError) else Reason.INTERNAL
            text = str(error) if isinstance(error, VaultError) else "the rotation failed; see the log"
            save_operation(engine, failed(self._operation, engine.now_ms(), reason.value, text))
            self._record("FailRotation", self._operation.epoch, reason.value)
            raise
        operation = ended(replace(self._operation, epoch=epoch), engine.now_ms(), self._rotation.waits_for)
        save_operation(engine, operation)
        self._record("CompleteRotation", epoch, "done" if operation.finished else "waits for copies")
        log.info("rotation done" if operation.finished else "rotation waits", epoch=epoch)
        self._tell_waiting()

    def _record(self, act: str, epoch: int, outcome: str) -> None:
        """Records what has become of a rotation; the ledger has it, too."""
        try:
            self._trail.local(act, epoch=epoch, outcome=outcome)
        except AuditUnavailableError:
            log.warning("the end of a rotation is not in the access log")

    def _report(self, progress: Progress) -> None:
        new_step = progress.step != self._operation.step
        if not new_step and time.monotonic() < self._reported + _REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        if new_step:
            log.info("rotation step", epoch=progress.epoch, step=progress.step)
        now = self._engine.now_ms()
        self._operation = replace(
            self._operation,
            epoch=progress.epoch,
            step=progress.step,
            done=progress.done,
            total=progress.total,
            started_ms=now if new_step else self._operation.started_ms,
            updated_ms=now,
        )
        save_operation(self._engine, self._operation)
