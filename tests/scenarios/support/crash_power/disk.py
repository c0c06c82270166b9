"""A model of a disk that loses its power: what may be on it afterwards, given the calls made before.

Rules:
- A file's content: what `fsync` or `fdatasync` of it covered is there, its length included, and so is each
  write through O_DSYNC. Of any other write nothing, all, or any of its 512-byte sectors; a sector is never
  half written. A change of length is a write too: it happened or not.
- A directory's entries (made, renamed, removed): those that `fsync` of the directory covered are there.
  Others survive in the order in which they were made, up to some point, as a journal keeps them. A rename
  is one step. A name whose file was never synced may name an empty file.
- Nothing is as new as memory: shared maps are not followed, so what is written through one must not matter.

`Loss` says what becomes of the unsynced part.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath

from tests.scenarios.support.crash_power.recording import Call, Kind

SECTOR_BYTES = 512


class Loss(Enum):
    """What the loss of power takes."""

    EVERYTHING = "everything that was not synced"
    SOMETHING = "some of what was not synced, torn in places"
    NOTHING = "nothing: the program died, the kernel did not"


@dataclass(slots=True)
class _Change:
    """A write (`data`), or a change of length (no data), that is not yet covered by a sync."""

    offset: int
    data: bytes
    length: int = -1
    grows_only: bool = False
    durable: bool = False


@dataclass(slots=True)
class _Content:
    """What a file holds: `length` bytes, of which those behind `data` are zeros."""

    data: bytearray = field(default_factory=bytearray)
    length: int = 0

    def copy(self) -> "_Content":
        return _Content(bytearray(self.data), self.length)

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(self.data):
            self.data.extend(bytes(end - len(self.data)))
        self.data[offset:end] = data
        self.length = max(self.length, end)

    def resize(self, length: int, *, grows_only: bool) -> None:
        if length > self.length or not grows_only:
            del self.data[length:]
            self.length = length

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            file.write(self.data)
            file.truncate(self.length)


@dataclass(slots=True)
class _File:
    synced: _Content = field(default_factory=_Content)
    changes: list[_Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.changes:
            _apply(self.synced, change, [(change.offset, change.data)])
        self.changes.clear()

    def after(self, loss: Loss, chance: random.Random) -> _Content:
        content = self.synced.copy()
        for change in self.changes:
            _apply(content, change, _surviving(change, loss, chance))
        return content


@dataclass(frozen=True, slots=True)
class _Step:
    """A change of a directory's entries, in one step: a name goes, and a name comes."""

    directory: str
    removed: str = ""
    added: str = ""
    object: int = -1

    def apply(self, names: dict[str, int]) -> None:
        names.pop(self.removed, None)
        if self.added:
            names[self.added] = self.object


class Disk:
    """The disk, as far as the calls that it was told of."""

    def __init__(self) -> None:
        self._objects: list[_File | None] = []  # None is a directory
        self._newest: dict[int, int] = {}  # inode number -> object, since the numbers are used again
        self._synced: dict[str, int] = {}  # path -> object
        self._steps: list[_Step] = []  # not yet covered by a sync, in order
        self._names: dict[str, int] = {}  # as the program sees them

    def take(self, call: Call) -> None:
        """Applies one call.

        Raises:
            ValueError: the call is one that this model cannot follow.
        """
        match call.kind:
            case Kind.CREATE | Kind.MAKE_DIRECTORY:
                self._newest[call.inode] = len(self._objects)
                self._objects.append(_File() if call.kind is Kind.CREATE else None)
                self._step(_Step(_parent(call.path), added=call.path, object=self._newest[call.inode]))
            case Kind.WRITE:
                change = _Change(call.offset, call.data, durable=call.durable)
                self._file(call).changes.append(change)
            case Kind.RESIZE:
                self._file(call).changes.append(_Change(0, b"", call.length))
            case Kind.ALLOCATE:
                end = call.offset + call.length
                self._file(call).changes.append(_Change(0, b"", end, grows_only=True))
            case Kind.SYNC:
                self._sync(call)
            case Kind.RENAME:
                moved, directory = self._names[call.path], _parent(call.path)
                if self._objects[moved] is None or directory != _parent(call.second_path):
                    raise ValueError(f"this model cannot follow {call!r}")
                self._step(_Step(directory, call.path, call.second_path, moved))
            case Kind.UNLINK | Kind.REMOVE_DIRECTORY:
                self._step(_Step(_parent(call.path), call.path))
            case Kind.UNFOLLOWED:
                raise ValueError(f"this model cannot follow {call.path}")
            case Kind.MARK | Kind.MAPPED:
                pass

    def rebuild(self, root: Path, loss: Loss, seed: int = 0) -> None:
        """Writes below `root` what is left on the disk after a loss of power now."""
        chance = random.Random(seed)
        names = dict(self._synced)
        for step in self._surviving_steps(loss, chance):
            step.apply(names)
        whole: dict[str, bool] = {"": True}  # directories whose own names are there, by path
        for path, number in sorted(names.items()):
            content = self._objects[number]
            parent_is_there = whole.get(_parent(path), False)
            if content is None:
                whole[path] = parent_is_there
                if parent_is_there:
                    (root / path).mkdir(mode=0o700, exist_ok=True)
            elif parent_is_there:
                content.after(loss, chance).save(root / path)

    def _surviving_steps(self, loss: Loss, chance: random.Random) -> list[_Step]:
        match loss:
            case Loss.EVERYTHING:
                return []
            case Loss.NOTHING:
                return self._steps
            case Loss.SOMETHING:
                return self._steps[: chance.randint(0, len(self._steps))]

    def _step(self, step: _Step) -> None:
        step.apply(self._names)
        self._steps.append(step)

    def _sync(self, call: Call) -> None:
        if call.path and self._objects[self._newest[call.inode]] is not None:
            self._file(call).sync()
            return
        for step in self._steps:
            if step.directory == call.path:
                step.apply(self._synced)
        self._steps = [step for step in self._steps if step.directory != call.path]

    def _file(self, call: Call) -> _File:
        found = self._objects[self._newest[call.inode]]
        assert found is not None, f"a directory is written to: {call!r}"
        return found


def _surviving(change: _Change, loss: Loss, chance: random.Random) -> Iterator[tuple[int, bytes]]:
    if change.durable or loss is Loss.NOTHING:
        yield change.offset, change.data
        return
    if loss is Loss.EVERYTHING:
        return
    fate = chance.randrange(3)
    if fate == 0:
        return
    if fate == 1 or not change.data:
        yield change.offset, change.data
        return
    for offset, data in _sectors(change.offset, change.data):
        if chance.random() < 0.5:
            yield offset, data


def _sectors(offset: int, data: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = SECTOR_BYTES - (offset + at) % SECTOR_BYTES
        yield offset + at, data[at : at + size]
        at += size


def _apply(content: _Content, change: _Change, parts: Iterable[tuple[int, bytes]]) -> None:
    for offset, data in parts:
        if change.length >= 0:
            content.resize(change.length, grows_only=change.grows_only)
        else:
            content.write(offset, data)


def _parent(path: str) -> str:
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent
