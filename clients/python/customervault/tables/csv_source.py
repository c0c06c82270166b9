"""CSV, as it comes: byte order marks, CRLF, line breaks in quotes, and files that are broken.

Rules:
- The file is read by physical lines, split at LF bytes only, so that the byte offset of every record
  is known; the csv module joins the lines of a quoted cell.
- Parsing never stops in the middle of a record: whatever is wrong with it, the next record begins
  where the csv module says, so that a cell's content cannot pose as a row. Bytes that do not decode
  and stray carriage returns are carried through as lone surrogates and judged afterwards.
- A record beyond 16 MiB ends the import: its quote is most likely never closed.
- Cells are data. One that looks like a formula is stored and copied as it is.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from customervault.tables.errors import TableError
from customervault.tables.layout import bind
from customervault.tables.plan import Plan, TokenColumns
from customervault.tables.source import (
    MAX_RECORD_BYTES,
    BadRow,
    BadRowError,
    Finished,
    Position,
    Record,
    broken_at,
    checked_id,
    checked_row_jurisdiction,
    checked_values,
    position,
    record,
)

_BOM = b"\xef\xbb\xbf"
_STRAY_RETURN = re.compile("\r(?!\n|\\Z)")
_RETURN_MARK = "\udc0d"  # no decoder makes it: escaped bytes are U+DC80 and above
_MAX_COLUMNS = 4096
_BUFFER_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","


class CsvSource:
    """A CSV file with one heading row."""

    def __init__(self, path: Path, plan: Plan | TokenColumns, dialect: Dialect) -> None:
        """Reads the heading.

        Raises:
            TableError: The file is empty, its heading is unusable or does not fit the plan.
        """
        self._path = path
        self._encoding = _checked_encoding(dialect.encoding)
        self._delimiter = _checked_delimiter(dialect.delimiter)
        csv.field_size_limit(MAX_RECORD_BYTES)
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            self._marked = self._encoding in {"utf-8", "utf-8-sig"} and file.read(3) == _BOM
            begin = len(_BOM) if self._marked else 0
            file.seek(begin)
            feed = _Feed(file, Position(begin, 1), self._encoding)
            header = next((row for row in self._reader(feed) if row), None)
        if header is None:
            raise TableError(f"{path} is empty: not even a heading")
        _check_header(header, feed)
        self._line_end = "\r\n" if feed.ends_with_crlf else "\n"
        self._header = header
        self.start = feed.position
        self.layout = bind(plan, header)
        place = {name: index for index, name in enumerate(header)}
        self._id = place.get(self.layout.id_column, -1)
        self.total = path.stat().st_size
        self._stored = [place[name] for name in self.layout.columns]
        self._jurisdiction = place.get(self.layout.jurisdiction_column, -1)
        self._copied = [index for index, name in enumerate(header) if name not in self.layout.dropped]
        self._finish = self._finishing(len(header))

    def heading(self) -> bytes:
        """The heading row of the copy, with the byte order mark that the file had."""
        return (_BOM if self._marked else b"") + self._written(
            [[self._header[index] for index in self._copied]]
        )

    def rows(self, at: Position) -> Iterator[Record | BadRow]:
        """The rows from `at` on.

        Raises:
            BrokenInputError: The end of a record was not found.
        """
        with self._path.open("rb", buffering=_BUFFER_BYTES) as file:
            file.seek(at.offset)
            feed = _Feed(file, at, self._encoding)
            for row in self._reader(feed):
                line, after = feed.first_line, feed.position
                original = None
                try:
                    feed.check(row, len(self._header))
                    original = row
                    if row:
                        yield self._record(row, line, after)
                except BadRowError as bad:
                    yield bad.at(line, after, original)
                feed.begin_record()

    def render(self, rows: Sequence[Finished]) -> bytes:
        """The rows with other cells in place of those of the layout's columns."""
        finish = self._finish
        return self._written(
            [finish([*original, customer_token, *cells]) for original, customer_token, cells in rows]
        )

    def _finishing(self, width: int) -> Callable[[list[str]], Sequence[str]]:
        """Makes a row of the copy of cells read, customer's token and cells stored, one after the other."""
        found = list(range(width))
        if self.layout.tokenize_id:
            found[self._id] = width
        for number, index in enumerate(self._stored):
            found[index] = width + 1 + number
        chosen = [found[index] for index in self._copied]
        if len(chosen) == 1:  # of a single one, `itemgetter` gives no sequence
            return lambda cells: [cells[chosen[0]]]
        return itemgetter(*chosen)

    def _record(self, row: list[str], line: int, after: Position) -> Record:
        layout = self.layout
        code = layout.jurisdiction
        if self._jurisdiction >= 0:
            code = checked_row_jurisdiction(row[self._jurisdiction], layout.jurisdiction_column)
        external_id = checked_id(row[self._id], layout.id_column) if self._id >= 0 else ""
        values = checked_values([row[index] for index in self._stored], layout.columns)
        return record((line, after, external_id, code, values, row))

    def _reader(self, feed: "_Feed") -> Iterator[list[str]]:
        # Not strict: a strict parser gives up inside a record and takes its rest for the next one.
        return csv.reader(feed, delimiter=self._delimiter, strict=False)

    def _written(self, rows: Sequence[Sequence[str]]) -> bytes:
        # The csv module quotes a carriage return only when it is part of the line's end.
        lines = _Lines()
        csv.writer(lines, delimiter=self._delimiter, lineterminator="\r\n").writerows(rows)
        end = self._line_end
        return "".join([line[:-2] + end for line in lines.lines]).encode(self._encoding)


