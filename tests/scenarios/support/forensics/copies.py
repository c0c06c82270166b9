"""Plain copies of a data directory, as backups and snapshots make them, and the bytes in them.

Rules:
- A copy is `cp`, in a process of its own: one that opened and closed LMDB's lock file in the test's process
  would take the vault's locks away.
- `root/` is left out: it stands for the HSM or KMS, of which nobody takes file copies. A copy with it opens
  its epoch for good, which is why the provider `file` only ever promises its best effort.
- Copies share most of their bytes. Files are cut in pieces of a page, each with the beginning of the next, so
  that every offset's window lies within one piece; a piece that was seen before is not looked at again. Nor
  are holes: most of a new LMDB file is one.
"""

import errno
import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.scenarios.support.forensics.scanning import SEALED_WINDOW

ROOT_KEYS = "root"
_PIECE_BYTES = 1 << 12
_READ_BYTES = 1 << 22
_OVERLAP_BYTES = SEALED_WINDOW - 1


class Piece(NamedTuple):
    """Part of a file: windows may begin in its first page, and reach into the bytes behind it."""

    path: Path
    offset: int
    data: bytes


def copy_data(source: Path, target: Path, *, only: str = "", root_keys: bool = False) -> Path:
    """Copies a data directory, or what `only` names of it, while the vault may be open."""
    target.mkdir(parents=True)
    for each in sorted(source.iterdir()):
        if (only and each.name != only) or (each.name == ROOT_KEYS and not root_keys):
            continue
        if each.is_socket():
            continue
        subprocess.run(["cp", "-a", "--sparse=always", each, target], check=True)
    return target


def files_of(places: Iterable[Path]) -> list[Path]:
    """Every file below some directories."""
    return [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]


def pieces_of(paths: Iterable[Path], seen: set[bytes]) -> Iterator[Piece]:
    """Every piece of some files that differs from all that were `seen`, which grows."""
    for path in paths:
        with path.open("rb", buffering=0) as file:
            for offset, size, data in _blocks(file.fileno()):
                for start in range(0, size, _PIECE_BYTES):
                    piece = data[start : start + _PIECE_BYTES + _OVERLAP_BYTES]
                    name = hashlib.blake2b(piece, digest_size=16).digest()
                    if name not in seen:
                        seen.add(name)
                        yield Piece(path, offset + start, piece)


def _blocks(descriptor: int) -> Iterator[tuple[int, int, bytes]]:
    """A file in blocks of whole pieces: offset, size, bytes with those that the last piece reaches into."""
    size = os.fstat(descriptor).st_size
    for start, end in _stretches(descriptor, size):
        for offset in range(start, end, _READ_BYTES):
            block = min(_READ_BYTES, end - offset)
            data = os.pread(descriptor, block + _OVERLAP_BYTES, offset)
            assert len(data) == min(block + _OVERLAP_BYTES, size - offset)
            yield offset, block, data


def _stretches(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data, in whole pieces, with the piece before, which reaches into it.

    Of a hole there is one piece: the others are the same zeros.
    """
    at = 0
    while at < size:
        try:
            data = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = size  # nothing but a hole
        begin = max(at, (data // _PIECE_BYTES - 1) * _PIECE_BYTES)
        if begin > at:
            yield at, at + _PIECE_BYTES
        hole = os.lseek(descriptor, data, os.SEEK_HOLE) if data < size else size
        end = -(-hole // _PIECE_BYTES) * _PIECE_BYTES
        yield begin, end
        at = end
