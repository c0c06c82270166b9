"""Which keys and customers can still be found in what is left of a vault.

Somebody holds every copy ever made, and may use every root key that the provider still has. They open what
these root keys open: the epoch keys (EDK), under them the data keys and the secrets, among them the keys of
the indexes. So four searches, the first three at every offset of every file:
- the raw bytes of any key that the vault ever made: there must be none, at any time;
- `nonce | ciphertext` that decrypts, under any EDK that still opens, to a data key. No tag is looked at, so a
  row counts even if half its page was used again, or nobody knows any more whose it is;
- the hash of a shredded customer's external id, or of a phone number that is gone, under any index key that
  still opens;
- with the data keys found, the customer's records in every copy of the access log.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.scenarios.support.forensics.accesses import told_by_keys
from tests.scenarios.support.forensics.copies import files_of, pieces_of
from tests.scenarios.support.forensics.keylist import NotedKey, Owner
from tests.scenarios.support.forensics.scanning import Needles
from vault.core.indexkeys import EXTERNAL_INDEX, external_hash, search_hash
from vault.core.searchindex import digest_of, value_message
from vault.crypto import hazmat
from vault.fields import DEFAULT_FIELDS
from vault.keys.file_provider import FileProvider
from vault.keys.unlock import EdkFile

PHONE: Final = DEFAULT_FIELDS.get("phone")
PHONE_NUMBER: Final = DEFAULT_FIELDS.names.index("phone") + 1  # as founding numbers the classes


def phone_hash(key: hazmat.KeyPointer, phone: str) -> bytes:
    """The hash under which a phone number (E.164) stands in an index."""
    return search_hash(key, value_message(PHONE_NUMBER, digest_of(PHONE, phone.encode()))[1])


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody may know or guess of a customer."""

    external_id: str
    phone: str


@dataclass(slots=True)
class Findings:
    """What was found: keys as they are, data keys that open, identifiers in an index, accesses."""

    raw: dict[NotedKey, Path] = field(default_factory=dict)
    sealed: dict[Owner, Path] = field(default_factory=dict)
    hashed: dict[str, Path] = field(default_factory=dict)
    accesses: dict[int, int] = field(default_factory=dict)  # records of a customer, by its number
    phones: dict[str, Path] = field(default_factory=dict)  # by external id of who had them
    epochs: set[int] = field(default_factory=set)  # those whose EDK opens
    searched_bytes: int = 0


class Search:
    """A search of some directories, with the root keys that a provider's directory still holds."""

    def __init__(self, places: Sequence[Path], root_keys: Iterable[Path], key_file: Path) -> None:
        self._places = places
        self.paths = files_of(places)
        self._edks = {
            edk: epoch for directory in root_keys for edk, epoch in open_edks(self.paths, directory, key_file)
        }

    def run(
        self,
        keys: Sequence[NotedKey],
        shredded: set[Owner],
        customers: Sequence[Known],
        phones: Sequence[Known],
        region: int,
    ) -> Findings:
        """Searches everything.

        Args:
            keys: every key ever made; looked for as they are.
            shredded: whose data keys are looked for under the epoch keys.
            customers: shredded ones, looked for in the indexes.
            phones: of customers who are shredded or have them no more, looked for there, too.
            region: of the vault, part of every customer's name.
        """
        found = Findings(epochs=set(self._edks.values()))
        gone = [each for each in keys if (each.customer, each.generation) in shredded]
        hashes = self._hashes(keys, customers, phones)
        raw, sealed = Needles([each.key for each in keys]), Needles([each.key for each in gone])
        hashed, names = Needles(list(hashes)), list(hashes.values())
        for piece in pieces_of(self.paths, set()):
            found.searched_bytes += len(piece.data)
            for _, which in raw.find(piece.data):
                found.raw[keys[which]] = piece.path
            for _, which in hashed.find(piece.data):
                name, is_phone = names[which]
                (found.phones if is_phone else found.hashed)[name] = piece.path
            for edk in self._edks:
                for _, which in sealed.find_sealed(edk, piece.data):
                    found.sealed[gone[which].customer, gone[which].generation] = piece.path
        opened = {
            owner: each.key for each in gone if (owner := (each.customer, each.generation)) in found.sealed
        }
        found.accesses = told_by_keys(self._places, region, opened)
        return found

    def _hashes(
        self, keys: Sequence[NotedKey], customers: Sequence[Known], phones: Sequence[Known]
    ) -> dict[bytes, tuple[str, bool]]:
        hashes: dict[bytes, tuple[str, bool]] = {}
        memory = hazmat.GuardedMemory(32)
        for each in keys:
            if each.name.startswith("index/") and bytes.fromhex(each.under) in self._edks:
                hazmat.load_key(memory.pointer(), each.key)
                assert each.name == EXTERNAL_INDEX  # another index would have to be searched, too
                for customer in customers:
                    hashed = external_hash(memory.pointer(), customer.external_id.encode())
                    hashes[hashed] = customer.external_id, False
                for owner in phones:
                    hashes[phone_hash(memory.pointer(), owner.phone)] = owner.external_id, True
        memory.free()
        return hashes


def open_edks(paths: Iterable[Path], root_keys: Path, key_file: Path) -> Iterator[tuple[bytes, int]]:
    """The EDK and epoch of every copy of a keyring whose root key is there."""
    provider = FileProvider(root_keys, passphrase=None, key_file=key_file)
    for path in paths:
        if path.name == "EDK":
            file = EdkFile.read(path.parent)
            if (root_keys / f"{file.root_key_id}.json").exists():
                vault_id = bytes.fromhex(json.loads((path.parents[2] / "FORMAT").read_text())["vault_id"])
                context = b"customervault edk v1\0" + vault_id + file.epoch.to_bytes(4, "big")
                yield provider.unwrap(file.root_key_id, file.wrapped, context), file.epoch
