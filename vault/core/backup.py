"""Backups of a vault's data, made while it is served: everything but keys.

    <directory>/<time>/
        MANIFEST.json        see `store.bundle`; facts: applied, epoch, incarnation, rows, ledger
        values/data.mdb      compact: nothing that was deleted is in it
        ledger/entries       copied after the values, so that it knows everything that they hold
        FORMAT  public/keys.json  tls/ca.crt

Rules:
- Neither keyring nor index nor root keys: a backup may be kept as long as anybody likes, and opens nothing.
- It needs no passphrase. What is in it is sealed and authenticated; the ledger is signed.
"""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vault.core.keyhistory import KEYS_FILE, listed_keys
from vault.core.trail import Trail
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, VaultError
from vault.store.bundle import Bundle, bundle_name, making
from vault.store.copying import PlaneCopy, copy_values
from vault.store.entries import Genesis
from vault.store.files import FORMAT_FILE, LEDGER, VALUES, Format
from vault.store.ledger import LEDGER_FILE
from vault.store.lineage import copy_ledger, opened_ledger
from vault.store.snapshot import VALUES_TABLES
from vault.store.store import Store

DATA: Final = "data"
CA_FILE: Final = Path("tls") / "ca.crt"
LEDGER_PATH: Final = Path(LEDGER) / LEDGER_FILE


def create_backup(
    data_dir: Path, directory: Path, *, store: Store | None = None, trail: Trail | None = None
) -> Bundle:
    """Makes a backup in a directory of backups.

    Args:
        data_dir: the vault's directory; the vault may be served.
        directory: where the backup gets a directory of its own.
        store: the vault's store, if this process has it open.
        trail: records the backup before it is there.

    Raises:
        AuditUnavailableError: it cannot be recorded; there is no backup then.
        StorageFormatError: there is no vault.
        IntegrityFailedError: a store is damaged.
        StorageFullError: the directory's disk is full.
    """
    found, now_ms = Format.read(data_dir), time.time_ns() // 1_000_000
    facts: dict[str, Any] = {}
    name = bundle_name(now_ms)
    with making(directory, name, kind=DATA, vault_id=found.vault_id, created_ms=now_ms, facts=facts) as path:
        if store is not None:
            meta = store.copy_values(path / VALUES)
        else:
            meta = copy_values(data_dir, path / VALUES, found.vault_id)
        with PlaneCopy(path / VALUES, VALUES_TABLES) as values:
            rows = values.counts()
        facts |= {
            "applied": meta.applied,
            "epoch": meta.epoch,
            "incarnation": meta.incarnation,
            "rows": rows,
            "ledger": take_ledger(data_dir, path, found.vault_id),
        }
        take_public(data_dir, path)
        if trail is not None:
            trail.local("CreateBackup", name=name, customers=rows["sheets"], ledger=facts["ledger"])
    return Bundle.read(directory / name, DATA)


def take_ledger(data_dir: Path, path: Path, vault_id: bytes) -> int:
    """Copies the ledger as it is now into a copy that is being made; returns its last entry's number."""
    source = data_dir / LEDGER_PATH
    (path / LEDGER).mkdir(mode=0o700)
    with opened_ledger(source, vault_id, hazmat.verify, ledger_keys(data_dir)) as ledger:
        copy_ledger(source, ledger, path / LEDGER_PATH)
        return ledger.last.seq


def take_public(data_dir: Path, path: Path) -> None:
    """Copies what says whose data this is, and what verifies it."""
    for name in (Path(FORMAT_FILE), KEYS_FILE, CA_FILE):
        (path / name).parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(data_dir / name, path / name)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a copy that is not as it should be. No personal data is in it."""

    file: str
    text: str


def verify_backup(path: Path) -> tuple[Bundle, list[Problem]]:
    """Checks a backup without keys: hashes, every page of the values, the ledger's chain and signatures.

    Raises:
        InvalidRequestError, StorageFormatError, IntegrityFailedError: no backup, or its manifest is damaged.
    """
    bundle = Bundle.read(path, DATA)
    problems = [Problem(name, "is missing, or not what the manifest says") for name in bundle.damaged()]
    problems += _check_values(bundle)
    problems += check_ledger(bundle, int(bundle.facts["applied"]))
    return bundle, problems


def _check_values(bundle: Bundle) -> Iterable[Problem]:
    try:
        with PlaneCopy(bundle.path / VALUES, VALUES_TABLES) as values:
            meta = values.meta(bundle.vault_id)
            if (meta.applied, meta.epoch) != (bundle.facts["applied"], bundle.facts["epoch"]):
                yield Problem("values", "are not of the moment that the manifest names")
            if values.counted() != bundle.facts["rows"]:
                yield Problem("values", "do not have the rows that the manifest counts")
    except VaultError as error:
        yield Problem("values", str(error))


def check_ledger(bundle: Bundle, applied: int) -> Iterable[Problem]:
    """Checks the ledger in a copy: it is the vault's, whole, signed, and not behind `applied`."""
    name = str(LEDGER_PATH)
    try:
        path, keys = bundle.path / LEDGER_PATH, ledger_keys(bundle.path)
        with opened_ledger(path, bundle.vault_id, hazmat.verify, keys) as ledger:
            if ledger.last.seq != bundle.facts["ledger"] or ledger.last.seq < applied:
                yield Problem(name, f"ends at entry {ledger.last.seq}")
            ledger.verify_signatures()
            first = next(ledger.entries(), None)
            if first is None or not isinstance(first.payload, Genesis):
                yield Problem(name, "does not begin with the vault's first entry")
            elif first.payload.vault_id != bundle.vault_id:
                yield Problem(name, "is another vault's")
    except VaultError as error:
        yield Problem(name, str(error))


def ledger_keys(data_dir: Path) -> list[bytes]:
    """The keys in `public/keys.json` of a vault or of a copy.

    Raises:
        IntegrityFailedError: the file is missing or damaged.
    """
    keys = listed_keys(data_dir)
    if keys is None:
        raise IntegrityFailedError(file=str(KEYS_FILE))
    return keys
