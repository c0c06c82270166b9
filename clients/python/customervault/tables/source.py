"""What the formats have in common: records, rejects, and their place in the file.

A `Position` is the byte offset of a record's first byte and the number of its first line, counted
from 1; reading can begin at any position that a source has given out.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from customervault.tables.errors import BrokenInputError as BrokenInputError
from customervault.tables.layout import Layout

MAX_RECORD_BYTES = 16 * 2**20
MAX_CELL_BYTES = 65_536
_MAX_EXTERNAL_ID_BYTES = 256
Made = TypeVar("Made", bound=tuple[Any, ...])
_JURISDICTION = re.compile("[A-Z]{2}\\Z")


class Position(NamedTuple):
    """Where a record begins."""

    offset: int
    line: int


class Record(NamedTuple):
    """One row that can be sent.

    Attributes:
        line: Its first line.
        after: Where the next record begins.
        external_id: The caller's own id of the customer.
        jurisdiction: Two letters, or empty.
        values: One for each column of the layout; empty where there is nothing to store.
        original: The row as it was read, for the copy.
    """

    line: int
    after: Position
    external_id: str
    jurisdiction: str
    values: Sequence[str]
    original: Any

    def __repr__(self) -> str:
        return f"<record of line {self.line}>"


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a row, or one of its cells if `column` names one, was refused. Never the content.

    Attributes:
        line: The first line of the row in its file, counted from 1.
        column: Empty for the row as a whole.
        reason: For programs.
        message: For people.
        row: The number of the row, counted from 1 without the heading.
    """

    line: int
    column: str
    reason: str
    message: str
    row: int = 0


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be sent; `original` is None where what was read cannot be told apart."""

    reject: Reject
    after: Position
    original: Any = None

    def __repr__(self) -> str:
        return f"<bad row of line {self.reject.line}>"


class BadRowError(Exception):
    """Raised while a row is read; becomes a `BadRow`."""

    def __init__(self, column: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.reason = reason

    def at(self, line: int, after: Position, original: Any = None) -> BadRow:
        """The row that it was."""
        return BadRow(Reject(line, self.column, self.reason, str(self)), after, original)


def broken_at(line: int) -> BrokenInputError:
    """The error of a record without an end that begins at `line`."""
    return BrokenInputError(
        f"line {line}: a record of more than {MAX_RECORD_BYTES // 2**20} MiB begins here; "
        "most likely a quote is never closed"
    )


class Finished(NamedTuple):
    """A row of the copy: the row that was read, and what takes the place of its cells.

    Attributes:
        original: As the source gave it out.
        customer_token: In place of the external id, where the layout says so.
        cells: In place of the cells of the layout's columns; empty where there is nothing.
    """

    original: Any
    customer_token: str
    cells: Sequence[str]

    def __repr__(self) -> str:
        return "<finished row>"


def maker(kind: type[Made]) -> Callable[[tuple[Any, ...]], Made]:
    """Makes a named tuple of all its fields, twice as fast as the type, which does it in Python."""
    return cast(Callable[[tuple[Any, ...]], Made], partial(tuple.__new__, kind))


position = maker(Position)
record = maker(Record)
finished = maker(Finished)


class Source(Protocol):
    """A table to be read from its beginning or from any position."""

    layout: Layout
    start: Position
    total: int  # the largest `offset` of a position

    def heading(self) -> bytes:
        """What the copy begins with."""

    def rows(self, at: Position) -> Iterator[Record | BadRow]:
        """The rows from `at` on."""

    def render(self, rows: Sequence[Finished]) -> bytes:
        """The rows of the copy."""


def checked_id(external_id: str, column: str) -> str:
    """The external id, which must be there and fit.

    Raises:
        BadRowError: It does not.
    """
    if not external_id.strip():
        raise BadRowError(column, "MISSING_ID", "the id of the customer is empty")
    if len(external_id) * 4 > _MAX_EXTERNAL_ID_BYTES and len(external_id.encode()) > _MAX_EXTERNAL_ID_BYTES:
        raise BadRowError(column, "LIMIT_EXCEEDED", f"an id has at most {_MAX_EXTERNAL_ID_BYTES} bytes")
    return external_id


def checked_row_jurisdiction(text: str, column: str) -> str:
    """A country code in capitals, or the empty text.

    Raises:
        BadRowError: It has another form.
    """
    code = text.strip().upper()
    if code and not _JURISDICTION.match(code):
        raise BadRowError(column, "INVALID_JURISDICTION", "not a country code of two letters")
    return code


def checked_value(text: str, column: str) -> str:
    """A value to store; one of nothing but white space counts as empty.

    Raises:
        BadRowError: It is too large.
    """
    if len(text) * 4 > MAX_CELL_BYTES and len(text.encode()) > MAX_CELL_BYTES:
        raise BadRowError(column, "LIMIT_EXCEEDED", f"a value has at most {MAX_CELL_BYTES} bytes")
    return text if text and not text.isspace() else ""


def checked_values(texts: Sequence[str], columns: Sequence[str]) -> list[str]:
    """`checked_value` of a row's cells; raises as that."""
    if sum(map(len, texts)) * 4 > MAX_CELL_BYTES:
        return [checked_value(text, column) for text, column in zip(texts, columns, strict=True)]
    return [text if text and not text.isspace() else "" for text in texts]
