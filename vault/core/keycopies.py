"""Copies of the keyring: what a restore on another machine needs, and what a shred has to outlive.

    <directory>/<time>/
        MANIFEST.json        see `store.bundle`; facts: epoch, provider, root_key_id, entry, rows, ledger
        keyring/data.mdb     the wrapped keys, compact      keyring/EDK    the wrapped epoch key
        ledger/entries       as of the copy's moment
        FORMAT  public/keys.json  tls/ca.crt
        root/<id>.json       only where asked for, and only of the provider `file`

Rules:
- The ledger names every copy before it exists, so that no copy is unknown; the number of that entry is the
  copy's name in the ledger. It also says when every key in a copy was opened: `[keys] verified_copies` counts
  those. Duplicates of one copy count once.
- A copy dies with its epoch: once the epoch's root key is destroyed, it opens nothing.
- Copy and root key must not lie together: whoever has both needs no more than the root key's passphrase to
  open every customer who was shredded since the copy, in any old copy of the values.
"""

import shutil
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from vault.config import Settings
from vault.core.backup import LEDGER_PATH, Problem, check_ledger, ledger_keys, take_ledger, take_public
from vault.core.epochhistory import History
from vault.core.offline import open_offline
from vault.core.trail import Trail
from vault.crypto import hazmat
from vault.crypto.hazmat import GuardedMemory
from vault.crypto.slots import SlotPool
from vault.errors import InvalidRequestError, OverloadedError, VaultError
from vault.keys.keyring import DEK_BYTES, Keyring
from vault.keys.unlock import EdkFile, unlock, unlock_copy
from vault.model.ids import Epoch
from vault.model.secret import Secret
from vault.store.bundle import Bundle, bundle_name, making
from vault.store.copying import PlaneCopy
from vault.store.entries import EntryType, KeyringCopied, KeyringVerified
from vault.store.epochs import keyring_path
from vault.store.files import FORMAT_FILE, KEYRING, Format, read_current
from vault.store.layout import split_dek_key
from vault.store.lineage import opened_ledger
from vault.store.snapshot import KEYRING_TABLES

KEYRING_KIND: Final = "keyring"
PLANE: Final = KEYRING
_EDK: Final = "EDK"
_ABOUT_COPIES: Final = frozenset({EntryType.KEYRING_COPIED, EntryType.KEYRING_VERIFIED})


class Worth(StrEnum):
    """What a copy of the keyring is still good for."""

    IN_USE = "in use"  # a restore can use it
    FORMER = "former epoch"  # no restore can; its root key still exists, so it still opens what it holds
    WORTHLESS = "worthless"  # its root key is destroyed


def copy_keyring(
    data_dir: Path,
    settings: Settings,
    passphrase: Secret | None,
    directory: Path,
    *,
    with_root_key: bool = False,
    trail: Trail | None = None,
) -> Bundle:
    """Copies the keyring of the epoch in use; the vault may be served meanwhile.

    Args:
        data_dir: the vault's directory.
        settings: of the vault.
        passphrase: of the root key.
        directory: where the copy gets a directory of its own.
        with_root_key: put the root key's file beside it; provider `file` only.
        trail: records the copy before it is there.

    Raises:
        AuditUnavailableError: it cannot be recorded; there is no copy then.
        KeyUnavailableError: the epoch key cannot be opened.
        InvalidRequestError: the provider has no file to copy.
        OverloadedError: the epoch was rotated meanwhile; copy again.
    """
    found, now_ms, epoch = Format.read(data_dir), time.time_ns() // 1_000_000, read_current(data_dir)
    edk_file = EdkFile.read(keyring_path(data_dir, epoch))
    if with_root_key and edk_file.provider != "file":
        raise InvalidRequestError(f"root keys of the provider {edk_file.provider} cannot be copied")
    edk = unlock_copy(
        data_dir, passphrase, vault_id=found.vault_id, keyring_dir=keyring_path(data_dir, epoch)
    )
    facts: dict[str, Any] = {
        "epoch": epoch,
        "provider": edk_file.provider,
        "root_key_id": edk_file.root_key_id,
        "with_root_key": with_root_key,
    }
    name = bundle_name(now_ms)
    kind = {"kind": KEYRING_KIND, "vault_id": found.vault_id, "created_ms": now_ms}
    with open_offline(data_dir, settings, edk) as vault, making(directory, name, facts=facts, **kind) as path:  # type: ignore[arg-type]
        if vault.store.epoch != epoch:
            raise OverloadedError("the epoch is being rotated; copy again")
        with vault.store.write("erase") as session:
            vault.recovery(session)
            if session.epoch != epoch:
                raise OverloadedError("the epoch is being rotated; copy again")
            facts["entry"] = session.append(KeyringCopied(epoch))
            session.commit()
        if vault.store.copy_keyring(path / PLANE) != epoch:
            raise OverloadedError("the epoch is being rotated; copy again")
        shutil.copyfile(keyring_path(data_dir, epoch) / _EDK, path / PLANE / _EDK)
        with PlaneCopy(path / PLANE, KEYRING_TABLES) as copied:
            facts["rows"] = copied.counts()
        facts["ledger"] = take_ledger(data_dir, path, found.vault_id)
        take_public(data_dir, path)
        if with_root_key:
            _take_root_key(data_dir, settings, edk_file.root_key_id, path)
        if trail is not None:
            trail.local("CopyKeyring", name=name, epoch=epoch, with_root_key=with_root_key)
    return Bundle.read(directory / name, KEYRING_KIND)


