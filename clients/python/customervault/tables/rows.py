"""Rows as requests of `BatchTokenize`, and its answers as rows.

Rules:
- A row is written as it goes over the wire (protobuf.dev/programming-guides/encoding), without an object for
  each cell: what does not change from row to row of a column is made once. What was written is read back as a
  message before it is sent, so it says what protobuf reads in it.
- Requests are split as those of `Vault.tokenize_many` are, so that a batch that is repeated repeats them.
- An answer is read in `row_answers`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from customervault import _convert
from customervault._exchange import Exchange, Request, request_id_of_batch
from customervault._exchanges.tokens import BATCH_BYTES, BATCH_TOKENIZE
from customervault.tables.plan import Place
from customervault.tables.row_answers import Answer, stored_rows
from customervault.tables.source import Record
from customervault.tables.target import StoredRow
from customervault.v1 import common_pb2, token_service_pb2

# Tags: field number << 3 | 2, the wire type of everything that has a length.
_ENTRY: Final = bytes((token_service_pb2.BatchTokenizeRequest.ENTRIES_FIELD_NUMBER << 3 | 2,))
_CUSTOMER: Final = bytes((token_service_pb2.TokenizeEntry.CUSTOMER_FIELD_NUMBER << 3 | 2,))
_FIELD: Final = bytes((token_service_pb2.TokenizeEntry.FIELDS_FIELD_NUMBER << 3 | 2,))
_JURISDICTION: Final = bytes((token_service_pb2.TokenizeEntry.JURISDICTION_FIELD_NUMBER << 3 | 2,))
_EXTERNAL_ID: Final = bytes((common_pb2.CustomerRef.EXTERNAL_ID_FIELD_NUMBER << 3 | 2,))
_VALUE: Final = bytes((common_pb2.FieldInput.VALUE_FIELD_NUMBER << 3 | 2,))
_SHORT: Final = 128  # bytes of a value, for which the bytes before it are made once
_APART: Final = "\0"


def row_exchanges(
    records: Sequence[Record], places: Sequence[Place], *, domain: str, request_id: str, max_batch: int
) -> Iterator[Exchange[list[StoredRow]]]:
    """Stores rows; one exchange for each request. Empty cells are not sent."""
    for number, (entries, sent) in enumerate(_split(records, places, max_batch)):
        message = token_service_pb2.BatchTokenizeRequest(
            domain=domain, request_id=request_id_of_batch(request_id, number), mode=_convert.batch_mode(False)
        )
        message.MergeFromString(b"".join(entries))
        yield _exchange(message, sent)


class _Column:
    """What goes before each value of a column: tag and length, field class and label, tag and length."""

    __slots__ = ("_before", "_common")

    def __init__(self, place: Place) -> None:
        field = common_pb2.FieldInput(field_class=place.field_class, label=place.label)
        self._common = field.SerializeToString() + _VALUE
        self._before = [self._before_long(size) for size in range(_SHORT)]

    def written(self, values: Sequence[str]) -> list[bytes]:
        """The fields that values become; of an empty value nothing."""
        before, before_long = self._before, self._before_long
        return [
            (before[size] if size < _SHORT else before_long(size)) + text if (size := len(text)) else b""
            for text in _encoded(values)
        ]

    def _before_long(self, size: int) -> bytes:
        """Before a value of any size."""
        inner = self._common + _varint(size)
        return _FIELD + _varint(len(inner) + size) + inner


@lru_cache(maxsize=256)
def _column(place: Place) -> _Column:
    return _Column(place)


def _encoded(values: Sequence[str]) -> list[bytes]:
    """Each value in UTF-8, all of them at once if none holds NUL."""
    texts = _APART.join(values).encode().split(b"\0")
    return texts if len(texts) == len(values) else [value.encode() for value in values]


def _split(
    records: Sequence[Record], places: Sequence[Place], max_batch: int
) -> Iterator[tuple[list[bytes], list[Record]]]:
    """The entries of each request, and the rows that they stand for."""
    entries, sent = list[bytes](), list[Record]()
    values = size = 0
    if not records:
        return
    columns = zip(*[each.values for each in records], strict=True)
    written = [_column(place).written(column) for place, column in zip(places, columns, strict=True)]
    rows = zip(records, _customers(records), zip(*written, strict=True), strict=True)
    for record, customer, fields in rows:
        entry = b"".join((customer, *fields))
        entry_values, entry_bytes = max(1, len(fields) - fields.count(b"")), len(entry)
        values += entry_values
        size += entry_bytes
        if sent and (values > max_batch or size > BATCH_BYTES):
            yield entries, sent
            entries, sent, values, size = [], [], entry_values, entry_bytes
        entries.append(_before_entry(entry_bytes) + entry)
        sent.append(record)
    if sent:
        yield entries, sent


def _customers(records: Sequence[Record]) -> list[bytes]:
    """How the entry of each row begins."""
    external_ids = _encoded([each.external_id for each in records])
    begun = [_before_id(len(external_id)) + external_id for external_id in external_ids]
    if not any(each.jurisdiction for each in records):
        return begun
    return [begin + _jurisdiction(each.jurisdiction) for begin, each in zip(begun, records, strict=True)]


@lru_cache(maxsize=1024)
def _before_id(size: int) -> bytes:
    """What goes before an external id."""
    inner = _EXTERNAL_ID + _varint(size)
    return _CUSTOMER + _varint(len(inner) + size) + inner


@lru_cache(maxsize=1024)
def _jurisdiction(text: str) -> bytes:
    code = text.encode()
    return _JURISDICTION + _varint(len(code)) + code if code else b""


@lru_cache(maxsize=1024)
def _before_entry(size: int) -> bytes:
    return _ENTRY + _varint(size)


def _varint(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _exchange(
    message: token_service_pb2.BatchTokenizeRequest, sent: Sequence[Record]
) -> Exchange[list[StoredRow]]:
    reply: Answer = yield Request(BATCH_TOKENIZE, message, Answer)
    return stored_rows(reply, sent)
