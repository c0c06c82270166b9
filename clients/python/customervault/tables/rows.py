"""Rows as requests of `BatchTokenize`, and its answers as rows.

Rules:
- A row is written as it goes over the wire (protobuf.dev/programming-guides/encoding), without an object for
  each cell: what does not change from row to row of a column is made once. What was written is read back as a
  message before it is sent, so it says what protobuf reads in it.
- Requests are split as those of `Vault.tokenize_many` are, so that a batch that is repeated repeats them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from customervault import _convert
from customervault._exchange import Exchange, Request, request_id_of_batch
from customervault._exchanges.tokens import BATCH_BYTES, BATCH_TOKENIZE
from customervault._status import error_of_status
from customervault.errors import VaultError
from customervault.tables.plan import Place
from customervault.tables.source import Record
from customervault.tables.target import Refusal, StoredField, StoredRow
from customervault.v1 import common_pb2, token_service_pb2

_EMPTY: Final = StoredField("empty")
# Tags: field number << 3 | 2, the wire type of everything that has a length.
_ENTRY: Final = bytes((token_service_pb2.BatchTokenizeRequest.ENTRIES_FIELD_NUMBER << 3 | 2,))
_CUSTOMER: Final = bytes((token_service_pb2.TokenizeEntry.CUSTOMER_FIELD_NUMBER << 3 | 2,))
_FIELD: Final = bytes((token_service_pb2.TokenizeEntry.FIELDS_FIELD_NUMBER << 3 | 2,))
_JURISDICTION: Final = bytes((token_service_pb2.TokenizeEntry.JURISDICTION_FIELD_NUMBER << 3 | 2,))
_EXTERNAL_ID: Final = bytes((common_pb2.CustomerRef.EXTERNAL_ID_FIELD_NUMBER << 3 | 2,))
_VALUE: Final = bytes((common_pb2.FieldInput.VALUE_FIELD_NUMBER << 3 | 2,))
_SHORT: Final = 128  # bytes of a value, for which the bytes before it are made once


def row_exchanges(
    records: Sequence[Record], places: Sequence[Place], *, domain: str, request_id: str, max_batch: int
) -> Iterator[Exchange[list[StoredRow]]]:
    """Stores rows; one exchange for each request. Empty cells are not sent."""
    columns = [_Column(place) for place in places]
    for number, (entries, sent) in enumerate(_split(records, columns, max_batch)):
        message = token_service_pb2.BatchTokenizeRequest(
            domain=domain, request_id=request_id_of_batch(request_id, number), mode=_convert.batch_mode(False)
        )
        message.MergeFromString(b"".join(entries))
        yield _exchange(message, sent)


class _Column:
    """What goes before each value of a column: tag and length, field class and label, tag and length."""

    __slots__ = ("_common", "before")

    def __init__(self, place: Place) -> None:
        field = common_pb2.FieldInput(field_class=place.field_class, label=place.label)
        self._common = field.SerializeToString() + _VALUE
        self.before = [self.before_long(size) for size in range(_SHORT)]

    def before_long(self, size: int) -> bytes:
        """Before a value of any size."""
        inner = self._common + _varint(size)
        return _FIELD + _varint(len(inner) + size) + inner


def _split(
    records: Sequence[Record], columns: Sequence[_Column], max_batch: int
) -> Iterator[tuple[list[bytes], list[Record]]]:
    """The entries of each request, and the rows that they stand for."""
    entries, sent = list[bytes](), list[Record]()
    values = size = 0
    for record in records:
        parts = [_customer(record)]
        for column, value in zip(columns, record.values, strict=True):
            if value:
                text = value.encode()
                length = len(text)
                parts.append(column.before[length] if length < _SHORT else column.before_long(length))
                parts.append(text)
        entry = b"".join(parts)
        entry_values, entry_bytes = max(1, len(parts) // 2), len(entry)
        values += entry_values
        size += entry_bytes
        if sent and (values > max_batch or size > BATCH_BYTES):
            yield entries, sent
            entries, sent, values, size = [], [], entry_values, entry_bytes
        entries.append(_ENTRY + _varint(entry_bytes) + entry)
        sent.append(record)
    if sent:
        yield entries, sent


def _customer(record: Record) -> bytes:
    external_id = record.external_id.encode()
    ref = _EXTERNAL_ID + _varint(len(external_id)) + external_id
    customer = _CUSTOMER + _varint(len(ref)) + ref
    if not record.jurisdiction:
        return customer
    code = record.jurisdiction.encode()
    return customer + _JURISDICTION + _varint(len(code)) + code


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
    reply: token_service_pb2.BatchTokenizeResponse = yield Request(
        BATCH_TOKENIZE, message, token_service_pb2.BatchTokenizeResponse
    )
    return [_stored(record, answer) for record, answer in zip(sent, reply.results, strict=True)]


def _stored(record: Record, answer: token_service_pb2.TokenizeEntryResult) -> StoredRow:
    if answer.HasField("error"):
        return StoredRow(refusal=_refusal(error_of_status(answer.error)))
    results = iter(answer.results)
    fields = []
    for value in record.values:
        if not value:
            fields.append(_EMPTY)
            continue
        result = next(results, None)
        if result is None:
            raise ValueError("fewer answers than there were fields")
        refusal = None
        if not (token := result.token) and result.HasField("error"):
            refusal = _refusal(error_of_status(result.error))
        fields.append(StoredField(_convert.outcome(result.outcome), token, refusal))
    if next(results, None) is not None:
        raise ValueError("more answers than there were fields")
    return StoredRow(answer.customer_token, answer.customer_created, fields)


def _refusal(error: VaultError) -> Refusal:
    return Refusal(error.reason, error.message)
