"""`public/keys.json`: every key that the vault has signed with, the newest last.

JSON, a list of objects: `key_id`, `algorithm` ("Ed25519"), `public_key` (base64), `since` (RFC 3339, UTC).
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime


def key_history_entry(public_key: bytes, key_id: str, since_ms: int) -> dict[str, str]:
    """The entry of one key."""
    encoded = base64.b64encode(public_key).decode()
    since = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "key_id": key_id,
        "algorithm": "Ed25519",
        "public_key": encoded,
        "since": since.replace("+00:00", "Z"),
    }


def newest_key(history: Sequence[dict[str, str]]) -> bytes:
    """The public key that signs now."""
    return base64.b64decode(history[-1]["public_key"])
