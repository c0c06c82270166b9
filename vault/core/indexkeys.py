"""Hashes under which external ids, surrogates, tags of tokens and searchable values stand in the index.

The key is a secret of the epoch: made new with every epoch and never carried over, so that what an old index
says about a shredded customer ends with its epoch. It is read from the keyring on first use.
"""

import threading
from typing import Final

from vault.crypto import hazmat
from vault.errors import KeyUnavailableError
from vault.keys.keyrings import Keyrings
from vault.store.sheet import TAG_DOMAIN, SheetSurrogate
from vault.store.snapshot import KeyringReader

EXTERNAL_INDEX: Final = "index/external"
_KEY_BYTES: Final = 32


class IndexKeys:
    """Index keys by epoch."""

    def __init__(self, keyrings: Keyrings) -> None:
        self._keyrings = keyrings
        self._memories: dict[int, hazmat.GuardedMemory] = {}
        self._turn = threading.Lock()

    def external_hash(self, reader: KeyringReader, external_id: bytes) -> bytes:
        """Keyed hash (16 bytes) of an external id, in the index that `reader` reads.

        Raises:
            KeyUnavailableError: the keyring of that epoch cannot be opened here, or lacks the key.
        """
        memory = self._memories.get(reader.epoch) or self._load(reader)
        return external_hash(memory.pointer(), external_id)

    def surrogate_hash(self, reader: KeyringReader, domain: int, text: bytes) -> bytes:
        """Keyed hash (16 bytes) of a surrogate of a domain, in the index that `reader` reads.

        Raises:
            KeyUnavailableError: as `external_hash`.
        """
        memory = self._memories.get(reader.epoch) or self._load(reader)
        return surrogate_hash(memory.pointer(), domain, text)

    def row(self, reader: KeyringReader, line: SheetSurrogate, value: bytes) -> tuple[bytes, bytes]:
        """The row that leads to a sheet's surrogate or tag, in the index that `reader` reads.

        Raises:
            KeyUnavailableError: as `external_hash`.
        """
        memory = self._memories.get(reader.epoch) or self._load(reader)
        return index_row(memory.pointer(), line, value)

    def tag_prefix(self, reader: KeyringReader, tag: bytes) -> bytes:
        """With what (8 bytes) the keys of a tag's rows begin, in the index that `reader` reads.

        Raises:
            KeyUnavailableError: as `external_hash`.
        """
        memory = self._memories.get(reader.epoch) or self._load(reader)
        return tag_prefix(memory.pointer(), tag)

    def search_hash(self, reader: KeyringReader, message: bytes) -> bytes:
        """Keyed hash (16 bytes) of what is searched for, in the index that `reader` reads.

        Raises:
            KeyUnavailableError: as `external_hash`.
        """
        memory = self._memories.get(reader.epoch) or self._load(reader)
        return search_hash(memory.pointer(), message)

    def drop(self, epoch: int) -> None:
        """Zeroes the key of an epoch, if it is held."""
        with self._turn:
            memory = self._memories.pop(epoch, None)
        if memory is not None:
            memory.free()

    def close(self) -> None:
        """Zeroes all keys."""
        for epoch in list(self._memories):
            self.drop(epoch)

    def _load(self, reader: KeyringReader) -> hazmat.GuardedMemory:
        with self._turn:
            if reader.epoch not in self._memories:
                row = reader.secret(EXTERNAL_INDEX)
                if row is None:
                    raise KeyUnavailableError(f"the keyring lacks {EXTERNAL_INDEX}")
                key = self._keyrings.at(reader.epoch).unwrap_secret(EXTERNAL_INDEX, row)
                memory = hazmat.GuardedMemory(_KEY_BYTES)
                hazmat.load_key(memory.pointer(), key)
                self._memories[reader.epoch] = memory
            return self._memories[reader.epoch]


def search_hash(key: hazmat.KeyPointer, message: bytes) -> bytes:
    """Keyed hash (16 bytes) of what is searched for, under an index key; messages as in `searchindex`."""
    return hazmat.keyed_hash(key, b"search\0" + message)


def surrogate_hash(key: hazmat.KeyPointer, domain: int, text: bytes) -> bytes:
    """Keyed hash (16 bytes) of a surrogate of a domain under an index key."""
    return hazmat.keyed_hash(key, b"surrogate\0" + bytes((domain,)) + text)


def tag_prefix(key: hazmat.KeyPointer, tag: bytes) -> bytes:
    """Keyed hash of a tag, cut to 8 bytes, under an index key."""
    return hazmat.keyed_hash(key, b"tag\0" + tag)[:8]


def index_row(key: hazmat.KeyPointer, line: SheetSurrogate, value: bytes) -> tuple[bytes, bytes]:
    """The index row (16 bytes, value key 9) of a sheet's surrogate or tag under an index key.

    Many values may have one tag, so its row's key is the tag's prefix and the value key without region.
    """
    if line.domain == TAG_DOMAIN:
        return tag_prefix(key, line.text) + value[1:], value
    return surrogate_hash(key, line.domain, line.text), value


def external_hash(key: hazmat.KeyPointer, external_id: bytes) -> bytes:
    """Keyed hash (16 bytes) of an external id under an index key."""
    return hazmat.keyed_hash(key, b"external_id\0" + external_id)
