"""Plain copies of a data directory, as backups and snapshots make them, and the bytes in them.

Rules:
- A copy is `cp`, in a process of its own: one that opened and closed LMDB's lock file in the test's process
  would take the vault's locks away.
- `root/` is left out: it stands for the HSM or KMS, of which nobody takes file copies. A copy with it opens
  its epoch for good, which is why the provider `file` only ever promises its best effort.
- Copies share most of their bytes. Files are cut in pieces of a page, each with the beginning of the next, so
  that every offset's window lies within one piece; a piece that was seen before is not looked at again.
"""

import hashlib
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
        with path.open("rb") as file:
            offset, data = 0, file.read(_READ_BYTES + _OVERLAP_BYTES)
            while data:
                for start in range(0, min(len(data), _READ_BYTES), _PIECE_BYTES):
                    piece = data[start : start + _PIECE_BYTES + _OVERLAP_BYTES]
                    name = hashlib.blake2b(piece, digest_size=16).digest()
                    if name not in seen:
                        seen.add(name)
                        yield Piece(path, offset + start, piece)
                offset += _READ_BYTES
                data = data[_READ_BYTES:] + file.read(_READ_BYTES) if len(data) > _READ_BYTES else b""
