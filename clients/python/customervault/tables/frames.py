"""A pandas frame as a table: read in place, its columns replaced in a copy."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from customervault.tables.errors import TableError
from customervault.tables.journal import Progress
from customervault.tables.layout import bind
from customervault.tables.plan import Plan, TokenColumns
from customervault.tables.source import (
    BadRow,
    BadRowError,
    Finished,
    Position,
    Record,
    Reject,
    checked_id,
    checked_row_jurisdiction,
    checked_value,
)
from customervault.tables.tally import Tally


class FrameSource:
    """A frame. What `render` is given is gathered, for `finished`."""

    def __init__(self, frame: Any, plan: Plan | TokenColumns) -> None:
        """Looks at the columns.

        Raises:
            TableError: They do not fit the plan, or two have one name.
        """
        names = list(frame.columns)
        if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
            raise TableError("the columns of the frame need names, each its own")
        self._frame = frame
        self.layout = bind(plan, names)
        self.start = Position(0, 0)
        self.total = len(frame)
        read = {*self.layout.columns, self.layout.id_column, self.layout.jurisdiction_column} - {""}
        self._cells = {name: frame[name].tolist() for name in read}
        self._missing = {name: frame[name].isna().tolist() for name in read}
        self._new: dict[str, list[str | None]] = {name: [] for name in self.layout.columns}
        self._ids: list[str | None] = []

    def heading(self) -> bytes:
        """A frame has none."""
        return b""

    def rows(self, at: Position) -> Iterator[Record | BadRow]:
        """The rows from `at` on."""
        for index in range(at.offset, self.total):
            after = Position(index + 1, index + 1)
            try:
                yield self._record(index, after)
            except BadRowError as bad:
                yield bad.at(index + 1, after, index)

    def render(self, rows: Sequence[Finished]) -> bytes:
        """Gathers the rows; there is nothing to write."""
        for row in rows:
            for name, cell in zip(self.layout.columns, row.cells, strict=True):
                self._new[name].append(None if self._missing[name][row.original] else cell)
            self._ids.append(row.customer_token or None)
        return b""

    def finished(self) -> Any:
        """A copy of the frame with the new columns; the index stays."""
        new: dict[str, list[str | None]] = dict(self._new)
        if self.layout.tokenize_id:
            new[self.layout.id_column] = self._ids
        kept = [name for name in self._frame.columns if name not in self.layout.dropped]
        copied = self._frame[kept].copy()
        for name, cells in new.items():
            copied[name] = cells
        return copied

    def _record(self, index: int, after: Position) -> Record:
        layout = self.layout
        code = layout.jurisdiction
        if layout.jurisdiction_column:
            column = layout.jurisdiction_column
            code = checked_row_jurisdiction(self._text(column, index), column)
        id_column = layout.id_column
        return Record(
            line=index + 1,
            after=after,
            external_id=checked_id(self._text(id_column, index), id_column) if id_column else "",
            jurisdiction=code,
            values=[checked_value(self._text(name, index), name) for name in layout.columns],
            original=index,
        )

    def _text(self, name: str, index: int) -> str:
        if self._missing[name][index]:
            return ""
        value = self._cells[name][index]
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise BadRowError(name, "NOT_TEXT", "has to be text, a whole number or missing")


class InMemory:
    """Remembers progress and rejects of a job that cannot be resumed."""

    def __init__(self, start: Position) -> None:
        self.progress = Progress(0, start, Tally())
        self.rejects: list[Reject] = []

    def append(self, rows: bytes, rejects: Iterable[Reject], progress: Progress) -> None:
        """Records one acknowledged batch."""
        del rows  # gathered by the source
        self.rejects += rejects
        self.progress = progress

    def save(self) -> None:
        """There is nothing that could survive."""
