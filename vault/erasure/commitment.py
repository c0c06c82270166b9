"""The commitment of an erasure to its customer, without naming anybody.

    SHA-256("customervault erasure v1" | 0x00 | salt 32 | external id)

Whoever has the salt can show for whom a certificate was issued. The requester gets it, the vault keeps none.
"""

import hashlib

SALT_BYTES = 32


def commitment(external_id: bytes, salt: bytes) -> bytes:
    """The commitment (32 bytes) to an external id under a salt (32 bytes)."""
    return hashlib.sha256(b"customervault erasure v1\0" + salt + external_id).digest()
