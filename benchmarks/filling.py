"""A vault with as many values as a question needs, and what the C loop has to know of it.

    <folder>/vault/       data of a development vault: customers of five values each
    <folder>/tokens       the values' tokens, 36 bytes each, customer by customer
    <folder>/keys         the keys of their records, 9 bytes each, in the same order
    <folder>/seal_keys    sealing keys by customer number, 32 bytes each; they seal made-up data only
    <folder>/copy/        a copy of the plane `values` as it was when the vault was filled
    <folder>/made.json    written last: how many values, the suite, the vault's id

The use cases of the vault store the values, without gRPC, in a process for each core; every row is what a
served vault would have written. A folder that is complete is used again.
"""

import ctypes
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from benchmarks import contacts
from benchmarks.c_loop.loop import KEY_BYTES, Records
from benchmarks.in_process import CALLER, opened
from vault.config import Settings, StorageSettings
from vault.core.vault import Vault
from vault.crypto import hazmat
from vault.crypto.suites import SUITES, XCHACHA20_POLY1305
from vault.crypto.tokens import BLOCK_BYTES, parts
from vault.model.ids import Generation
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.secret import Secret
from vault.store.layout import value_key

FIELDS = 5
TOKEN_BYTES = 36
_COLUMNS = ("First Name", "Last Name", "Email", "Street Address", "City")
_POOL = 5_000
_CUSTOMERS_A_CALL = 1_000
_THREADS = 2  # one prepares while another's commit waits for the disk
_PROCESSES = 4
_FEW = 10_000  # customers that are not worth starting a process for
_SEAL_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled vault that nobody has open, by numbers of values from 0 on: customer n has 5 n to 5 n + 4."""

    folder: Path
    values: int
    suite: int
    vault_id: bytes
    tokens: bytes
    keys: bytes

    @property
    def customers(self) -> int:
        """How many."""
        return self.values // FIELDS

    def token(self, value: int) -> str:
        """Of one value."""
        return self.tokens[TOKEN_BYTES * value : TOKEN_BYTES * (value + 1)].decode()

    def key(self, value: int) -> bytes:
        """Of one value's record."""
        return self.keys[KEY_BYTES * value : KEY_BYTES * (value + 1)]

    def records(self) -> Records:
        """For the C loop."""
        keys = (self.folder / "seal_keys").read_bytes()
        return Records(self.folder / "copy", self.vault_id, self.suite, keys)


