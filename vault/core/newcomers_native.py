"""The compiled sealer of new customers; see `newcomers` for what it does, `newcomers.c` for how.

It is used only where it was built, is of the version and has the layouts that this module is written for, on
little-endian machines of 64 bits.
"""

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from cffi import FFI

from vault.core.newcomers import FIRST, Lines, Newcomer, Occasion, PortableSealer, Sealed, Sealer
from vault.crypto import hazmat
from vault.crypto.suites import SUITES, XCHACHA20_POLY1305
from vault.errors import KeyUnavailableError
from vault.model import compiled
from vault.model.ids import CustomerNo, Region
from vault.store.layout import (
    CUSTOMER_ROW_BYTES,
    DEK_ROW_BYTES,
    HEADER_BYTES,
    NO_JURISDICTION,
    VALUE_KEY_BYTES,
    customer_key,
    dek_key,
)
from vault.store.sheet import FINGERPRINT_BYTES, LOCATOR_BYTES, SHEET_HEADER, packed_labels

LIBRARY: Final = Path(__file__).with_name("_newcomers.so")
_VERSION: Final = 1
_CLASSES: Final = 256
_NUMBERS_A_VALUE: Final = 5
_WRAP: Final = SUITES[XCHACHA20_POLY1305]
_SHEET_ROW_BYTES: Final = SHEET_HEADER.size + _WRAP.overhead_bytes
_SHEET_BYTES: Final = 2 + 2 + 2  # beside external id and lines
_LINE_BYTES: Final = 4 + FINGERPRINT_BYTES

_ffi: Final = FFI()
_ffi.cdef("""
    typedef struct {
        void *seal, *wrap, *hash, *random;
        uint32_t suite, subkey, nonce_bytes, tag_bytes;
        unsigned char vault_id[16];
        unsigned char region;
    } cv_tools;
    typedef struct {
        const uint64_t *numbers;
        const uint32_t *counts;
        const unsigned char *places;
        const uint32_t *fields;
        const unsigned char *data, *heads;
        const uint32_t *head_ends;
        const unsigned char *epoch_key;
        unsigned char *slot, *nonces, *scratch, *keys, *rows, *sheets, *deks, *locators;
        uint32_t *row_ends, *sheet_ends;
        uint64_t data_size, nonces_size, scratch_size, rows_size, sheets_size, created_ms;
        uint32_t customers, values, epoch;
        uint8_t incarnation;
    } cv_newcomers;
    int cv_version(void);
    size_t cv_tools_bytes(void);
    size_t cv_newcomers_bytes(void);
    int cv_seal_newcomers(const cv_tools *, const cv_newcomers *);
""")
_uncleared: Final = _ffi.new_allocator(should_clear_after_alloc=False)
_BYTES: Final = _ffi.typeof("unsigned char[]")


class NativeSealer:
    """`Sealer`, compiled."""

    def __init__(self, library: Any, suite: int, vault_id: bytes, region: Region) -> None:
        self.library = library
        self.region = region
        self.suite = known = SUITES[suite]
        tools: Any = _ffi.new("cv_tools *")
        tools.seal = _ffi.cast("void *", hazmat.seal_function(suite))
        tools.wrap = _ffi.cast("void *", hazmat.seal_function(XCHACHA20_POLY1305))
        tools.hash = _ffi.cast("void *", hazmat.hash_function())
        tools.random = _ffi.cast("void *", hazmat.random_function())
        tools.suite, tools.subkey = suite, known.subkey_id
        tools.nonce_bytes, tools.tag_bytes = known.nonce_bytes, known.tag_bytes
        tools.vault_id, tools.region = vault_id, region
        self.tools = tools

    def pack(self, newcomers: Sequence[Newcomer], heads: Mapping[int, bytes]) -> "NativePacked":
        """As `Sealer.pack`."""
        return NativePacked(self, newcomers, heads)


