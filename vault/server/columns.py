"""BatchTokenize on the wire: entries as columns, and answers without a Python object for each value.

Rules:
- `columns.c` is compiled when the vault is installed and a C compiler is there. Without, protobuf reads all.
- A request is taken apart only where its entries are what an import sends: an external id, at most one
  jurisdiction, and fields of class, value and label. All else of it is read by protobuf, and so is every
  other request whole. So what is accepted, and what it means, is what protobuf says.
"""

from array import array
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from cffi import FFI
from customervault.v1 import token_service_pb2 as pb

from vault.model import compiled
from vault.model.columns import APART, EntryColumns, PackedParts
from vault.model.requests import EntryResult, StoredEntry
from vault.server import convert

LIBRARY: Final = Path(__file__).with_name("_columns.so")
_VERSION: Final = 1
_FEW: Final = 200  # bytes of a request for which protobuf is as fast
_PLACES: Final = 64
_PARTS_OF_ENTRY: Final = 4
_PARTS_OF_FIELD: Final = 3
_LONGEST_TOKEN: Final = 100  # whose length, and that of what it stands in, take one byte
_COUNT_BYTES: Final = 8  # at most, of an entry's number of fields in the body

_ffi: Final = FFI()
_ffi.cdef("""
    typedef struct { uint64_t entries, fields; } cv_counts;
    typedef struct {
        unsigned char *places;
        uint32_t *ends;
        unsigned char *columns;
        uint64_t *column_ends;
        unsigned char *names, *external_ids, *jurisdictions, *rest;
        uint64_t *lengths;
        unsigned char *parts;
        uint64_t place_count, names_size, external_ids_size, jurisdictions_size, rest_size, parts_size;
        uint64_t part_count;
    } cv_columns_out;
    int cv_version(void);
    size_t cv_out_bytes(void);
    size_t cv_found_bytes(void);
    int cv_count(const char *data, size_t size, cv_counts *counts);
    int cv_columns(const char *data, size_t size, void *fields, cv_columns_out *out);
""")
_uncleared: Final = _ffi.new_allocator(should_clear_after_alloc=False)
_BYTES: Final = _ffi.typeof("unsigned char[]")


class BatchCall(NamedTuple):
    """A request: its message, and its entries, where the message does not hold them."""

    message: pb.BatchTokenizeRequest
    columns: EntryColumns | None


def parse(data: bytes) -> BatchCall:
    """Reads a `BatchTokenizeRequest`.

    Raises:
        DecodeError: it is none.
    """
    if _native is not None and len(data) > _FEW:
        taken = _taken_apart(data)
        if taken is not None:
            rest, columns = taken
            return BatchCall(pb.BatchTokenizeRequest.FromString(rest), columns)
    return BatchCall(pb.BatchTokenizeRequest.FromString(data), None)


def _taken_apart(data: bytes) -> tuple[bytes, EntryColumns] | None:
    """Everything but the entries, and the entries; None where protobuf has to read it."""
    counts: Any = _ffi.new("cv_counts *")
    if _native is None or _native.cv_count(data, len(data), counts) != 0 or not counts.entries:
        return None
    parts = _Parts(len(data), counts.entries, counts.fields)
    if _native.cv_columns(data, len(data), parts.found, parts.out) != 0:
        return None
    try:
        return parts.bytes_of("rest", parts.out.rest_size), parts.columns()
    except UnicodeDecodeError:
        return None  # protobuf refuses it


def answer(result: EntryResult | StoredEntry) -> bytes:
    """A `BatchTokenizeResponse` of one result, serialized; several that follow one another are one."""
    content = _stored(result) if isinstance(result, StoredEntry) else None
    if content is None:
        content = convert.entry_result(result).SerializeToString()
    return b"\n" + _length(len(content)) + content


def _stored(result: StoredEntry) -> bytes | None:
    """A `TokenizeEntryResult`; None where tokens are not as usual, all of one length."""
    customer_token, created, outcomes, tokens = result
    lengths = {len(customer_token), *map(len, tokens)}
    if len(lengths) > 1 or len(customer_token) > _LONGEST_TOKEN:
        return None
    content = _form(len(customer_token), created, outcomes) % (customer_token, *tokens)
    return content.encode() if content.isascii() else None


@lru_cache(maxsize=256)  # entries of an import have the same fields, and most of them the same outcomes
def _form(length: int, created: bool, outcomes: tuple[int, ...]) -> str:
    """A result without its tokens."""
    token = "\n" + chr(length).replace("%", "%%") + "%s"
    inner = chr(length + 4).replace("%", "%%")
    fields = [f"\x1a{inner}{token}\x10{chr(outcome)}" for outcome in outcomes]
    return token + ("\x10\x01" if created else "") + "".join(fields)


def _length(number: int) -> bytes:
    """A varint."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


class _Parts:
    """What the library writes, with room for all that a request of some size may hold."""

    def __init__(self, size: int, entries: int, fields: int) -> None:
        self.out: Any = _ffi.new("cv_columns_out *")
        self.found: Any = _uncleared(_BYTES, _native.cv_found_bytes() * fields) if _native else None
        self._fields = fields
        self._ends = array("I", bytes(4 * entries))
        self._lengths = array("Q", bytes(8 * (_PARTS_OF_ENTRY * entries + _PARTS_OF_FIELD * fields)))
        self._column_ends = array("Q", bytes(8 * _PLACES))
        sizes = {
            "places": fields,
            "columns": size + fields,
            "names": size + 2 * _PLACES,
            "external_ids": size + entries,
            "jurisdictions": size + entries,
            "rest": size,
            "parts": size + _COUNT_BYTES * entries,
        }
        self._buffers: dict[str, Any] = {name: _uncleared(_BYTES, each) for name, each in sizes.items()}
        self._buffers["ends"] = _ffi.from_buffer("uint32_t[]", self._ends)
        self._buffers["lengths"] = _ffi.from_buffer("uint64_t[]", self._lengths)
        self._buffers["column_ends"] = _ffi.from_buffer("uint64_t[]", self._column_ends)
        for name, buffer in self._buffers.items():
            setattr(self.out, name, buffer)

    def bytes_of(self, name: str, size: int) -> bytes:
        """The first bytes of a buffer."""
        return bytes(_ffi.buffer(self._buffers[name], size))

    def columns(self) -> EntryColumns:
        """The entries.

        Raises:
            UnicodeDecodeError: a text is not UTF-8.
        """
        out = self.out
        count = out.place_count
        names = self.bytes_of("names", out.names_size).decode().split(APART) if count else []
        ends = [0, *self._column_ends[:count]]
        values = self.bytes_of("columns", ends[-1])
        return EntryColumns(
            places=list(zip(names[::2], names[1::2], strict=True)),
            columns=[values[start:end].decode() for start, end in pairwise(ends)],
            at=self.bytes_of("places", self._fields),
            ends=self._ends,
            external_ids=self.bytes_of("external_ids", out.external_ids_size).decode(),
            jurisdictions=self.bytes_of("jurisdictions", out.jurisdictions_size).decode(),
            parts=PackedParts(
                out.part_count,
                self._lengths[: out.part_count].tobytes(),
                self.bytes_of("parts", out.parts_size),
            ),
        )


_native: Any | None = compiled.load(_ffi, LIBRARY, _VERSION, {"cv_out_bytes": _ffi.sizeof("cv_columns_out")})
