"""Parquet, read page by page and written at the end.

Rules:
- A Parquet file cannot be read before its footer is there, so rows are gathered first: the copy of the
  journal, `OUT.rows`, is a sequence of Arrow IPC streams of a batch each, which can be cut at any of
  them. When the last row is there, they become `OUT` in one pass, by rename.
- A position's offset and line are the number of the row. Row groups before it are not read.
- Columns that are not mapped keep their types and values to the bit. Mapped ones have to be text, whole
  numbers or dates (then ISO 8601), and become text; a null stays a null.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from customervault.tables.errors import TableError
from customervault.tables.journal import sync_folder
from customervault.tables.layout import bind
from customervault.tables.plan import Plan, TokenColumns, Unmapped
from customervault.tables.source import (
    BadRow,
    BadRowError,
    Finished,
    Position,
    Record,
    checked_id,
    checked_row_jurisdiction,
    checked_value,
)

_READ_ROWS = 1024
_BUFFER_BYTES = 2**18
_GROUP_ROWS = 32_768
_COMPRESSION = "zstd"


class ParquetSource:
    """A Parquet file."""

    def __init__(self, path: Path, plan: Plan | TokenColumns) -> None:
        """Reads the footer.

        Raises:
            TableError: pyarrow is missing, the file is no Parquet, or its columns do not fit the plan.
        """
        self._arrow, self._parquet = _libraries()
        self._path = path
        try:
            with self._open() as file:
                schema, self.total = file.schema_arrow, file.metadata.num_rows
        except self._arrow.ArrowInvalid:
            raise TableError(f"{path} is not a Parquet file") from None
        if len(set(schema.names)) != len(schema.names):
            raise TableError(f"{path} has two columns of one name")
        self.start = Position(0, 0)
        self.layout = bind(plan, schema.names)
        self._read = {*self.layout.columns, self.layout.id_column, self.layout.jurisdiction_column} - {""}
        for name in sorted(self._read):
            self._check_type(name, schema.field(name).type)
        self._replaced = {*self.layout.columns}
        if self.layout.tokenize_id:
            self._replaced.add(self.layout.id_column)
        self._schema = self._arrow.schema(
            [
                self._text_field(field) if field.name in self._replaced else field
                for field in schema
                if field.name not in self.layout.dropped
            ],
            # It may describe columns (pandas does), and is free text: not where columns were dropped.
            metadata=None if self.layout.unmapped is Unmapped.DROP else schema.metadata,
        )

    def heading(self) -> bytes:
        """The streams of rows begin at once."""
        return b""

    def rows(self, at: Position) -> Iterator[Record | BadRow]:
        """The rows from `at` on."""
        for number, batch in self._batches(at.offset):
            cells = {name: batch.column(name).to_pylist() for name in self._read}
            for index in range(batch.num_rows):
                line = number + index + 1
                after = Position(line, line)
                try:
                    yield self._record(cells, index, after, batch)
                except BadRowError as bad:
                    yield bad.at(line, after, (batch, index))

    def render(self, rows: Sequence[Finished]) -> bytes:
        """The rows as one IPC stream."""
        if not rows:
            return b""
        arrow, layout = self._arrow, self.layout
        texts: dict[str, list[str | None]] = {name: [] for name in self._replaced}
        pieces = []
        for batch, finished in _runs(rows):
            first, last = finished[0].original[1], finished[-1].original[1]
            piece = batch.slice(first, last - first + 1)
            if piece.num_rows != len(finished):  # rows between them were left out
                piece = batch.take([row.original[1] for row in finished])
            pieces.append(piece)
            for place, name in enumerate(layout.columns):
                present = piece.column(name).is_valid().to_pylist()
                texts[name] += [
                    row.cells[place] if valid else None for row, valid in zip(finished, present, strict=True)
                ]
            if layout.tokenize_id:
                texts[layout.id_column] = [
                    *texts[layout.id_column],
                    *(row.customer_token or None for row in finished),
                ]
        whole = arrow.Table.from_batches(pieces)
        columns = [
            arrow.array(texts[field.name], field.type) if field.name in texts else whole.column(field.name)
            for field in self._schema
        ]
        table = arrow.Table.from_arrays(columns, schema=self._schema)
        sink = arrow.BufferOutputStream()
        options = arrow.ipc.IpcWriteOptions(compression=_COMPRESSION, unify_dictionaries=True)
        with arrow.ipc.new_stream(sink, self._schema, options=options) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def complete(self, gathered: Path, out: Path, mode: int) -> None:
        """Makes the Parquet file `out` of the streams in `gathered`."""
        temporary = out.with_name(out.name + ".new")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode)
        with self._parquet.ParquetWriter(temporary, self._schema, compression=_COMPRESSION) as writer:
            waiting: list[Any] = []
            for table in self._streams(gathered):
                waiting.append(table)
                if sum(each.num_rows for each in waiting) >= _GROUP_ROWS:
                    writer.write_table(self._arrow.concat_tables(waiting), _GROUP_ROWS)
                    waiting = []
            if waiting:
                writer.write_table(self._arrow.concat_tables(waiting), _GROUP_ROWS)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(out)
        sync_folder(out.parent)

    def _streams(self, gathered: Path) -> Iterator[Any]:
        with self._arrow.OSFile(str(gathered)) as file:
            while file.tell() < file.size():
                with self._arrow.ipc.open_stream(file) as reader:
                    yield reader.read_all()

    def _batches(self, begin: int) -> Iterator[tuple[int, Any]]:
        """Batches from row `begin` on, each with the number of its first row."""
        with self._open() as file:
            number = 0
            groups: list[int] = []
            for group in range(file.metadata.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if not groups and number + size <= begin:
                    number += size
                else:
                    groups.append(group)
            batches = file.iter_batches(_READ_ROWS, row_groups=groups, use_threads=False) if groups else ()
            for batch in batches:
                past = max(0, min(begin - number, batch.num_rows))
                if past < batch.num_rows:
                    yield number + past, batch.slice(past)
                number += batch.num_rows

    def _open(self) -> Any:
        # Buffered and not read ahead: memory then does not grow with the size of a row group.
        return self._parquet.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False)

    def _record(self, cells: dict[str, list[Any]], index: int, after: Position, batch: Any) -> Record:
        layout = self.layout
        code = layout.jurisdiction
        if layout.jurisdiction_column:
            column = layout.jurisdiction_column
            code = checked_row_jurisdiction(_text(cells[column][index], column), column)
        id_column = layout.id_column
        return Record(
            line=after.line,
            after=after,
            external_id=checked_id(_text(cells[id_column][index], id_column), id_column) if id_column else "",
            jurisdiction=code,
            values=[checked_value(_text(cells[name][index], name), name) for name in layout.columns],
            original=(batch, index),
        )

    def _check_type(self, name: str, kind: Any) -> None:
        types = self._arrow.types
        if types.is_dictionary(kind):
            kind = kind.value_type
        known = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer,
                 types.is_date, types.is_null)  # fmt: skip
        if not any(is_kind(kind) for is_kind in known):
            raise TableError(
                f"the column {name!r} is of type {kind}; it has to be text, whole numbers or dates"
            )

    def _text_field(self, field: Any) -> Any:
        keeps = self._arrow.types.is_large_string(field.type)
        kind = field.type if keeps else self._arrow.string()
        return self._arrow.field(field.name, kind, nullable=True)


def _libraries() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.ipc
        import pyarrow.parquet as pq
    except ImportError as error:
        raise TableError("Parquet needs pyarrow: install the extra customer-vault-client[tables]") from error
    return pa, pq


def _runs(rows: Sequence[Finished]) -> Iterator[tuple[Any, list[Finished]]]:
    """Consecutive rows of one batch."""
    batch = rows[0].original[0]
    run: list[Finished] = []
    for row in rows:
        if row.original[0] is not batch:
            yield batch, run
            batch, run = row.original[0], []
        run.append(row)
    yield batch, run


def _text(value: Any, column: str) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if "\0" in text:
        raise BadRowError(column, "NUL_BYTE", "a NUL byte")
    return text