def filled(folder: Path, values: int, suite: int = XCHACHA20_POLY1305) -> Filled:
    """Fills a vault, unless `folder` holds it already.

    Args:
        folder: Of its own; emptied if it is not complete.
        values: Rounded up to whole customers.
        suite: Number of the AEAD.
    """
    made = folder / "made.json"
    if not made.exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "vault").mkdir(parents=True, mode=0o700)
        vault_id = _fill(folder, -(-values // FIELDS), suite)
        (folder / "copy").mkdir()
        shutil.copyfile(folder / "vault/values/data.mdb", folder / "copy/data.mdb")
        made.write_text(
            json.dumps({"values": -(-values // FIELDS) * FIELDS, "suite": suite, "id": vault_id.hex()})
        )
    said = json.loads(made.read_text())
    if (said["values"], said["suite"]) != (-(-values // FIELDS) * FIELDS, suite):
        raise ValueError(f"{folder} holds another vault")
    return Filled(
        folder,
        said["values"],
        suite,
        bytes.fromhex(said["id"]),
        (folder / "tokens").read_bytes(),
        (folder / "keys").read_bytes(),
    )


def entries(first: int, count: int, rows: Sequence[dict[str, str]]) -> list[Entry]:
    """Customers from number `first` on, each with the five values of one of the rows."""
    places = [(column, *contacts.FIELDS["hubspot"][column]) for column in _COLUMNS]
    return [
        Entry(
            CustomerRef(external_id=Secret(f"crm-{number}")),
            [
                FieldInput(field_class, Secret(rows[number % len(rows)][column]), label)
                for column, field_class, label in places
            ],
        )
        for number in range(first, first + count)
    ]


def rows_of_five(count: int) -> list[dict[str, str]]:
    """Made-up contacts that have all five values, no two of them equal."""
    whole = (
        row for row in contacts.generate(10 * count) if len({row[each] for each in _COLUMNS} - {""}) == FIELDS
    )
    return list(islice(whole, count))


@dataclass(frozen=True, slots=True)
class _Part:
    """What is known of some customers that were stored; `seal_keys` by number of the customer."""

    tokens: bytes
    keys: bytes
    seal_keys: dict[int, bytes]


def _fill(folder: Path, customers: int, suite: int) -> bytes:
    """Stores the customers and writes what is known of them; the vault's id."""
    with opened(folder / "vault", _settings(suite)) as vault:
        vault_id = vault.engine.vault_id
    processes = 1 if customers < _FEW else min(_PROCESSES, len(os.sched_getaffinity(0)))
    size = -(-customers // processes)
    slices = [(folder, suite, first, min(size, customers - first)) for first in range(0, customers, size)]
    if len(slices) == 1:
        parts = [_stored(*slices[0])]
    else:
        with ProcessPoolExecutor(len(slices), mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_stored, *zip(*slices, strict=True)))
    (folder / "tokens").write_bytes(b"".join(part.tokens for part in parts))
    (folder / "keys").write_bytes(b"".join(part.keys for part in parts))
    found = {number: key for part in parts for number, key in part.seal_keys.items()}
    missing = bytes(_SEAL_KEY_BYTES)
    (folder / "seal_keys").write_bytes(
        b"".join([found.get(number, missing) for number in range(max(found) + 1)])
    )
    return vault_id


def _settings(suite: int) -> Settings:
    return Settings(storage=StorageSettings(suite=SUITES[suite].name))


def _stored(folder: Path, suite: int, first: int, count: int) -> _Part:
    """Stores customers, beside other processes that store others."""
    rows = rows_of_five(_POOL if first + count > _POOL else first + count)
    tokens, keys, seal_keys = bytearray(), bytearray(), dict[int, bytes]()
    with (
        opened(folder / "vault", _settings(suite)) as vault,
        ThreadPoolExecutor(_THREADS) as pool,
    ):

        def store(begin: int) -> list[str]:
            some = entries(begin, min(_CUSTOMERS_A_CALL, first + count - begin), rows)
            request = str(uuid.uuid4())
            answers = vault.tokenize(CALLER, some, domain="", request_id=request, atomic=True, batch=True)
            return [result.token for answer in answers for result in answer.results]

        for stored in pool.map(store, range(first, first + count, _CUSTOMERS_A_CALL)):
            tokens += "".join(stored).encode()
            keys += _located(vault, stored, seal_keys)
    return _Part(bytes(tokens), bytes(keys), seal_keys)


def _located(vault: Vault, tokens: Sequence[str], seal_keys: dict[int, bytes]) -> bytes:
    """The keys of the tokens' records; the sealing keys of their customers go into `seal_keys`."""
    engine = vault.engine
    found = []
    with engine.store.keyring() as keyring:
        blocks = engine.secrets.codec.decipher_batch(tokens)
        for at in range(0, len(blocks), BLOCK_BYTES):
            deciphered = parts(blocks[at : at + BLOCK_BYTES])
            region, number, generation = deciphered.region, deciphered.customer_no, Generation(1)
            found.append(value_key(region, number, deciphered.value_no))
            if number in seal_keys:
                continue
            row = keyring.dek(region, number, generation)
            assert row is not None
            with engine.deks.unwrap(row, keyring.epoch, region, number, generation) as dek:
                address = hazmat.address_of(dek.seal_key)
                seal_keys[number] = ctypes.string_at(address, _SEAL_KEY_BYTES)
    return b"".join(found)
