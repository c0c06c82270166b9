"""The files that a job writes, and the memory of how far they have come.

Beside the tokenized copy `OUT` stands `OUT.state` until the job is done:

    {"version": 1, "input": hex, "settings": hex, "batches": n, "offset": bytes, "line": n,
     "copy_bytes": n, "rejects_bytes": n, "tally": {...}}

Rules:
- The state never claims more than the files hold: copy and rejects are synced before it, and it is
  replaced by rename. It is saved about once a second, or after each batch; what came after it is repeated.
- To continue is to cut copy and rejects to the lengths of the state and read on at its offset.
- A copy without a state, or a state of another input or other settings, is never touched, except by
  a start from the beginning that was asked for.
- One job writes a copy at a time (flock).
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from customervault.tables.errors import TableError
from customervault.tables.source import Position, Reject
from customervault.tables.tally import Tally

_VERSION = 1
_SAVE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What an interrupted run must have been started with to be continued (hex digests)."""

    input: str
    settings: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come; everything before it is acknowledged."""

    batches: int
    position: Position
    tally: Tally


class Journal:
    """Writes copy, rejects and state. Use as a context manager."""

    def __init__(
        self,
        identity: Identity,
        copy: Path | None,
        rejects: Path,
        start: Position,
        *,
        save_seconds: float | None = None,
        mode: int = 0o640,
    ) -> None:
        """Names the files.

        Args:
            identity: Of this job.
            copy: What is written; None for a dry run.
            rejects: Where refused rows and cells are listed.
            start: Where the rows begin.
            save_seconds: Between two saves, by default 1; with 0, every batch is saved.
            mode: Permissions of a new copy.
        """
        self._save_seconds = _SAVE_SECONDS if save_seconds is None else save_seconds
        self._mode = mode
        self._identity = identity
        self._copy_path = copy
        self._rejects_path = rejects
        self._copy: BinaryIO | None = None
        self._rejects: BinaryIO | None = None
        self._saved_at = time.monotonic()
        self.progress = Progress(0, start, Tally())
        self.resumed = False

    def open(self, heading: bytes, *, resume: bool) -> None:
        """Continues where an interrupted run stopped, else begins.

        Args:
            heading: What the copy begins with.
            resume: False starts from the beginning, whatever is there.

        Raises:
            TableError: The copy is there and is not ours to continue, or is being written.
        """
        if self._copy_path is None:
            self._rejects_path.unlink(missing_ok=True)
            return
        # Decided before the copy is created, and acted on only under its lock.
        existed = self._copy_path.exists()
        self._copy = _open_for_update(self._copy_path, self._mode)
        try:
            fcntl.flock(self._copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TableError(f"{self._copy_path} is being written by another run") from None
        state = _read_state(self._state_path) if resume else None
        if state is not None:
            self._check_identity(state)
        if state is not None and _number(state, "batches"):
            self._continue(state)
        elif state is not None:
            self._begin(heading)
        elif existed and resume and self._copy_path.stat().st_size:
            raise TableError(
                f"{self._copy_path} exists and belongs to no interrupted run; "
                "choose another name, or replace it with --no-resume"
            )
        else:
            self._begin(heading)

    def append(self, rows: bytes, rejects: Iterable[Reject], progress: Progress) -> None:
        """Records one acknowledged batch."""
        if self._copy is not None:
            self._copy.write(rows)
        for reject in rejects:
            self._reject_file().write(json.dumps(asdict(reject), ensure_ascii=False).encode() + b"\n")
        self.progress = progress
        if time.monotonic() - self._saved_at >= self._save_seconds:
            self.save()

    def save(self) -> None:
        """Makes everything up to now survive a crash."""
        for file in (self._copy, self._rejects):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
        if self._copy is not None:
            state = {
                "version": _VERSION,
                **asdict(self._identity),
                "batches": self.progress.batches,
                **self.progress.position._asdict(),
                "copy_bytes": self._copy.tell(),
                "rejects_bytes": self._rejects.tell() if self._rejects else 0,
                "tally": self.progress.tally.as_json(),
            }
            _replace(self._state_path, json.dumps(state).encode())
        self._saved_at = time.monotonic()

    def finish(self) -> None:
        """The job is complete: the state is no longer needed."""
        self.save()
        if self._copy is not None:
            self._state_path.unlink()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._copy, self._rejects):
            if file is not None:
                file.close()

    @property
    def _state_path(self) -> Path:
        assert self._copy_path is not None  # noqa: S101 - only jobs with a copy keep a state
        return self._copy_path.with_name(self._copy_path.name + ".state")

    def _begin(self, heading: bytes) -> None:
        assert self._copy is not None  # noqa: S101 - opened by the caller
        self._rejects_path.unlink(missing_ok=True)
        self._copy.truncate(0)
        self.save()  # first, so that a crash from here on leaves a copy that is known to be ours
        self._copy.write(heading)
        self.save()

    def _check_identity(self, state: dict[str, object]) -> None:
        if (state.get("input"), state.get("settings")) != (self._identity.input, self._identity.settings):
            raise TableError(
                f"{self._copy_path} belongs to an interrupted run of another file or with other "
                "settings; repeat that one, or start over with --no-resume"
            )

    def _continue(self, state: dict[str, object]) -> None:
        assert self._copy is not None  # noqa: S101 - opened by the caller
        _cut(self._copy, self._copy_path, _number(state, "copy_bytes"))
        if _number(state, "rejects_bytes"):
            _cut(self._reject_file(), self._rejects_path, _number(state, "rejects_bytes"))
        else:
            self._rejects_path.unlink(missing_ok=True)
        self.progress = Progress(
            _number(state, "batches"),
            Position(_number(state, "offset"), _number(state, "line")),
            Tally.from_json(state.get("tally")),
        )
        self.resumed = True

    def _reject_file(self) -> BinaryIO:
        if self._rejects is None:
            self._rejects = _open_for_update(self._rejects_path)
        return self._rejects


def _open_for_update(path: Path, mode: int = 0o640) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode), "r+b")


def _cut(file: BinaryIO, path: Path | None, length: int) -> None:
    if os.fstat(file.fileno()).st_size < length:
        raise TableError(f"{path} is shorter than it was when the run stopped; start over with --no-resume")
    file.truncate(length)
    file.seek(length)


def _read_state(path: Path) -> dict[str, object] | None:
    try:
        state = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        state = None
    if not isinstance(state, dict) or state.get("version") != _VERSION:
        raise TableError(f"{path} cannot be read; start over with --no-resume")
    return state


def _number(state: dict[str, object], name: str) -> int:
    value = state.get(name)
    if not isinstance(value, int) or value < 0:
        raise TableError("the state of the interrupted run is damaged; start over with --no-resume")
    return value


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` survive a loss of power."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
