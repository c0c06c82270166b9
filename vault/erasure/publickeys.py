"""Reads `public/keys.json`: the keys that a vault has signed with, each vouched for by the one before it.

    [ {"key_id": "ed25519-…", "algorithm": "Ed25519", "public_key": base64, "since": RFC 3339},
      {…, "vault_id": hex, "announcement": base64}, … ]                       the newest last

The announcement is the ledger's entry, signed with the key before, that names this key; its bytes are in
`vault.store.signers`. So a reader who knows one key to be the vault's needs nobody's word for later ones.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.signers import PUBLIC_KEY_BYTES, Announcement, follow

_ALGORITHM = "Ed25519"


def public_keys(history: bytes, trusted: str | None = None) -> dict[str, bytes]:
    """The keys of such a file by key id, the newest last.

    Args:
        history: content of the file.
        trusted: id of a key known from elsewhere to be the vault's. Only it and those that follow from it
            are given back. Without it, the first key of the file is believed.

    Raises:
        InvalidRequestError: it is not such a file, names a key wrongly, or does not have the trusted key.
        IntegrityFailedError: a key is not announced by the key before it.
    """
    try:
        listed: list[dict[str, Any]] = json.loads(history)
        named = [_named(each) for each in listed]
        vaults = {bytes.fromhex(each["vault_id"]) for each in listed[1:]}
        announcements = [Announcement.parse(each["announcement"]) for each in listed[1:]]
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise InvalidRequestError("not a list of the vault's public keys") from None
    if any(signing_key_id(key) != key_id for key_id, key in named):
        raise InvalidRequestError("the list of public keys names a key wrongly")
    keys = [key for _, key in named]
    if keys and announcements:
        _require_followed(keys, vaults, announcements)
    found = dict(named)
    if trusted is None:
        return found
    if trusted not in found:
        raise InvalidRequestError("the list of public keys does not have the key that is trusted")
    known = list(found)
    return {key_id: found[key_id] for key_id in known[known.index(trusted) :]}


def _require_followed(
    keys: Sequence[bytes], vaults: set[bytes], announcements: Sequence[Announcement]
) -> None:
    if len(vaults) != 1 or follow(vaults.pop(), keys[0], announcements, hazmat.verify) != list(keys):
        raise IntegrityFailedError(check="keys")


def _named(each: dict[str, Any]) -> tuple[str, bytes]:
    key = base64.b64decode(each["public_key"], validate=True)
    if len(key) != PUBLIC_KEY_BYTES or each["algorithm"] != _ALGORITHM or not isinstance(each["key_id"], str):
        raise ValueError("not a key of the vault")
    return each["key_id"], key
