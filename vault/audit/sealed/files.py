"""The directory of the sealed access log, `tree/` beside the segments.

    checkpoint            the newest checkpoint: a signed note, cosigned if a witness answered
    cosigned              the newest one that a witness has cosigned
    truncated             signed note: which entries were removed (see `retention`)
    tile/<level>/…        hash tiles          tile/entries/…[.gz]  bundles of entries (c2sp.org/tlog-tiles)
    spans                 one for each full bundle: first_ms u64 | last_ms u64 | principals u64
    traits                one for each full bundle, as far as they are made (see `traits`)
    index/                from customers to leaves (see `index`)
    state  lock           see `state`; the lock is held by whoever seals

- `principals` has bit n set if a record's principal is n modulo 64.
- Full bundles are compressed when the sealer has time: see `bundles`, at the same path with ".gz" behind it.
- A reader takes a partial tile as wide as its state says, and if that is gone, the wider or full one, whose
  bytes begin the same. A full tile that no state covers may be half written.
- Spans, traits and index are made from the bundles, and can be made again. Nothing signs them.
"""

import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from vault.audit.sealed.bundles import Bundle, compress
from vault.audit.sealed.pacing import at_once
from vault.errors import IntegrityFailedError
from vault.store.files import sync_directory
from vault.tlog.merkle import HASH_BYTES
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import entries_path, split_entries, tile_path

TREE: Final = "tree"
CHECKPOINT: Final = "checkpoint"
COSIGNED: Final = "cosigned"
TRUNCATED: Final = "truncated"
SPANS: Final = "spans"
TRAITS: Final = "traits"
INDEX: Final = "index"
LOCK: Final = "lock"
SPAN: Final = struct.Struct(">QQQ")
_TRIES: Final = 20  # the sealer may be several rounds faster than a reader that was interrupted


class Span(NamedTuple):
    """Of one bundle: the times of its records, inclusive, and whose they are."""

    first_ms: int
    last_ms: int
    principals: int


class TreeFiles:
    """Reads tiles and bundles, and writes them durably."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = f"{root}/"
        self._unsynced: set[Path] = set()

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Writes a file that no state covers yet; durable after `sync_names`."""
        path = self.root / name
        try:
            descriptor = _create(path)
        except FileNotFoundError:
            self._make(path.parent)
            descriptor = _create(path)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._unsynced.add(path.parent)

    def append(self, name: str, offset: int, content: bytes) -> None:
        """Writes at an offset, durably; what stood there was left by a crash."""
        descriptor = os.open(self.root / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, offset)
            os.pwrite(descriptor, content, offset)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._unsynced.add(self.root)

    def sync_names(self) -> None:
        """What was written is found after a loss of power."""
        for directory in sorted(self._unsynced):
            sync_directory(directory)
        self._unsynced.clear()

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile.

        Raises:
            IntegrityFailedError: the tile is missing, or too short.
        """
        size, name = width * HASH_BYTES, tile_path(level, index)
        if width == TILE_LEAVES:
            content = _read(self._prefix + name)
        else:
            content = self._any(name, width, lambda found: len(found) >= size)
        if content is not None and len(content) >= size:
            return content[:size]
        raise IntegrityFailedError(file="tile", level=str(level), index=str(index))

    def bundle(self, index: int, width: int) -> bytes:
        """A bundle of `width` entries or more.

        Raises:
            IntegrityFailedError: it is missing, or cannot be decompressed.
        """
        return self.stored(index, width).content

    def stored(self, index: int, width: int) -> Bundle:
        """The same, not decompressed yet.

        Raises:
            IntegrityFailedError: it is missing.
        """
        name = entries_path(index)
        if width == TILE_LEAVES:
            content = _read(self._prefix + name)
        else:
            content = self._any(name, width, lambda found: _holds(found, width))
        if content is not None:
            return Bundle(content)
        packed = _read(f"{self._prefix}{name}.gz")
        if packed is None:
            raise IntegrityFailedError(file="entries", index=str(index))
        return Bundle(None, packed)

    def raw_bytes(self, index: int) -> int:
        """How large a full bundle is that is not compressed yet; 0 where it is, or is not there."""
        try:
            return (self.root / entries_path(index)).stat().st_size
        except FileNotFoundError:
            return 0

    def compress(self, indexes: Iterable[int], pace: Callable[[], None] = at_once) -> None:
        """Compresses full bundles, as far as they are not compressed yet; calls `pace` after each."""
        names = [name for name in map(entries_path, indexes) if (self.root / name).exists()]
        for name in names:
            self.write(f"{name}.gz", compress((self.root / name).read_bytes()))
            pace()
        self.sync_names()
        for name in names:
            self.remove(name)

    def spans(self, bundles: int) -> list[Span]:
        """The spans of the first bundles.

        Raises:
            IntegrityFailedError: some are missing.
        """
        content = (_read(self.root / SPANS) or b"")[: bundles * SPAN.size]
        if len(content) != bundles * SPAN.size:
            raise IntegrityFailedError(file=SPANS)
        return [Span(*each) for each in SPAN.iter_unpack(content)]

    def rows(self, name: str) -> bytes:
        """A file of rows that grows behind the sealer; empty where it is not begun."""
        return _read(self.root / name) or b""

    def rows_at(self, name: str, size: int, numbers: Iterable[int]) -> dict[int, bytes]:
        """Some rows of such a file; those behind its end are cut, or empty."""
        try:
            with (self.root / name).open("rb", buffering=0) as file:
                return {each: os.pread(file.fileno(), size, each * size) for each in numbers}
        except FileNotFoundError:
            return {}

    def _any(self, name: str, width: int, enough: Callable[[bytes], bool]) -> bytes | None:
        """The narrowest file that holds `width` hashes or entries of a partial tile."""
        for _ in range(_TRIES):  # between a listing and a reading, a partial tile may give way to a wider one
            for path in _candidates(self.root, name, width):
                content = _read(path)
                if content is not None and enough(content):
                    return content
        return None

    def _make(self, directory: Path) -> None:
        missing = []
        while not directory.exists():
            missing.append(directory)
            directory = directory.parent
        for each in reversed(missing):
            each.mkdir(mode=0o700)
            self._unsynced.add(each.parent)


def _holds(bundle: bytes, width: int) -> bool:
    try:
        return len(split_entries(bundle)) >= width
    except IntegrityFailedError:
        return False


def _candidates(root: Path, name: str, width: int) -> list[Path]:
    """Where `width` hashes or entries of a partial tile may stand, best first."""
    full = root / name
    partial = full.with_name(f"{full.name}.p")
    try:
        wider = sorted((int(each.name), each) for each in partial.iterdir() if int(each.name) >= width)
    except FileNotFoundError:
        wider = []
    return [*(path for _, path in wider), full]


def _read(path: Path | str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return None


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
