"""Whose records in the access log can still be told, by data keys that were found, and by names.

The log names a customer by a locator, made from its data key. So somebody who has found data keys in some
copy makes their locators, with nothing of the vault's code, and reads every copy of the log for records that
hold one. Beside that, what somebody has anyway, tokens and identifiers, is looked for in every entry.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.scenarios.support.forensics.keylist import Owner
from tests.scenarios.support.forensics.scanning import Needles
from vault.audit.reader import Entry, records
from vault.audit.records import ActRecord, Record
from vault.audit.sealed.log import SealedLog

_CONTEXT: Final = b"cv-dek-1"
_AUDIT_SUBKEY: Final = 13
AUDIT: Final = "audit"


def locator_of(dek: bytes, region: int, customer_no: int) -> bytes:
    """A customer's name in the log: libsodium's crypto_kdf, then keyed BLAKE2b (docs/formats.md)."""
    salt, person = _AUDIT_SUBKEY.to_bytes(16, "little"), _CONTEXT.ljust(16, b"\0")
    subkey = hashlib.blake2b(key=dek, salt=salt, person=person, digest_size=32).digest()
    customer = bytes([region]) + customer_no.to_bytes(5, "big")
    return hashlib.blake2b(customer, key=subkey, digest_size=16).digest()


def told_by_keys(places: Iterable[Path], region: int, deks: Mapping[Owner, bytes]) -> dict[int, int]:
    """For each customer that can be told: in how many records, of the copy that holds most of them."""
    owners = {locator_of(dek, region, customer): customer for (customer, _), dek in deks.items()}
    told: Counter[int] = Counter()
    for place in places:
        here: Counter[int] = Counter()
        for entry in records(place / AUDIT) if (place / AUDIT).is_dir() else ():
            if isinstance(entry, Entry):
                here.update({owners[each] for each in _locators(entry.record) if each in owners})
        told |= here
    return dict(told)


def told_by_names(places: Iterable[Path], names: Iterable[bytes]) -> set[bytes]:
    """Which of these strings of bytes, of 8 or more, stand in a file of the log, or in an entry of it."""
    by_length: dict[int, list[bytes]] = {}
    for name in set(names):
        by_length.setdefault(len(name), []).append(name)
    needles = [(known, Needles(known)) for known in by_length.values()]
    found = set()
    for place in places:
        for data in _held(place / AUDIT):
            found |= {known[hit.needle] for known, needle in needles for hit in needle.find(data)}
    return found


def _held(audit: Path) -> Iterator[bytes]:
    if audit.is_dir():
        yield from (path.read_bytes() for path in sorted(audit.rglob("*")) if path.is_file())
        log = SealedLog.open(audit)
        yield b"\0".join(log.entry(leaf) for leaf in range(log.first, log.size))


def _locators(record: Record) -> Iterable[bytes]:
    return record.locators if isinstance(record, ActRecord) else [group.locator for group in record.groups]
