"""JSON Lines: one object a line, its keys are the columns.

Rules:
- UTF-8 only, as RFC 8259 demands. An object with a key twice is refused: one of the two would vanish.
- A mapped value is text, a whole number, or null. Anything else would have to be guessed at.
- Objects need not have all keys. The first 1,000 rows show which columns there are; a key that
  appears only later is refused row by row, unless unmapped columns are kept or dropped.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from customervault.tables.errors import TableError
from customervault.tables.layout import bind
from customervault.tables.plan import Plan, TokenColumns, Unmapped
from customervault.tables.source import (
    MAX_RECORD_BYTES,
    BadRow,
    BadRowError,
    Finished,
    Position,
    Record,
    checked_id,
    checked_row_jurisdiction,
    checked_value,
)

_BOM = b"\xef\xbb\xbf"
_TOO_LONG = BadRowError("", "LIMIT_EXCEEDED", f"a row has at most {MAX_RECORD_BYTES} bytes")
_NOT_JSON = BadRowError("", "INVALID_JSON", "not a JSON object on one line")
_SAMPLE_ROWS = 1000
_BUFFER_BYTES = 2**18


class JsonlSource:
    """A file of JSON objects."""

    def __init__(self, path: Path, plan: Plan | TokenColumns) -> None:
        """Looks at the first rows.

        Raises:
            TableError: The file holds no object, or its columns do not fit the plan.
        """
        self._path = path
        self.total = path.stat().st_size
        with path.open("rb") as file:
            self.start = Position(len(_BOM) if file.read(3) == _BOM else 0, 1)
        columns: dict[str, None] = {}
        for _, _, row in islice(self._objects(self.start), _SAMPLE_ROWS):
            if not isinstance(row, BadRowError):
                columns.update(dict.fromkeys(row))
        if not columns:
            raise TableError(f"{path} holds no JSON object")
        self.layout = bind(plan, list(columns))

    def heading(self) -> bytes:
        """JSON Lines have none."""
        return b""

    def rows(self, at: Position) -> Iterator[Record | BadRow]:
        """The rows from `at` on."""
        for line, after, row in self._objects(at):
            original = None
            try:
                if isinstance(row, BadRowError):
                    raise row
                self._check_keys(row)
                original = row
                yield self._record(row, line, after)
            except BadRowError as bad:
                yield bad.at(line, after, original)

    def render(self, rows: Sequence[Finished]) -> bytes:
        """The objects with other values of the layout's columns; where there is nothing, empty text."""
        return b"".join([self._rendered(row) for row in rows])

    def _rendered(self, finished: Finished) -> bytes:
        layout = self.layout
        row: dict[str, Any] = dict(finished.original)
        if layout.tokenize_id:
            row[layout.id_column] = finished.customer_token
        for name, cell in zip(layout.columns, finished.cells, strict=True):
            if row.get(name) is not None:
                row[name] = cell
        if layout.unmapped is Unmapped.DROP:
            stay = layout.known - layout.dropped
            row = {name: value for name, value in row.items() if name in stay}
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

    def _objects(self, at: Position) -> Iterator[tuple[int, Position, dict[str, Any] | BadRowError]]:
        offset, line = at.offset, at.line
        with self._path.open("rb", buffering=_BUFFER_BYTES) as file:
            file.seek(offset)
            while raw := file.readline(MAX_RECORD_BYTES + 1):
                too_long = len(raw) > MAX_RECORD_BYTES
                offset += len(raw) + (_skip_line(file) if too_long and raw[-1:] != b"\n" else 0)
                line += 1
                if raw.isspace():
                    continue
                yield line - 1, Position(offset, line), _TOO_LONG if too_long else _parse(raw)

    def _check_keys(self, row: dict[str, Any]) -> None:
        if self.layout.unmapped is Unmapped.REFUSE and not row.keys() <= self.layout.known:
            # The name of an unknown key is content here, so the message does not repeat it.
            raise BadRowError("", "UNMAPPED_COLUMN", "a key that no earlier row had is not mapped")

    def _record(self, row: dict[str, Any], line: int, after: Position) -> Record:
        layout = self.layout
        code, id_column = layout.jurisdiction, layout.id_column
        if layout.jurisdiction_column:
            column = layout.jurisdiction_column
            code = checked_row_jurisdiction(_text(row, column), column)
        return Record(
            line=line,
            after=after,
            external_id=checked_id(_text(row, id_column), id_column) if id_column else "",
            jurisdiction=code,
            values=[checked_value(_text(row, name), name) for name in layout.columns],
            original=row,
        )


def _parse(raw: bytes) -> dict[str, Any] | BadRowError:
    try:
        row = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in raw:
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is not text
    except UnicodeError:
        return BadRowError("", "INVALID_ENCODING", "not valid UTF-8")
    except BadRowError as bad:
        return bad
    except (ValueError, RecursionError):
        return _NOT_JSON
    return row if isinstance(row, dict) else _NOT_JSON


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise BadRowError("", "DUPLICATE_KEY", "a key stands there twice")
    return row


def _no_constant(_: str) -> None:
    raise ValueError("not JSON")


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name, "")
    if isinstance(value, str):
        if "\0" in value:
            raise BadRowError(name, "NUL_BYTE", "a NUL byte")
        return value
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRowError(name, "NOT_TEXT", "has to be text, a whole number or null")


def _skip_line(file: BinaryIO) -> int:
    """Reads to the end of the line; returns how many bytes that were."""
    skipped = 0
    while chunk := file.readline(2**20):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped
