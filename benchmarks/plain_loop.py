"""The yardstick: the same records in LMDB, opened with libsodium in a plain Python loop.

    key     customer u48 | value_no u24; value_no 0 is the customer row (54 bytes)
    record  header (13 bytes) | nonce 24 | ciphertext and tag, XChaCha20-Poly1305
            additional data: vault id 16 | key | header

A read does what no vault of this design can do without: one transaction a batch; for each customer
the row; for each value its record and one open; the text decoded. There is no token, no policy, no
access log, no wrapped key, no network and no TLS; keys lie in a dictionary. A write seals and puts,
with one synced commit for each 500 customers; it has no ledger, no keyring and no index.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb
from nacl import _sodium  # type: ignore[attr-defined]

_lib = _sodium.lib
_ffi = _sodium.ffi
_seal = _lib.crypto_aead_xchacha20poly1305_ietf_encrypt
_open = _lib.crypto_aead_xchacha20poly1305_ietf_decrypt
_NULL = _ffi.NULL

_MAP_BYTES = 1 << 40
_CUSTOMERS_A_COMMIT = 500
_ACTIVE = 0x11
_ROW = bytes(3)
_ROW_CONTENT = bytes((1, _ACTIVE)) + bytes(52)
_HEADER = bytes(13)
_RECORD_NONCE = slice(len(_HEADER), len(_HEADER) + 24)
_TAG_BYTES = 16
_LARGEST_VALUE = 65_536


@dataclass(frozen=True, slots=True)
class Stretch:
    """Values that went through, and the CPU and wall seconds that they took."""

    values: int
    cpu_seconds: float
    seconds: float


class PlainStore:
    """Values of numbered customers (from 1), each under a key of its customer."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._keys: dict[bytes, bytes] = {}
        self._id = os.urandom(16)
        self._buffer = _ffi.new("unsigned char[]", _LARGEST_VALUE)
        self._length = _ffi.new("unsigned long long *")

    def write(self, customers: Sequence[Sequence[str]]) -> Stretch:
        """Stores the values of all customers, in order."""
        values = 0
        cpu, wall = time.process_time(), time.perf_counter()
        for first in range(0, len(customers), _CUSTOMERS_A_COMMIT):
            with self._environment.begin(write=True) as transaction:
                for number, texts in enumerate(customers[first : first + _CUSTOMERS_A_COMMIT], first + 1):
                    customer = number.to_bytes(6, "big")
                    self._keys[customer] = os.urandom(32)
                    transaction.put(customer + _ROW, _ROW_CONTENT, append=True)
                    for value_no, text in enumerate(texts, 1):
                        key = customer + value_no.to_bytes(3, "big")
                        transaction.put(key, self._sealed(key, text.encode()), append=True)
                    values += len(texts)
        return Stretch(values, time.process_time() - cpu, time.perf_counter() - wall)

    def read(self, batch: Sequence[bytes]) -> list[str]:
        """The values under `batch`'s keys, in order.

        Raises:
            ValueError: A customer is gone, or a record does not open.
        """
        keys, own_id, buffer, length = self._keys, self._id, self._buffer, self._length
        header_bytes = len(_HEADER)
        values = []
        current = b""
        with self._environment.begin() as transaction:
            get = transaction.get
            cursor = transaction.cursor()
            for key in batch:
                customer = key[:6]
                if customer != current:
                    if not cursor.set_key(customer + _ROW) or cursor.value()[1] != _ACTIVE:
                        raise ValueError("no such customer")
                    current = customer
                    secret = keys[customer]
                record = get(key)
                if record is None:
                    raise ValueError("no such value")
                sealed = record[_RECORD_NONCE.stop :]
                associated = own_id + key + record[:header_bytes]
                failed = _open(
                    buffer, length, _NULL, sealed, len(sealed),
                    associated, len(associated), record[_RECORD_NONCE], secret,
                )  # fmt: skip
                if failed:
                    raise ValueError("the record does not open")
                values.append(_ffi.buffer(buffer, len(sealed) - _TAG_BYTES)[:].decode())
        return values

    def lap(self, batches: Sequence[Sequence[bytes]], seconds: float) -> Stretch:
        """Reads batches, over and over, for so many wall seconds."""
        values = number = 0
        cpu, wall = time.process_time(), time.perf_counter()
        while time.perf_counter() < wall + seconds:
            values += len(self.read(batches[number % len(batches)]))
            number += 1
        return Stretch(values, time.process_time() - cpu, time.perf_counter() - wall)

    def _sealed(self, key: bytes, text: bytes) -> bytes:
        nonce = os.urandom(24)
        associated = self._id + key + _HEADER
        _seal(
            self._buffer, self._length, text, len(text),
            associated, len(associated), _NULL, nonce, self._keys[key[:6]],
        )  # fmt: skip
        sealed: bytes = _ffi.buffer(self._buffer, len(text) + _TAG_BYTES)[:]
        return _HEADER + nonce + sealed


@contextmanager
def plain_store(folder: Path) -> Iterator[PlainStore]:
    """An empty store in `folder`, opened as the vault opens its own: synced, without read-ahead."""
    with lmdb.open(str(folder), map_size=_MAP_BYTES, readahead=False) as environment:
        yield PlainStore(environment)
