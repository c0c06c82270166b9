"""Of whom a principal was shown a value: the locators of its reads, out of the whole log."""

from pathlib import Path

from vault.audit.layout import Span
from vault.audit.reader import Segment, open_directory
from vault.audit.records import (
    FRAME,
    MASKED,
    PLAIN,
    STAMP,
    STAMP_OFFSET,
    MalformedRecordError,
    ReadRecord,
    decode,
)


def locators_read(directory: Path, principal_id: int, start_ms: int, end_ms: int) -> set[bytes]:
    """The locators of every customer of whom a value was revealed to a principal, in plain or masked.

    Args:
        directory: the log's.
        principal_id: the registered principal's.
        start_ms: inclusive, milliseconds since 1970.
        end_ms: exclusive.

    Raises:
        AuditUnavailableError: the directory or a segment cannot be read.
    """
    found: set[bytes] = set()
    for segment in open_directory(directory):
        if not segment.is_spare and segment.first_ms < end_ms and segment.last_ms >= start_ms:
            _look_through(segment, principal_id, start_ms, end_ms, found)
    return found


def _look_through(segment: Segment, principal_id: int, start_ms: int, end_ms: int, found: set[bytes]) -> None:
    data = segment.load()
    for span in segment.spans(data):
        if not span.valid:
            continue
        _, time_ms, its = STAMP.unpack_from(data, span.start + STAMP_OFFSET)
        if its == principal_id and start_ms <= time_ms < end_ms:
            found.update(_revealed(data, span))


def _revealed(data: bytes, span: Span) -> list[bytes]:
    try:
        record = decode(data[span.start + FRAME.size : span.end])
    except MalformedRecordError:
        return []
    if not isinstance(record, ReadRecord):
        return []
    return [group.locator for group in record.groups if PLAIN in group.outcomes or MASKED in group.outcomes]