def verify_copy(
    path: Path, data_dir: Path, passphrase: Secret | None, *, locked: bool = False
) -> tuple[Bundle, list[Problem]]:
    """Checks a copy: hashes and ledger, and unless `locked`, every key in it by opening it.

    Raises:
        InvalidRequestError, StorageFormatError, IntegrityFailedError: it is no copy of a keyring.
        KeyUnavailableError: its epoch key cannot be opened, as after the end of its epoch.
    """
    bundle = Bundle.read(path, KEYRING_KIND)
    problems = [Problem(name, "is missing, or not what the manifest says") for name in bundle.damaged()]
    problems += check_ledger(bundle, 0)
    if not locked:
        edk = unlock_copy(data_dir, passphrase, vault_id=bundle.vault_id, keyring_dir=path / PLANE)
        try:
            problems += _open_rows(bundle, edk)
        finally:
            edk.free()
    return bundle, problems


def note_verified(data_dir: Path, settings: Settings, passphrase: Secret | None, bundle: Bundle) -> bool:
    """Writes into the ledger that every key in a copy was opened; `verify_copy` must have found no problem.

    Returns:
        Whether it counts: only a copy of the keyring in use does, and only one that the ledger names.

    Raises:
        KeyUnavailableError: the epoch key cannot be opened.
        WitnessUnavailableError, StorageFullError: it cannot be written now.
    """
    if not (data_dir / FORMAT_FILE).exists() or read_current(data_dir) != bundle.facts["epoch"]:
        return False
    epoch, entry = int(bundle.facts["epoch"]), int(bundle.facts.get("entry", 0))
    edk = unlock(data_dir, settings, passphrase)
    with open_offline(data_dir, settings, edk) as vault, vault.store.write("erase") as session:
        vault.recovery(session)
        said = list(vault.store.ledger(types=_ABOUT_COPIES))
        named = any(each.seq == entry and each.payload == KeyringCopied(epoch) for each in said)
        if session.epoch != epoch or bundle.vault_id != vault.store.vault_id or not named:
            return False
        verified = KeyringVerified(epoch, entry)
        if not any(each.payload == verified for each in said):
            session.append(verified)
            session.commit()
    return True


def worth_of(bundle: Bundle, data_dir: Path) -> Worth:
    """What a copy is good for, by the ledger of the vault in `data_dir`.

    Raises:
        StorageFormatError: there is no vault.
        InvalidRequestError: it is another vault's copy.
    """
    found = Format.read(data_dir)
    if bundle.vault_id != found.vault_id:
        raise InvalidRequestError(f"{bundle.path} is another vault's copy")
    with opened_ledger(
        data_dir / LEDGER_PATH, found.vault_id, hazmat.verify, ledger_keys(data_dir)
    ) as ledger:
        history = History.of(ledger.entries())
    if bundle.facts["root_key_id"] in history.ended:
        return Worth.WORTHLESS
    return Worth.IN_USE if bundle.facts["epoch"] == read_current(data_dir) else Worth.FORMER


def _open_rows(bundle: Bundle, edk: GuardedMemory) -> Iterable[Problem]:
    """Opens every wrapped key and secret, and counts them."""
    file = f"{PLANE}/data.mdb"
    keyring = Keyring(edk, bundle.vault_id, Epoch(int(bundle.facts["epoch"])))
    pool = SlotPool(DEK_BYTES, DEK_BYTES, slab_slots=1)
    slot = pool.acquire()
    try:
        with PlaneCopy(bundle.path / PLANE, KEYRING_TABLES) as plane:
            if plane.counted() != bundle.facts["rows"]:
                yield Problem(file, "does not have the rows that the manifest counts")
            unopened = 0
            for key, row in plane.rows("deks"):
                try:
                    keyring.unwrap_dek(row, *split_dek_key(key), pool.pointer(slot))
                except VaultError:
                    unopened += 1
            for name, row in plane.rows("secrets"):
                try:
                    keyring.unwrap_secret(name.decode(), row)
                except VaultError:
                    unopened += 1
            if unopened:
                yield Problem(file, f"{unopened} keys do not open")
    except VaultError as error:
        yield Problem(file, str(error))
    finally:
        pool.release(slot)
        pool.close()


def _take_root_key(data_dir: Path, settings: Settings, root_key_id: str, path: Path) -> None:
    directory = Path(settings.keys.directory) if settings.keys.directory else data_dir / "root"
    (path / "root").mkdir(mode=0o700)
    shutil.copyfile(directory / f"{root_key_id}.json", path / "root" / f"{root_key_id}.json")
    (path / "root" / f"{root_key_id}.json").chmod(0o600)
