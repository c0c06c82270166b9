"""Leaves of the sealed access log: which bytes are hashed. Big-endian.

    leaf      form u8 | length u8, worker | made_ms u48 | number u32 | offset u32 | content
    form      0 a whole record, 1 a record's first part, 2 a middle one, 3 its last
    content   the record's body as it stood in its frame (see `vault.audit.records`), or a part of it

- Worker, made_ms and number are those of the segment that the record was written to, and `offset` is where
  its frame began. So a record has one name for ever, `Place`, and each leaf says which one must follow it.
- An entry of a bundle has 65,535 bytes at most. A longer record takes several leaves, one after the other;
  all parts but the last are as long as they can be. It goes by the number of its first leaf.
- Where a segment was damaged, the sealer puts an act `AuditGap` of seq 0 in the place of what it cannot read.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from vault.audit.layout import SegmentName
from vault.audit.records import LOCATOR_BYTES, STAMP, MalformedRecordError, ReadRecord, Record, decode
from vault.tlog.tiles import MAX_ENTRY_BYTES

WHOLE: Final = 0
FIRST: Final = 1
MIDDLE: Final = 2
LAST: Final = 3
FULL_LENGTH: Final = MAX_ENTRY_BYTES.to_bytes(2, "big")  # stands before every part but the last
_STAMP_OFFSET = 2  # in a body; the same in records of every kind
_OFFSET_BYTES = 4
_NUMBERS_BYTES = 14  # made_ms, number and offset
_READ_HEAD = struct.Struct(">BBQQIIB")
_UNKNOWN_BYTES = 5
_ITEM_BYTES = 5


class Place(NamedTuple):
    """Where a record was written: the file name of its segment, and the offset of its frame."""

    segment: str
    offset: int


class Leaf(NamedTuple):
    """A leaf, taken apart."""

    form: int
    place: Place
    content: bytes


def segment_head(name: SegmentName) -> bytes:
    """The part of a leaf between form and offset."""
    worker = name.worker.encode()
    numbers = name.made_ms.to_bytes(6, "big") + name.number.to_bytes(4, "big")
    return bytes([len(worker)]) + worker + numbers


def leaves_of(head: bytes, offset: int, body: bytes) -> list[bytes]:
    """The leaves of one record."""
    middle = head + offset.to_bytes(_OFFSET_BYTES, "big")
    room = MAX_ENTRY_BYTES - 1 - len(middle)
    if len(body) <= room:
        return [b"\x00" + middle + body]
    parts = [body[at : at + room] for at in range(0, len(body), room)]
    forms = [FIRST, *[MIDDLE] * (len(parts) - 2), LAST]
    return [bytes([form]) + middle + part for form, part in zip(forms, parts, strict=True)]


def parse_leaf(entry: bytes) -> Leaf:
    """Takes a leaf apart.

    Raises:
        MalformedRecordError: it is none.
    """
    try:
        form, length = entry[0], entry[1]
        at = 2 + length
        worker = entry[2:at].decode("ascii")
        made_ms, number = (
            int.from_bytes(entry[at : at + 6], "big"),
            int.from_bytes(entry[at + 6 : at + 10], "big"),
        )
        offset, content = entry[at + 10 : at + 14], entry[at + 14 :]
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedRecordError("a leaf ends early") from error
    if form > LAST or len(offset) != _OFFSET_BYTES or not content:
        raise MalformedRecordError("a leaf of an unknown form")
    return Leaf(
        form, Place(str(SegmentName(worker, made_ms, number)), int.from_bytes(offset, "big")), content
    )


def content_of(entry: bytes) -> bytes:
    """The content of a leaf, nothing else of which is looked at."""
    return entry[2 + entry[1] + _NUMBERS_BYTES :]


def stamp_of(entry: bytes) -> tuple[int, int, int]:
    """seq, time_ms and principal of the record that a leaf, whole or a first part, holds."""
    return STAMP.unpack_from(entry, 2 + entry[1] + _NUMBERS_BYTES + _STAMP_OFFSET)


def locators_of(body: bytes) -> Sequence[bytes]:
    """The locators in a record's body, as they come.

    Raises:
        MalformedRecordError: it is no record.
    """
    uniform = _uniform_groups(body)
    if uniform is not None:
        return uniform
    record: Record = decode(body)
    if isinstance(record, ReadRecord):
        return [group.locator for group in record.groups]
    return record.locators


def _uniform_groups(body: bytes) -> list[bytes] | None:
    """The locators of a READ whose customers have equally many items each, as most have; else None."""
    if len(body) < _READ_HEAD.size or body[0] != ord("R"):
        return None
    start = _READ_HEAD.size + _UNKNOWN_BYTES * body[_READ_HEAD.size - 1]
    count = body[start + LOCATOR_BYTES : start + LOCATOR_BYTES + 2]
    if len(count) != 2:
        return None
    groups = struct.Struct(f">16s2s{_ITEM_BYTES * int.from_bytes(count, 'big')}x")
    if (len(body) - start) % groups.size:
        return None
    locators, counts = zip(*groups.iter_unpack(memoryview(body)[start:]), strict=True)
    return list(locators) if counts.count(count) == len(counts) else None