class NativePacked:
    """`Packed` as the library reads it: counts in arrays, all texts one after the other.

    Taken apart by columns, because most of a loop over values would be the loop.
    """

    __slots__ = (
        "_sealer", "counts", "data", "fields", "head_ends", "heads", "places", "rows_size", "scratch_size",
        "sheets_size",
    )  # fmt: skip

    def __init__(
        self, sealer: NativeSealer, newcomers: Sequence[Newcomer], heads: Mapping[int, bytes]
    ) -> None:
        self._sealer = sealer
        self.heads, self.head_ends = _heads(heads)
        people, counts = len(newcomers), [len(each.stored) for each in newcomers]
        stored = list(chain.from_iterable([each.stored for each in newcomers]))
        normalized = list(chain.from_iterable([each.normalized for each in newcomers]))
        counters, classes, tails = _lines([each.lines for each in newcomers])
        compared, tailed = list(map(len, normalized)), list(map(len, tails))
        numbers = zip(counters, classes, map(len, stored), compared, tailed, strict=True)
        self.counts = array("I", counts)
        self.places = b"".join([each.jurisdiction.encode() or NO_JURISDICTION for each in newcomers])
        self.fields = array("I", chain.from_iterable(numbers))
        self.data = b"".join(chain.from_iterable(zip(stored, normalized, tails, strict=True)))
        stored_size = len(self.data) - sum(compared) - sum(tailed)
        overhead = HEADER_BYTES + sealer.suite.overhead_bytes
        self.rows_size = stored_size + overhead * len(tails) + CUSTOMER_ROW_BYTES * people
        sheets = [_SHEET_BYTES + len(each.stored[0]) for each in newcomers]
        lines = _LINE_BYTES * len(tails) + sum(tailed)
        self.sheets_size = sum(sheets) + lines + _SHEET_ROW_BYTES * people
        # One sheet, and one form to compare behind it.
        line = _LINE_BYTES + max(tailed)
        self.scratch_size = max(sheets) + line * max(counts) + max(compared) + len(self.heads)

    def __repr__(self) -> str:
        return f"<{len(self.counts)} new customers>"

    def seal(self, numbers: Sequence[CustomerNo], occasion: Occasion) -> Sealed:
        """As `Packed.seal`."""
        if len(numbers) != len(self.counts):
            raise ValueError("one number for each customer")
        job: Any = _ffi.new("cv_newcomers *")
        count, values = len(numbers), len(self.fields) // _NUMBERS_A_VALUE
        job.customers, job.values = count, values
        kept = self._give(job, array("Q", numbers), occasion)
        out = {name: _uncleared(_BYTES, size) for name, size in self._sizes(count, values).items()}
        for name, buffer in out.items():
            setattr(job, name, buffer)
        job.nonces_size, job.scratch_size = len(out["nonces"]), self.scratch_size
        job.rows_size, job.sheets_size = self.rows_size, self.sheets_size
        row_ends, sheet_ends = array("I", bytes(4 * (values + count))), array("I", bytes(4 * count))
        job.row_ends = _ffi.from_buffer("uint32_t[]", row_ends)
        job.sheet_ends = _ffi.from_buffer("uint32_t[]", sheet_ends)
        if self._sealer.library.cv_seal_newcomers(self._sealer.tools, job) != 0:
            raise KeyUnavailableError("new customers could not be sealed")
        del kept
        region = self._sealer.region
        sheets, deks = _cut(out["sheets"], sheet_ends), _even(out["deks"], DEK_ROW_BYTES)
        return Sealed(
            list(zip(_even(out["keys"], VALUE_KEY_BYTES), _cut(out["rows"], row_ends), strict=True)),
            [(customer_key(region, number), row) for number, row in zip(numbers, sheets, strict=True)],
            [(dek_key(region, number, FIRST), row) for number, row in zip(numbers, deks, strict=True)],
            _even(out["locators"], LOCATOR_BYTES),
        )

    def _give(self, job: Any, numbers: "array[int]", occasion: Occasion) -> list[Any]:
        """Points the job to what it reads; what is returned keeps it where it is."""
        job.numbers = held = _ffi.from_buffer("uint64_t[]", numbers)
        job.counts = counts = _ffi.from_buffer("uint32_t[]", self.counts)
        job.fields = fields = _ffi.from_buffer("uint32_t[]", self.fields)
        job.head_ends = ends = _ffi.from_buffer("uint32_t[]", self.head_ends)
        job.places = places = _ffi.from_buffer(self.places)
        job.data = data = _ffi.from_buffer(self.data)
        job.heads = heads = _ffi.from_buffer(self.heads)
        job.data_size = len(self.data)
        job.slot = _ffi.cast("unsigned char *", hazmat.address_of(occasion.fresh.slot))
        job.epoch_key = _ffi.cast("unsigned char *", hazmat.address_of(occasion.keyring.edk.pointer()))
        job.epoch, job.incarnation = occasion.keyring.epoch, occasion.incarnation
        job.created_ms = occasion.created_ms
        return [held, counts, fields, ends, places, data, heads]

    def _sizes(self, count: int, values: int) -> Mapping[str, int]:
        """Bytes of each buffer that is written."""
        return {
            "nonces": self._sealer.suite.nonce_bytes * values + 2 * _WRAP.nonce_bytes * count,
            "scratch": self.scratch_size,
            "keys": VALUE_KEY_BYTES * (values + count),
            "rows": self.rows_size,
            "sheets": self.sheets_size,
            "deks": DEK_ROW_BYTES * count,
            "locators": LOCATOR_BYTES * count,
        }


