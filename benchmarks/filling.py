"""A vault with as many values as a question needs, and what the C loop has to know of it.

    <folder>/vault/       data of a development vault: customers of five values each
    <folder>/tokens       the values' tokens, 36 bytes each, customer by customer
    <folder>/keys         the keys of their records, 9 bytes each, in the same order
    <folder>/seal_keys    sealing keys by customer number, 32 bytes each; they seal made-up data only
    <folder>/copy/        a copy of the plane `values` as it was when the vault was filled
    <folder>/made.json    written last: how many values, the suite, the vault's id

The use cases of the vault store the values, in this process and without gRPC; every row is what a served
vault would have written. A folder that is complete is used again.
"""

import ctypes
import json
import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks import contacts
from benchmarks.c_loop.loop import KEY_BYTES, Records
from benchmarks.in_process import CALLER, opened
from vault.config import Settings, StorageSettings
from vault.core.vault import Vault
from vault.crypto import hazmat
from vault.crypto.suites import SUITES, XCHACHA20_POLY1305
from vault.model.ids import CustomerNo, Generation, Region
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.secret import Secret

FIELDS = 5
TOKEN_BYTES = 36
_COLUMNS = ("First Name", "Last Name", "Email", "Street Address", "City")
_POOL = 5_000
_CUSTOMERS_A_CALL = 1_000
_THREADS = 3  # one prepares while another's commit waits for the disk
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


def _fill(folder: Path, customers: int, suite: int) -> bytes:
    """Stores the customers and writes what is known of them; the vault's id."""
    settings = Settings(storage=StorageSettings(suite=SUITES[suite].name))
    rows = rows_of_five(min(_POOL, customers))
    with (
        opened(folder / "vault", settings) as vault,
        (folder / "tokens").open("wb") as tokens,
        (folder / "keys").open("wb") as keys,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        seal_keys = bytearray()

        def store(first: int) -> list[str]:
            some = entries(first, min(_CUSTOMERS_A_CALL, customers - first), rows)
            request = str(uuid.uuid4())
            answers = vault.tokenize(CALLER, some, domain="", request_id=request, atomic=True, batch=True)
            return [result.token for answer in answers for result in answer.results]

        for stored in pool.map(store, range(0, customers, _CUSTOMERS_A_CALL)):
            tokens.write("".join(stored).encode())
            keys.write(_located(vault, stored, seal_keys))
        (folder / "seal_keys").write_bytes(seal_keys)
        return vault.engine.vault_id


def _located(vault: Vault, tokens: Sequence[str], seal_keys: bytearray) -> bytes:
    """The keys of the tokens' records; the sealing keys of their customers go into `seal_keys`."""
    engine = vault.engine
    found = []
    held = b""
    with engine.store.keyring() as keyring:
        for deciphered in engine.secrets.codec.decipher_batch(tokens):
            assert deciphered is not None
            home, customer, value_no = deciphered
            found.append(home[:1] + customer + value_no)
            if customer == held:
                continue
            held = customer
            number = CustomerNo(int.from_bytes(customer, "big"))
            region, generation = Region(home[0]), Generation(1)
            row = keyring.dek(region, number, generation)
            assert row is not None
            with engine.deks.unwrap(row, keyring.epoch, region, number, generation) as dek:
                missing = _SEAL_KEY_BYTES * (number + 1) - len(seal_keys)
                seal_keys.extend(bytes(max(0, missing)))
                seal_keys[_SEAL_KEY_BYTES * number : _SEAL_KEY_BYTES * (number + 1)] = ctypes.string_at(
                    hazmat.address_of(dek.seal_key), _SEAL_KEY_BYTES
                )
    return b"".join(found)
