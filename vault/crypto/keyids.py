"""Names of public keys."""

import hashlib


def signing_key_id(public_key: bytes) -> str:
    """Names an Ed25519 public key: `ed25519-` and the first 16 hex digits of its SHA-256."""
    return "ed25519-" + hashlib.sha256(public_key).hexdigest()[:16]