def _lines(all_lines: Sequence[Lines]) -> tuple[list[int], list[int], list[bytes]]:
    """Counter and class of each value, and how its line of the sheet ends."""
    counters, classes, tails = list[int](), list[int](), list[bytes]()
    made: dict[int, list[bytes]] = {}
    for lines in all_lines:
        known = made.get(id(lines))  # shared by customers alike, and held by the argument
        if known is None:
            known = made[id(lines)] = list(map(_tail, lines.index_hashes, lines.labels))
        counters += lines.counters
        classes += lines.field_classes
        tails += known
    return counters, classes, tails


@lru_cache(maxsize=1024)
def _usual_tail(labels: tuple[str, ...]) -> bytes:
    return b"\0" + packed_labels(labels)


def _tail(digest: bytes, labels: tuple[str, ...]) -> bytes:
    """How a line of the sheet ends."""
    return bytes((len(digest),)) + digest + packed_labels(labels) if digest else _usual_tail(labels)


def _heads(by_class: Mapping[int, bytes]) -> tuple[bytes, "array[int]"]:
    """The heads joined, and where that of each class ends."""
    ends, at = array("I"), 0
    for number in range(_CLASSES):
        at += len(by_class.get(number, b""))
        ends.append(at)
    return b"".join([by_class[number] for number in sorted(by_class)]), ends


def _even(buffer: Any, size: int) -> list[bytes]:
    content = _ffi.buffer(buffer)[:]
    return [content[at : at + size] for at in range(0, len(content), size)]


def _cut(buffer: Any, ends: "array[int]") -> list[bytes]:
    content, at, parts = _ffi.buffer(buffer)[:], 0, []
    for end in ends:
        parts.append(content[at:end])
        at = end
    return parts


def load(library: Path = LIBRARY) -> Any | None:
    """The library, or None where it was not built, or does not fit."""
    sizes = {f"{name}_bytes": _ffi.sizeof(name) for name in ("cv_tools", "cv_newcomers")}
    return compiled.load(_ffi, library, _VERSION, sizes)


def newcomer_sealer(suite: int, vault_id: bytes, region: Region) -> Sealer:
    """The compiled sealer where it was built, else the one in Python."""
    library = load()
    if library is None:
        return PortableSealer(suite, vault_id, region)
    return NativeSealer(library, suite, vault_id, region)
