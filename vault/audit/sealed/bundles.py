"""Full bundles, compressed so that one entry can be had without the others.

A gzip file (RFC 1952), which any tool opens. Its extra field has a subfield "CV": for each 64 entries, a
stretch, compressed length u32 | CRC-32 of its content u32, little-endian as all of gzip. A stretch ends with
a full flush, so that it can be decompressed by itself; the first one begins behind the gzip header.

Files without that field, as older versions have written them, are decompressed whole.
"""

import struct
import zlib
from itertools import pairwise
from typing import Final

from vault.errors import IntegrityFailedError
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import Entries

STRETCH: Final = 64
_HEADER: Final = struct.Struct("<4B4s2B")  # magic, method, flags, time, extra flags, system
_EXTRA: Final = struct.Struct("<H2sH")  # its length; the subfield's name and length
_ROW: Final = struct.Struct("<II")
_TABLE_BYTES: Final = TILE_LEAVES // STRETCH * _ROW.size
_BEGINS: Final = (
    _HEADER.pack(31, 139, 8, 4, bytes(4), 0, 255)  # gzip, deflate, with an extra field, at no time, anywhere
    + _EXTRA.pack(_TABLE_BYTES + 4, b"CV", _TABLE_BYTES)
)
_HEAD_BYTES: Final = len(_BEGINS) + _TABLE_BYTES
_WHOLE: Final = -1  # the number of the stretch that is everything
_GZIP: Final = 31  # zlib's number for a gzip header; negative: for none
_LEVEL: Final = 1  # locators are random: higher levels cost 2.5 times as much and save 1 %


class Bundle:
    """A bundle as it was read."""

    __slots__ = ("_content", "_has_table", "_packed", "_stretches")

    def __init__(self, content: bytes | None, packed: bytes = b"") -> None:
        """Of its content, or else of the compressed file."""
        self._content = content
        self._packed = packed
        self._has_table = content is None and packed.startswith(_BEGINS)
        self._stretches: dict[int, Entries] = {}

    @property
    def content(self) -> bytes:
        """All of it.

        Raises:
            IntegrityFailedError: it cannot be decompressed.
        """
        if self._content is None:
            self._content = decompress(self._packed)
        return self._content

    def __getitem__(self, at: int) -> bytes:
        """The entry at a place, from 0.

        Raises:
            IntegrityFailedError: it is not there, or cannot be decompressed.
        """
        by_stretch = self._has_table and self._content is None
        number, place = divmod(at, STRETCH) if by_stretch else (_WHOLE, at)
        stretch = self._stretches.get(number)
        if stretch is None:
            content = _stretch(self._packed, number) if by_stretch else self.content
            stretch = self._stretches[number] = Entries(content)
        return stretch[place]


def compress(content: bytes) -> bytes:
    """The file of a full bundle; the same content always gives the same bytes.

    Raises:
        IntegrityFailedError: the bundle is not full.
    """
    entries = Entries(content)
    starts = [entries.start(at) for at in range(0, TILE_LEAVES + STRETCH, STRETCH)]
    if starts[-1] != len(content):
        raise IntegrityFailedError(file="entries")
    packer, table, parts = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15), [], []
    for start, end in pairwise(starts):
        stretch = content[start:end]
        parts.append(packer.compress(stretch) + packer.flush(zlib.Z_FULL_FLUSH))
        table.append(_ROW.pack(len(parts[-1]), zlib.crc32(stretch)))
    tail = _ROW.pack(zlib.crc32(content), len(content))
    return b"".join([_BEGINS, *table, *parts, packer.flush(), tail])


def decompress(packed: bytes) -> bytes:
    """The content of a gzip file.

    Raises:
        IntegrityFailedError: it is none, or damaged.
    """
    try:
        return zlib.decompress(packed, _GZIP)
    except zlib.error as error:
        raise IntegrityFailedError(file="entries") from error


def _stretch(packed: bytes, number: int) -> bytes:
    table = packed[len(_BEGINS) : _HEAD_BYTES]
    start = _HEAD_BYTES
    try:
        rows = list(_ROW.iter_unpack(table))
        start += sum(length for length, _ in rows[:number])
        length, crc = rows[number]
        content = zlib.decompressobj(-15).decompress(packed[start : start + length])
    except (zlib.error, struct.error, IndexError) as error:
        raise IntegrityFailedError(file="entries") from error
    if zlib.crc32(content) != crc:
        raise IntegrityFailedError(file="entries")
    return content
