"""Long work that a caller asks for and the keeper does: so far, rotations of the epoch.

Row of table `operations` (with the MAC of `rows`), key: id 16; body: JSON of what `Operation` holds.

A worker writes a request and answers at once; the keeper finds it, and writes how far it is. At most
one rotation is under way: asking again meanwhile gives that one, and takes no approval. One that has come to
its last step, and there waits for copies of the keyring, keeps nobody from beginning another.
"""

import json
import uuid
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

from vault.core.approvals import covering, spend
from vault.core.engine import Engine
from vault.core.finality import unit_events
from vault.core.resealing import kept_since_ms
from vault.core.trail import Trail
from vault.erasure.waiting import Waiting
from vault.errors import InvalidRequestError
from vault.model.access import Action
from vault.model.controls import ApprovalAct
from vault.model.erasure import MissingCopies
from vault.model.requests import Caller
from vault.store.entries import (
    EpochCurrent,
    EpochIntent,
    GenerationReplaced,
    GenerationShredded,
    Restored,
    Shred,
    ValuesCorrected,
    ValuesDeleted,
    Void,
)
from vault.store.session import WriteSession
from vault.store.snapshot import ValuesReader

OPERATIONS: Final = "operations"
PREFIX: Final = "operations/"
_CHANGING_WHAT_IS_KEPT: Final = (GenerationReplaced, GenerationShredded, Restored, Shred, Void)
_KEPT_MS: Final = 90 * 86_400_000  # how long a finished operation can be asked for


class State(StrEnum):
    """Where an operation is."""

    REQUESTED = "requested"
    RUNNING = "running"
    WAITING = "waiting"  # the new epoch is in use; the root key before it is kept until there are copies
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Operation:
    """One rotation of the epoch; times in milliseconds since 1970, 0 for not yet.

    Attributes:
        step: what is being done: reseal, begin, copy, index, verify, follow, swap, retire, copies, done.
        done, total: customers, or customers' keys, in that step.
        reason: why it failed, as in the errors of the API.
        message: the same in words, or what is waited for.
    """

    id: str
    state: State
    requested_ms: int
    principal: str = ""  # empty: the vault's own schedule
    epoch: int = 0
    step: str = ""
    done: int = 0
    total: int = 0
    started_ms: int = 0
    updated_ms: int = 0
    reason: str = ""
    message: str = ""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (State.DONE, State.FAILED)

    @property
    def under_way(self) -> bool:
        """Whether the keeper has to make a new epoch for it, or is about to."""
        return self.state in (State.REQUESTED, State.RUNNING)

    @property
    def name(self) -> str:
        """As in the API: `operations/` and 32 hex digits."""
        return PREFIX + self.id

    @property
    def remaining_ms(self) -> int | None:
        """About how long the step will still take, or None where nothing tells yet."""
        passed = self.updated_ms - self.started_ms
        if not self.under_way or not self.done or passed <= 0:
            return None
        return passed * (self.total - self.done) // self.done


def read_operations(engine: Engine, reader: ValuesReader) -> list[Operation]:
    """All operations that are kept, oldest first."""
    found = [_read(engine.rows.open(OPERATIONS, key, row)) for key, row in reader.rows(OPERATIONS)]
    return sorted(found, key=lambda each: each.requested_ms)


def save_operation(engine: Engine, operation: Operation) -> None:
    """Writes how far an operation is."""
    engine.committer.submit(lambda session: _put(engine, session, operation), erase=True)


def request_rotation(engine: Engine, session: WriteSession, principal: str) -> Operation:
    """The rotation that is waiting or running, or a new one."""
    operations = read_operations(engine, session)
    under_way = [each for each in operations if each.under_way]
    if under_way:
        return under_way[0]
    for each in operations:
        if each.finished and each.updated_ms < session.now_ms - _KEPT_MS:
            session.delete_row(OPERATIONS, bytes.fromhex(each.id))
    made = Operation(uuid.uuid4().hex, State.REQUESTED, session.now_ms, principal, updated_ms=session.now_ms)
    _put(engine, session, made)
    return made


