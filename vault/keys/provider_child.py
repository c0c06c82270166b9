"""The short-lived child that runs a key provider: `python -m vault.keys.provider_child` and one of these.

    create DATA_DIR VAULT_ID EPOCH ROOT_KEY_ID     32 bytes: the EDK of a new epoch
    open DATA_DIR                                  32 bytes: the EDK of the current epoch
    open-copy DATA_DIR VAULT_ID KEYRING_DIR        32 bytes: the EDK that stands in that directory
    describe DATA_DIR PROVIDER ROOT_KEY_ID         JSON of a KeyDescription; disable and enable answer so, too
    destroy DATA_DIR PROVIDER ROOT_KEY_ID          JSON of a Destruction
    check DATA_DIR                                 JSON of a Destruction, of a key made for the purpose

It forbids dumps of its memory before it reads a secret. Standard input brings the passphrase or PIN, standard
output takes the answer, and standard error one line of JSON, `{"error": ...}`, when the command fails.
Libraries of providers may print: what they write to descriptor 1 goes to standard error.

Whoever makes, disables, enables or destroys a root key does so alone; see `resealing`. A new epoch is only
made by a secret that also opens the present one, so that a supervisor which still has a former passphrase
cannot seal a root key that nobody will open again.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vault.config import load_settings
from vault.crypto import hazmat
from vault.errors import KeyUnavailableError, VaultError
from vault.keys.hardening import forbid_dumps
from vault.keys.provider import KeyProvider, now_ms, open_provider
from vault.keys.resealing import root_keys_alone
from vault.keys.unlock import EDK_BYTES, EdkFile
from vault.model.ids import Epoch
from vault.model.secret import Secret

Opener = Callable[[str | None], KeyProvider]


def answer(arguments: list[str], passphrase: Secret | None) -> bytes:
    """What the child writes to standard output.

    Raises:
        VaultError: the command failed.
    """
    command, data_dir, rest = arguments[0], Path(arguments[1]), arguments[2:]

    def opened(name: str | None) -> KeyProvider:
        return open_provider(data_dir, load_settings(data_dir), passphrase, name=name)

    if command == "open":
        vault_id, epoch = _current(data_dir)
        return _unwrap(vault_id, EdkFile.read(data_dir / "keyring" / str(epoch)), opened)
    if command == "open-copy":
        return _unwrap(bytes.fromhex(rest[0]), EdkFile.read(Path(rest[1])), opened)
    if command == "check":
        return _json(_check(opened(None)))
    with root_keys_alone(data_dir):
        if command == "create":
            return _create(data_dir, bytes.fromhex(rest[0]), Epoch(int(rest[1])), rest[2], opened)
        return _about_root_key(command, opened(rest[0]), rest[1])


def _about_root_key(command: str, provider: KeyProvider, root_key_id: str) -> bytes:
    if command == "destroy":
        return _json(provider.destroy(root_key_id))
    if command == "disable":
        provider.disable(root_key_id)
    elif command == "enable":
        provider.enable(root_key_id)
    return _json(provider.describe(root_key_id))


def _create(data_dir: Path, vault_id: bytes, epoch: Epoch, root_key_id: str, opened: Opener) -> bytes:
    """Makes root key and EDK. An id that wraps any epoch is refused, so what is made again was never used."""
    for used in (data_dir / "keyring").glob("*/EDK"):
        if EdkFile.read(used.parent).root_key_id == root_key_id:
            raise KeyUnavailableError(f"root key {root_key_id} wraps epoch {used.parent.name} already")
    provider = opened(None)
    _require_present_epoch(data_dir, epoch, provider)
    provider.create(root_key_id)
    edk = hazmat.random_bytes(EDK_BYTES)
    wrapped = provider.wrap(root_key_id, edk, _context(vault_id, epoch))
    record = EdkFile(epoch, provider.name, root_key_id, provider.assurance, now_ms(), wrapped)
    record.write(data_dir / "keyring" / str(epoch))
    return edk


def _require_present_epoch(data_dir: Path, new: Epoch, provider: KeyProvider) -> None:
    if not (data_dir / "FORMAT").exists():
        return  # the vault is being founded
    vault_id, epoch = _current(data_dir)
    record = EdkFile.read(data_dir / "keyring" / str(epoch)) if epoch < new else None
    if record is None or record.provider != provider.name:
        return
    try:
        provider.unwrap(record.root_key_id, record.wrapped, _context(vault_id, epoch))
    except KeyUnavailableError as error:
        raise KeyUnavailableError(
            f"no new epoch, as the present one does not open: {error}; if its passphrase was changed since"
            " the vault started, restart the vault"
        ) from error


def _unwrap(vault_id: bytes, record: EdkFile, opened: Opener) -> bytes:
    provider = opened(record.provider)
    return provider.unwrap(record.root_key_id, record.wrapped, _context(vault_id, record.epoch))


def _check(provider: KeyProvider) -> Any:
    """Takes a throw-away root key through its life."""
    root_key_id = f"check-{hazmat.random_bytes(4).hex()}"
    key, context = hazmat.random_bytes(EDK_BYTES), b"customervault provider check v1\0"
    provider.create(root_key_id)
    try:
        wrapped = provider.wrap(root_key_id, key, context)
        if provider.unwrap(root_key_id, wrapped, context) != key:
            raise KeyUnavailableError("the key provider opens another key than it wrapped")
        try:
            provider.unwrap(root_key_id, wrapped, context + b"x")
        except KeyUnavailableError:
            pass
        else:
            raise KeyUnavailableError("the key provider does not bind the context of what it wraps")
    finally:
        destruction = provider.destroy(root_key_id)
    return destruction


def _context(vault_id: bytes, epoch: int) -> bytes:
    return b"customervault edk v1\0" + vault_id + epoch.to_bytes(4, "big")


def _current(data_dir: Path) -> tuple[bytes, Epoch]:
    """Vault id and epoch, from `FORMAT` and `CURRENT` of the data directory."""
    try:
        vault_id = bytes.fromhex(json.loads((data_dir / "FORMAT").read_text())["vault_id"])
        return vault_id, Epoch(int((data_dir / "CURRENT").read_text()))
    except (KeyError, ValueError, TypeError) as error:
        raise KeyUnavailableError("FORMAT or CURRENT of the data directory is damaged") from error


def _json(said: Any) -> bytes:
    return json.dumps(asdict(said)).encode()


def main() -> int:
    """Entry point of the child process."""
    forbid_dumps()
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        try:
            passphrase = Secret(sys.stdin.buffer.read())
            out.write(answer(sys.argv[1:], passphrase if len(passphrase) else None))
        except (VaultError, OSError) as error:
            print(json.dumps({"error": str(error)}), file=sys.stderr)  # noqa: T201 - its one way to speak
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
