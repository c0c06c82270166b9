"""Every key that a vault makes, noted by the test's process that makes it; never by the vault's own code.

The list is a file of one JSON line a key, appended before the key is first used, so that it outlives a
SIGKILL: {"kind": ..., "key": 64 hex digits} and, where there is one, "customer", "generation", "epoch",
"name", and "under", the epoch key that wraps it. Kinds: `born` (random bytes for a data key), `dek`, `edk`,
`secret`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from vault.core.newcomers import Occasion, Sealed
from vault.core.newcomers_native import NativePacked
from vault.crypto import hazmat
from vault.keys.keyring import DEK_BYTES, Keyring
from vault.keys.keyrings import Keyrings
from vault.model.ids import CustomerNo, Generation, Region

Kind = Literal["born", "dek", "edk", "secret"]
Owner = tuple[int, int]
"""A customer's number and a generation."""


@dataclass(frozen=True, slots=True)
class NotedKey:
    """One key of 32 bytes."""

    kind: Kind
    key: bytes
    customer: int = 0
    generation: int = 0
    epoch: int = 0
    name: str = ""
    under: str = ""


class KeyList:
    """The file of one vault's keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keys(self) -> list[NotedKey]:
        """All of them, in the order in which they were made."""
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [NotedKey(**line | {"key": bytes.fromhex(line["key"])}) for line in lines]

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Notes every key that this process makes or receives until the context ends."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        noted: set[object] = set()

        def note(kind: Kind, key: bytes, **details: object) -> None:
            if (kind, key, *details.values()) not in noted:
                noted.add((kind, key, *details.values()))
                os.write(descriptor, json.dumps({"kind": kind, "key": key.hex(), **details}).encode() + b"\n")

        try:
            with _watched(note):
                yield
        finally:
            os.close(descriptor)


@contextmanager
def _watched(note: Any) -> Iterator[None]:
    fill_random, wrap_dek, wrap_secret = hazmat.fill_random, Keyring.wrap_dek, Keyring.wrap_secret
    add, seal = Keyrings.add, NativePacked.seal

    def filled(destination: hazmat.KeyPointer, size: int) -> None:
        fill_random(destination, size)
        note("born", read_key(destination))

    def dek_wrapped(self: Keyring, dek: Any, region: Any, customer: Any, generation: Any) -> bytes:
        note("dek", read_key(dek), customer=customer, generation=generation)
        return wrap_dek(self, dek, region, customer, generation)

    def secret_wrapped(self: Keyring, name: str, secret: bytes) -> bytes:
        if len(secret) == DEK_BYTES:  # the others are documents, such as the CA's key
            note("secret", secret, name=name, epoch=self.epoch, under=read_key(self.edk.pointer()).hex())
        return wrap_secret(self, name, secret)

    def added(self: Keyrings, epoch: Any, edk: hazmat.GuardedMemory) -> None:
        note("edk", read_key(edk.pointer()), epoch=epoch)
        add(self, epoch, edk)

    def sealed_in_one_call(self: NativePacked, numbers: Any, occasion: Occasion) -> Sealed:
        sealed = seal(self, numbers, occasion)
        for number, (key, row) in zip(numbers, sealed.deks, strict=True):
            dek = _unwrapped(occasion.keyring, key, row)
            note("born", dek)
            note("dek", dek, customer=number, generation=1)
        return sealed

    with (
        patch.object(hazmat, "fill_random", filled),
        patch.object(NativePacked, "seal", sealed_in_one_call),
        patch.object(Keyring, "wrap_dek", dek_wrapped),
        patch.object(Keyring, "wrap_secret", secret_wrapped),
        patch.object(Keyrings, "add", added),
    ):
        yield


def _unwrapped(keyring: Keyring, key: bytes, row: bytes) -> bytes:
    """A data key out of its row of the keyring; the row's key names the owner."""
    owner = int.from_bytes(key, "big")
    memory = hazmat.GuardedMemory(DEK_BYTES)
    try:
        keyring.unwrap_dek(
            row,
            Region(owner >> 56),
            CustomerNo(owner >> 16 & (1 << 40) - 1),
            Generation(owner & 0xFFFF),
            memory.pointer(),
        )
        return bytes(memory.view(0, DEK_BYTES))
    finally:
        memory.free()


def read_key(pointer: hazmat.KeyPointer) -> bytes:
    """A key out of guarded memory, which only a test may do."""
    memory = hazmat.GuardedMemory(DEK_BYTES)
    try:
        hazmat.copy_key(memory.pointer(), pointer, DEK_BYTES)
        return bytes(memory.view(0, DEK_BYTES))
    finally:
        memory.free()
