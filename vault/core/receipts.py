"""Receipts of erasure: signed statements that their reader can check with the public key alone.

The statement is JSON with sorted keys and no spaces; the signature (Ed25519) covers
`customervault receipt v1 | 0 | statement`. It says what is known and no more: stage `effective`
means that this vault can no longer open the data; `not_covered` and `assurance` say what remains.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from vault.core.secrets import VaultSecrets
from vault.crypto import hazmat
from vault.keys.unlock import EdkFile
from vault.model.requests import Receipt
from vault.store.entries import Shred
from vault.store.session import WriteSession

_PREFIX: Final = b"customervault receipt v1\0"
_NOT_COVERED: Final = (
    "copies of values that callers made after reading them",
    "backups and snapshots of the keyring made before the shred, until this epoch's root key is destroyed",
    "loss or roll-back of this machine's storage before the erasure is final, as no witness is configured",
)


def commitment(external_id: bytes, salt: bytes) -> bytes:
    """SHA-256 commitment (32 bytes) to an external id; whoever has the salt (32 bytes) can open it."""
    return hashlib.sha256(b"customervault erasure v1\0" + salt + external_id).digest()


def shred_id_text(shred_id: bytes) -> str:
    """`shr_` and 32 hex digits."""
    return "shr_" + shred_id.hex()


class Receipts:
    """Writes and signs receipts."""

    def __init__(self, secrets: VaultSecrets, vault_id: bytes, edk_of: Callable[[int], EdkFile]) -> None:
        """`edk_of` gives what is written beside the keyring of an epoch."""
        self._secrets = secrets
        self._vault_id = vault_id
        self._edk_of = edk_of

    def effective(self, session: WriteSession, seq: int, time_ms: int, entry: Shred) -> Receipt:
        """The receipt of a shred that has just become effective."""
        edk = self._edk_of(session.epoch)
        return self._signed(
            {
                "type": "customervault/erasure-receipt/v1",
                "vault_id": self._vault_id.hex(),
                "shred_id": shred_id_text(entry.shred_id),
                "stage": "effective",
                "effective_time": _timestamp(time_ms),
                "commitment": {"algorithm": "SHA-256", "value": entry.commitment.hex()},
                "values": entry.values,
                "dek_generations": list(entry.generations),
                "epochs": [edk.epoch],
                "root_key_ids": [edk.root_key_id],
                "key_provider": edk.provider,
                "assurance": edk.assurance,
                "ledger": {"seq": seq},
                "not_covered": list(_NOT_COVERED),
            }
        )

    def _signed(self, statement: dict[str, object]) -> Receipt:
        encoded = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return Receipt(encoded, self._secrets.sign(_PREFIX + encoded), self._secrets.signing_key_id)


def verify_receipt(receipt: Receipt, public_key: bytes) -> None:
    """Checks a receipt's signature.

    Raises:
        IntegrityFailedError: it is not that key's signature of that statement.
    """
    hazmat.verify(public_key, receipt.signature, _PREFIX + receipt.statement)


def key_history_entry(public_key: bytes, key_id: str, since_ms: int) -> dict[str, str]:
    """An entry of `public/keys.json`, the history of verification keys."""
    encoded = base64.b64encode(public_key).decode()
    return {"key_id": key_id, "algorithm": "Ed25519", "public_key": encoded, "since": _timestamp(since_ms)}


def _timestamp(time_ms: int) -> str:
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def newest_key(history: Sequence[dict[str, str]]) -> bytes:
    """The public key that signs now."""
    return base64.b64decode(history[-1]["public_key"])
