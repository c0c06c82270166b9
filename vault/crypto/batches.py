"""Opens a batch of sealed records in one call: the inner loop of detokenization.

It exists twice. `open_records.c` is compiled when the vault is installed and a C compiler is there;
`PortableBatchOpener` is the same loop in Python, about half as fast, for every other machine. Tests hold the
two equal, and what is loaded must first agree with the reference (`batch_opener`).

    record   suite u8 | field_class u8 | flags u8 | version u32 | dek_generation u16 | expires_s u32
             | nonce | ciphertext and tag           (big-endian; the first 13 bytes are the header)
    AAD      vault id 16 | key 9 | header 13
    run      address of the sealing key u64 | end u32 | dek_generation u16 | verdicts u16   (native order)
    item     value_no u24 | field_class u8 | outcome u8

A run is one customer's records, up to but not including number `end`; `verdicts` says which of the given
tables of 256 outcomes, one for each field class, holds for it. A record is opened here if it is the
usual one: of the configured suite, without flags and expiry, of its run's generation, allowed by the
table, and its plaintext holds no zero byte. For every other, and for one that does not open, field class
and outcome of the item are 0, and the caller looks into it.
"""

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Protocol

from cffi import FFI
from nacl import _sodium  # type: ignore[attr-defined]

from vault.crypto.hazmat import AES_GCM_AVAILABLE, GuardedMemory, Opener, address_of, pointer_at, seal
from vault.crypto.suites import AES_256_GCM, SUITES
from vault.errors import IntegrityFailedError

LIBRARY: Final = Path(__file__).with_name("_open_records.so")
RUN: Final = struct.Struct("=QIHH")
HEADER_BYTES: Final = 13
KEY_BYTES: Final = 9
ITEM_BYTES: Final = 5
PLAIN: Final = 2
MASKED: Final = 3
_VERSION: Final = 1
_SAMPLE_ID: Final = bytes(16)
_FUNCTIONS: Final = {
    1: "crypto_aead_xchacha20poly1305_ietf_decrypt",
    2: "crypto_aead_aes256gcm_decrypt",
    3: "crypto_aead_aegis256_decrypt",
}

_ffi: Final = FFI()
_ffi.cdef("""
    int cv_version(void);
    long long cv_open_records(void *open, unsigned suite, size_t nonce_bytes, size_t tag_bytes,
        const char *vault_id, size_t count, const char *keys, const char *records, const uint32_t *ends,
        size_t run_count, const char *runs, const char *verdicts, char *out, size_t out_size, char *items);
    void sodium_memzero(void *start, size_t size);
""")
_sodium_again: Final[Any] = _ffi.dlopen(_sodium.__file__)


class BatchOpener(Protocol):
    """Opens batches one at a time."""

    def open(
        self, keys: Sequence[bytes], records: Sequence[bytes], runs: bytes, verdicts: bytes
    ) -> tuple[bytes, bytes]:
        """Items, and plaintexts in UTF-8, each but the last followed by a zero byte; see the module.

        Args:
            keys: of the records, 9 bytes each.
            records: as stored; an empty one stands for a record that is missing.
            runs: packed by `RUN`, in order, the last one ending the batch.
            verdicts: one or more tables of 256 bytes.
        """


class PortableBatchOpener:
    """The reference: the loop in Python."""

    def __init__(self, suite: int, vault_id: bytes) -> None:
        self._suite = suite
        self._vault_id = vault_id
        self._nonce_end = HEADER_BYTES + SUITES[suite].nonce_bytes
        self._open_one = Opener().open_fast(suite)

    def open(
        self, keys: Sequence[bytes], records: Sequence[bytes], runs: bytes, verdicts: bytes
    ) -> tuple[bytes, bytes]:
        """As `BatchOpener.open`."""
        open_one, nonce_end, suite = self._open_one, self._nonce_end, self._suite
        items, texts, at = [], [], 0
        for address, end, generation, table in RUN.iter_unpack(runs):
            secret, allowed = pointer_at(address), verdicts[256 * table : 256 * table + 256]
            tail = generation.to_bytes(2, "big") + bytes(4)
            for key, record in zip(keys[at:end], records[at:end], strict=True):
                header = record[:HEADER_BYTES]
                plain = None
                if header.endswith(tail) and header[0] == suite and not header[2]:
                    outcome = allowed[header[1]]
                    if outcome in (PLAIN, MASKED) and len(record) >= nonce_end + SUITES[suite].tag_bytes:
                        aad = self._vault_id + key + header
                        plain = open_one(secret, record[HEADER_BYTES:nonce_end], record[nonce_end:], aad)
                if plain is None or 0 in plain:
                    items.append(key[6:] + b"\0\0")
                    texts.append(b"")
                else:
                    items.append(key[6:] + bytes((header[1], outcome)))
                    texts.append(plain)
            at = end
        return b"".join(items), b"\0".join(texts)


