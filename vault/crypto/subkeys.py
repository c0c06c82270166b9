"""What is derived from a customer's data key (DEK), and from which label.

    id   subkey                 used for
    1    seal                   records of suite 1 (XChaCha20-Poly1305)
    2    seal                   records of suite 2 (AES-256-GCM)
    3    seal                   records of suite 3 (AEGIS-256)
    10   row MAC                keyed BLAKE2b over the customer row
    11   fingerprint            keyed BLAKE2b of a value, to find it again
    12   sheet                  the customer's index sheet (XChaCha20-Poly1305)
    13   audit locator          keyed BLAKE2b that stands for the customer in audit records
    14   consent events         the customer's consent events (XChaCha20-Poly1305)
    255  key check value        its first 8 bytes lie beside the wrapped key

Every derivation is libsodium's crypto_kdf with the context `cv-dek-1`. A number is never given a
second meaning, so that no two uses share a key. Pointers are to 32 bytes of guarded memory.
"""

from typing import Final

from vault.crypto import hazmat
from vault.crypto.hazmat import KeyPointer
from vault.crypto.suites import SUITES
from vault.errors import IntegrityFailedError, InvalidRequestError

CONTEXT: Final = b"cv-dek-1"

ROW_MAC: Final = 10
FINGERPRINT: Final = 11
SHEET: Final = 12
AUDIT_LOCATOR: Final = 13
CONSENT_EVENTS: Final = 14
KEY_CHECK: Final = 255

KEY_CHECK_BYTES: Final = 8
MAC_BYTES: Final = 16
FINGERPRINT_BYTES: Final = 16
LOCATOR_BYTES: Final = 16


def derive_seal_key(dek: KeyPointer, suite: int, destination: KeyPointer) -> None:
    """Writes the key that seals records of `suite`.

    Raises:
        InvalidRequestError: no such suite.
    """
    known = SUITES.get(suite)
    if known is None:
        raise InvalidRequestError("no such AEAD suite")
    hazmat.derive_subkey(dek, known.subkey_id, CONTEXT, destination)


def derive_all(
    dek: KeyPointer,
    suite: int,
    *,
    seal: KeyPointer,
    row_mac: KeyPointer,
    fingerprint: KeyPointer,
    sheet: KeyPointer,
    locator: KeyPointer,
) -> None:
    """Writes every subkey that a write may need.

    Raises:
        InvalidRequestError: no such suite.
    """
    known = SUITES.get(suite)
    if known is None:
        raise InvalidRequestError("no such AEAD suite")
    wanted = (
        (known.subkey_id, seal),
        (ROW_MAC, row_mac),
        (FINGERPRINT, fingerprint),
        (SHEET, sheet),
        (AUDIT_LOCATOR, locator),
    )
    hazmat.derive_subkeys(dek, CONTEXT, wanted)


def derive_row_mac_key(dek: KeyPointer, destination: KeyPointer) -> None:
    """Writes the key that authenticates the customer row."""
    hazmat.derive_subkey(dek, ROW_MAC, CONTEXT, destination)


def derive_fingerprint_key(dek: KeyPointer, destination: KeyPointer) -> None:
    """Writes the key of the fingerprints that recognise a value stored before."""
    hazmat.derive_subkey(dek, FINGERPRINT, CONTEXT, destination)


def derive_sheet_key(dek: KeyPointer, destination: KeyPointer) -> None:
    """Writes the key that seals the customer's index sheet."""
    hazmat.derive_subkey(dek, SHEET, CONTEXT, destination)


def derive_locator_key(dek: KeyPointer, destination: KeyPointer) -> None:
    """Writes the key of the customer's locator in audit records."""
    hazmat.derive_subkey(dek, AUDIT_LOCATOR, CONTEXT, destination)


def derive_consent_key(dek: KeyPointer, destination: KeyPointer) -> None:
    """Writes the key that seals the customer's consent events."""
    hazmat.derive_subkey(dek, CONSENT_EVENTS, CONTEXT, destination)


def key_check_value(key: KeyPointer) -> bytes:
    """8 bytes that tell whether an unwrapped key is the right one, and nothing else about it."""
    return hazmat.derive_public(key, KEY_CHECK, CONTEXT, 16)[:KEY_CHECK_BYTES]


def require_key_check_value(key: KeyPointer, expected: bytes) -> None:
    """Checks an unwrapped key against the value kept beside it.

    Raises:
        IntegrityFailedError: another key.
    """
    if not hazmat.constant_time_equal(key_check_value(key), expected):
        raise IntegrityFailedError
