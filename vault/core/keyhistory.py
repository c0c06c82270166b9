"""`public/keys.json`: every key that has signed for the vault; its form is in `erasure.publickeys`.

Rules:
- The file says what the ledger says, and is made from it: whoever opens the vault writes what is missing.
- The keys that the ledger names, up to the one that signs by the keyring, are those that the keyring knows.
  If they are not, somebody has forked the ledger with a key that the vault gave up. What the ledger names
  after that was announced by that key: a change that is not finished yet.
"""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vault.core.secrets import VaultSecrets
from vault.crypto.keyids import signing_key_id
from vault.erasure.publickeys import public_keys
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError
from vault.store.entries import EntryType
from vault.store.files import write_durably
from vault.store.ledger import LEDGER_FILE
from vault.store.signers import Announcement
from vault.store.store import Store

KEYS_FILE: Final = Path("public") / "keys.json"


def key_history(vault_id: bytes, named: Sequence[Announcement]) -> bytes:
    """The content of the file, from what the ledger says."""
    return json.dumps([_entry(vault_id, each) for each in named], indent=2).encode() + b"\n"


def publish(data_dir: Path, vault_id: bytes, named: Sequence[Announcement]) -> None:
    """Writes the file unless it lists these keys; for the holder of the write lock."""
    if listed_keys(data_dir) != [each.public_key for each in named]:
        write_durably(data_dir / KEYS_FILE, key_history(vault_id, named))


def listed_keys(data_dir: Path) -> list[bytes] | None:
    """The public keys in the file, the newest last; None if it is missing or damaged."""
    try:
        return list(public_keys((data_dir / KEYS_FILE).read_bytes()).values()) or None
    except (OSError, InvalidRequestError, IntegrityFailedError):
        return None


def require_unforked(store: Store, secrets: VaultSecrets) -> None:
    """Compares what the ledger names with what the keyring knows.

    Raises:
        IntegrityFailedError: the ledger names other keys.
        KeyUnavailableError: the keyring is older than the ledger: it lacks the key that signs now.
    """
    keys = [each.public_key for each in store.signers()]
    if not secrets.can_sign(keys[-1]):
        secrets.refresh()  # another process may have changed the key since they were read
        keys = [each.public_key for each in store.signers()]
    current = secrets.public_key
    if current not in keys or set(keys[: keys.index(current) + 1]) != secrets.public_keys:
        raise IntegrityFailedError(file=LEDGER_FILE)
    if not secrets.can_sign(keys[-1]):
        raise KeyUnavailableError("the keyring is older than the ledger: it lacks the key that signs now")


def _entry(vault_id: bytes, named: Announcement) -> dict[str, str]:
    since = datetime.fromtimestamp(named.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    entry = {
        "key_id": signing_key_id(named.public_key),
        "algorithm": "Ed25519",
        "public_key": base64.b64encode(named.public_key).decode(),
        "since": since.replace("+00:00", "Z"),
    }
    if named.type == EntryType.SIGNING_KEY_CHANGED:
        entry |= {"vault_id": vault_id.hex(), "announcement": named.encode()}
    return entry