class Schedule:
    """Says when `[keys]` asks for a new epoch: `rotate_hours`, `rotate_shreds`. Reads an entry once.

    What goes while a new epoch is being made waits for the one after it. So does a replaced data key whose
    time comes while nothing else happens.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen = self._entered_ms = 0
        self._replaced_since = False  # whether what is kept is to be read anew
        self._first_replaced_ms: int | None = None
        self._waiting, self._since_intent = _Erased(), _Erased()

    def due(self) -> bool:
        """Whether a rotation should begin now."""
        keys = self._engine.settings.keys
        if not keys.rotate_hours and not keys.rotate_shreds:
            return False
        for entry in self._engine.store.ledger(self._seen):
            self._seen = entry.seq
            match entry.payload:
                case EpochIntent():
                    self._since_intent = _Erased()
                case EpochCurrent():
                    self._entered_ms, self._waiting = entry.time_ms, replace(self._since_intent)
                case Shred() | GenerationShredded():
                    self._waiting.shreds += 1
                    self._since_intent.shreds += 1
                case ValuesDeleted() | ValuesCorrected():
                    self._waiting.values = self._since_intent.values = True
                case Restored():  # what was deleted may be under the key in use again
                    self._waiting.values = self._since_intent.values = True
            self._replaced_since |= isinstance(entry.payload, _CHANGING_WHAT_IS_KEPT)
        age_ms = self._engine.now_ms() - self._entered_ms
        # With nothing erased since the last one, a rotation by the clock would make nothing final.
        by_clock = bool(keys.rotate_hours) and age_ms >= keys.rotate_hours * 3_600_000
        if by_clock and (self._waiting.shreds or self._waiting.values or self._kept_is_past()):
            return True
        return 0 < keys.rotate_shreds <= self._waiting.shreds

    def _kept_is_past(self) -> bool:
        """Whether a replaced generation is still wrapped that no data backup needs."""
        if self._replaced_since:
            self._first_replaced_ms = Waiting.after(unit_events(self._engine.store)).first_replaced_ms()
            self._replaced_since = False
        first_ms = self._first_replaced_ms
        return first_ms is not None and first_ms <= kept_since_ms(self._engine)


@dataclass(slots=True)
class _Erased:
    """What waits for a rotation: keys that were shredded, and whether any value went by itself."""

    shreds: int = 0
    values: bool = False


class Operating:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def rotate_epoch(self, caller: Caller, request_id: str, approval_id: str = "") -> Operation:
        """Asks for a new epoch, or joins the rotation that is under way.

        Raises:
            DeniedError: the caller may not rotate.
            ApprovalRequiredError: the policy asks for an approval, and this would begin a rotation.
            RequestIdReusedError: the request id was used with another body.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.ROTATE)
        request = engine.request(grants.id, request_id, "RotateEpoch", [])

        def job(session: WriteSession) -> Operation:
            remembered = request.recall(session)
            if remembered is not None:
                return self._find(session, remembered)
            access = engine.directory(session).access
            access.principal(caller.principal).require(Action.ROTATE)
            approval = None
            joins = any(not each.finished for each in read_operations(engine, session))
            if access.policy.controls.approvals.destroy_epoch and not joins:
                approval = covering(engine, session, grants, approval_id, ApprovalAct.ROTATE_EPOCH)
            self._trail.act(grants, "RotateEpoch")
            operation = request_rotation(engine, session, caller.principal)
            if approval is not None:
                spend(engine, session, approval)
            request.remember(session, operation.id)
            return operation

        return engine.committer.submit(job, deadline=caller.deadline_monotonic)

    def get(self, caller: Caller, name: str) -> Operation:
        """One operation by its name.

        Raises:
            DeniedError: the caller may not rotate.
            InvalidRequestError: there is no such operation.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            engine.directory(snapshot).access.principal(caller.principal).require(Action.ROTATE)
            return self._find(snapshot, name.removeprefix(PREFIX))

    def _find(self, reader: ValuesReader, operation_id: str) -> Operation:
        try:
            key = uuid.UUID(hex=operation_id).bytes
        except ValueError:
            key = b""
        body = self._engine.rows.get(reader, OPERATIONS, key) if key else None
        if body is None:
            raise InvalidRequestError("no such operation", field="name")
        return _read(body)


def ended(operation: Operation, now_ms: int, missing: MissingCopies | None) -> Operation:
    """The operation, with its epoch in use: done, unless copies are missing without which it is not."""
    if missing is None:
        return replace(operation, state=State.DONE, step="done", updated_ms=now_ms, message="")
    return replace(
        operation, state=State.WAITING, step="copies", updated_ms=now_ms, message=missing.in_words()
    )


def failed(operation: Operation, now_ms: int, reason: str, message: str) -> Operation:
    """The operation, ended without success."""
    return replace(operation, state=State.FAILED, updated_ms=now_ms, reason=reason, message=message)


def _put(engine: Engine, session: WriteSession, operation: Operation) -> None:
    body = json.dumps(asdict(operation), separators=(",", ":")).encode()
    engine.rows.put(session, OPERATIONS, bytes.fromhex(operation.id), body)


def _read(body: bytes) -> Operation:
    document = json.loads(body)
    return Operation(**document | {"state": State(document["state"])})