class NativeBatchOpener:
    """The compiled loop. Belongs to one thread at a time; wipes its plaintexts before it returns."""

    def __init__(self, library: Any, suite: int, vault_id: bytes) -> None:
        known = SUITES[suite]
        self._call = library.cv_open_records
        self._suite, self._nonce_bytes, self._tag_bytes = suite, known.nonce_bytes, known.tag_bytes
        function = _sodium.ffi.addressof(_sodium.lib, _FUNCTIONS[suite])
        self._open = _ffi.cast("void *", int(_sodium.ffi.cast("uintptr_t", function)))
        self._vault_id = vault_id
        self._reserve(256 << 10)

    def _reserve(self, capacity: int) -> None:
        self._capacity = capacity
        self._out = _ffi.new("char[]", capacity)
        self._items = _ffi.new("char[]", capacity)
        self._out_view, self._items_view = _ffi.buffer(self._out), _ffi.buffer(self._items)

    def open(
        self, keys: Sequence[bytes], records: Sequence[bytes], runs: bytes, verdicts: bytes
    ) -> tuple[bytes, bytes]:
        """As `BatchOpener.open`."""
        joined, count = b"".join(records), len(records)
        ends = array("I", accumulate(map(len, records)))
        if len(joined) + ITEM_BYTES * count > self._capacity:
            self._reserve(2 * (len(joined) + ITEM_BYTES * count))
        written = self._call(
            self._open, self._suite, self._nonce_bytes, self._tag_bytes,
            self._vault_id, count, b"".join(keys), joined, _ffi.from_buffer("uint32_t[]", ends),
            len(runs) // RUN.size, runs, verdicts, self._out, self._capacity, self._items,
        )  # fmt: skip
        if written < 0:
            raise IntegrityFailedError
        found = self._items_view[: ITEM_BYTES * count], self._out_view[:written]
        _sodium_again.sodium_memzero(self._out, written)
        return found


def batch_opener(suite: int, vault_id: bytes, library: Path = LIBRARY) -> BatchOpener:
    """The compiled loop where it was built and answers rightly, else the one in Python."""
    loaded = _loaded(library)
    if loaded is not None and _agrees(loaded, suite):
        return NativeBatchOpener(loaded, suite, vault_id)
    return PortableBatchOpener(suite, vault_id)


def _loaded(library: Path) -> Any | None:
    try:
        loaded: Any = _ffi.dlopen(str(library))
    except OSError:  # not built, or built for another machine
        return None
    return loaded if loaded.cv_version() == _VERSION else None


def _agrees(library: Any, suite: int) -> bool:
    """Whether the compiled loop opens what the reference opens, and refuses what it refuses."""
    if suite == AES_256_GCM and not AES_GCM_AVAILABLE:
        return False
    memory = GuardedMemory(32)
    try:
        memory.fill_random(0, 32)
        key, keys = memory.pointer(), [bytes(8) + bytes((number,)) for number in range(3)]
        header = bytes((suite, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0))
        sealed = [header + seal(suite, key, b"known", _SAMPLE_ID + each + header) for each in keys]
        sealed[1] = sealed[1][:-1] + bytes((sealed[1][-1] ^ 1,))
        given = keys, sealed, RUN.pack(address_of(key), len(keys), 1, 0), bytes((PLAIN,)) * 256
        opened = NativeBatchOpener(library, suite, _SAMPLE_ID).open(*given)
        return (
            opened == PortableBatchOpener(suite, _SAMPLE_ID).open(*given) and opened[1] == b"known\0\0known"
        )
    finally:
        memory.free()