class _Lines:
    """What the csv module writes, row by row."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.write = self.lines.append


class _Feed:
    """Hands decoded lines to the csv module and remembers what was wrong with those of one record."""

    def __init__(self, file: BinaryIO, at: Position, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self._offset = at.offset
        self._next_line = at.line
        self.ends_with_crlf = False
        self.begin_record()

    @property
    def position(self) -> Position:
        """Where the next line begins."""
        return position((self._offset, self._next_line))

    def begin_record(self) -> None:
        """What comes next belongs to another record."""
        self.first_line = self._next_line
        self._bytes = 0
        self._undecodable = self._null = self._unclosed = self.stray_returns = False

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_RECORD_BYTES + 1)
        if not raw:
            self._unclosed = self._bytes > 0  # the csv module asks for more only inside quotes
            raise StopIteration
        self._offset += len(raw)
        self._next_line += 1
        self._bytes += len(raw)
        if self._bytes > MAX_RECORD_BYTES:
            raise broken_at(self.first_line)
        self.ends_with_crlf = raw.endswith(b"\r\n")
        if b"\0" in raw:
            self._null = True
        try:
            line = raw.decode(self._encoding)
        except UnicodeDecodeError:
            self._undecodable = True
            line = raw.decode(self._encoding, "surrogateescape")
        first = line.find("\r")
        if first >= 0 and (first != len(line) - 2 or line[-1] != "\n"):
            line, strays = _STRAY_RETURN.subn(_RETURN_MARK, line)
            self.stray_returns = self.stray_returns or strays > 0
        return line

    def check(self, row: list[str], width: int) -> None:
        """Judges the record that was just read, and puts its carriage returns back.

        Raises:
            BadRowError: It cannot be trusted.
        """
        if self._undecodable:
            raise BadRowError("", "INVALID_ENCODING", f"not valid {self._encoding}")
        if self._null:
            raise BadRowError("", "NUL_BYTE", "a NUL byte")
        if self._unclosed:
            raise BadRowError("", "UNCLOSED_QUOTE", "the file ends inside quotes")
        if row and len(row) != width:
            raise BadRowError("", "RAGGED_ROW", f"{len(row)} cells where the heading has {width}")
        if self.stray_returns:
            row[:] = [cell.replace(_RETURN_MARK, "\r") for cell in row]


def _check_header(header: list[str], feed: _Feed) -> None:
    if feed.stray_returns and any(_RETURN_MARK in name for name in header):
        raise TableError("the lines of the file end in a lone carriage return; convert them to LF or CRLF")
    try:
        feed.check(header, len(header))
    except BadRowError as bad:
        raise TableError(f"the heading is unusable: {bad}") from bad
    if len(header) > _MAX_COLUMNS:
        raise TableError(f"the heading has {len(header)} columns; the limit is {_MAX_COLUMNS}")
    seen: set[str] = set()
    for index, name in enumerate(header, 1):
        if name in seen:
            shown = repr(name[:64]) if name else "without a name"
            raise TableError(f"two columns {shown}; the second is number {index}")
        seen.add(name)


def _checked_encoding(name: str) -> str:
    try:
        fits = "a,\"'\r\n0".encode(name) == b"a,\"'\r\n0" and not re.match(r"(?i)utf.?7|hz|iso.?2022", name)
    except (LookupError, UnicodeError, ValueError):
        fits = False
    if not fits:
        raise TableError(
            f"--encoding {name!r}: not an encoding that extends ASCII; convert the file to UTF-8"
        )
    return "utf-8" if name.lower().replace("_", "-") in {"utf8", "utf-8", "utf-8-sig"} else name


def _checked_delimiter(text: str) -> str:
    delimiter = "\t" if text in {"\\t", "tab"} else text
    if len(delimiter) != 1 or delimiter in '"\r\n\0' or not delimiter.isascii():
        raise TableError("--delimiter is one character, or tab")
    return delimiter
