"""The segments of a directory, as a reader finds them beside their writers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.layout import (
    FOREVER_MS,
    HEADER_BYTES,
    ClosingPart,
    SegmentName,
    Span,
    parse_closing,
    segments_in,
    walk,
)
from vault.audit.records import FRAME
from vault.audit.sealed.state import Sealed
from vault.errors import AuditUnavailableError

UNSEALED: Final = Sealed()


class SegmentGoneError(AuditUnavailableError):
    """A segment was sealed and removed after it was listed: look again."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment file, its first bytes, and the closing part of its header, if that is whole."""

    name: SegmentName
    path: Path
    header: bytes
    closing: ClosingPart | None

    @property
    def is_spare(self) -> bool:
        """Whether it is preallocated and not begun: neither a header nor a first frame."""
        return not any(self.header)

    @property
    def is_final(self) -> bool:
        """Whether nothing is written to it any more."""
        return self.closing is not None and self.closing.is_final

    @property
    def first_ms(self) -> int:
        """No record is older."""
        return self.closing.first_ms if self.closing is not None and self.is_final else 0

    @property
    def last_ms(self) -> int:
        """No record is newer."""
        return self.closing.last_ms if self.closing is not None and self.is_final else FOREVER_MS

    def load(self, start: int = 0) -> bytes:
        """The file, from an offset on.

        Raises:
            SegmentGoneError: it was sealed and removed meanwhile.
            AuditUnavailableError: it cannot be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                return file.read()
        except FileNotFoundError:
            raise SegmentGoneError("a segment was sealed meanwhile") from None
        except OSError as error:
            raise _unreadable() from error

    def frames(self, start: int) -> tuple[bytes, list[Span]]:
        """Its bytes from a frame's start on, and the frames and damage in them, but for a torn tail.

        Raises:
            SegmentGoneError, AuditUnavailableError: see `load`.
        """
        data = self.load(start)
        spans = list(walk(data, 0))
        if spans and not spans[-1].valid and not self.is_final:
            spans.pop()
        return data, spans

    def spans(self, data: bytes, sealed: Sealed = UNSEALED) -> list[Span]:
        """Its frames and damage that are not sealed, without a torn tail that may still be on its way."""
        if sealed.done:
            return []
        spans = [span for span in walk(data) if span.start >= sealed.offset]
        if spans and not spans[-1].valid and not self.is_final:
            spans.pop()
        return spans


def open_directory(directory: Path) -> list[Segment]:
    """Every segment of a directory, by worker and number.

    Raises:
        AuditUnavailableError: the directory or a file in it cannot be read.
    """
    found = []
    try:
        for name, path in segments_in(directory):
            try:
                with path.open("rb", buffering=0) as file:
                    header = file.read(HEADER_BYTES + FRAME.size)
            except FileNotFoundError:  # an empty spare, given back meanwhile
                continue
            found.append(Segment(name, path, header, parse_closing(header)))
    except OSError as error:
        raise _unreadable() from error
    return found


def _unreadable() -> AuditUnavailableError:
    return AuditUnavailableError("the access log cannot be read")
