"""Pseudonyms: one-way join keys, equal for equal values of one field class in one domain.

    secret     32 random bytes of one domain and generation, in the keyring
    key id     HKDF-SHA-256(secret, salt = vault id, info = "customer-vault pseudonym 1 id", 4 bytes)
    class key  HKDF-SHA-256(secret, salt = vault id,
                            info = "customer-vault pseudonym 1 key" | 0 | name of the field class, 32 bytes)
    mark       the first 16 bytes of HMAC-SHA-256(class key, normalized value)
    text       "cvp1_" and 40 hex digits: key id | mark

HKDF is RFC 5869; HMAC is RFC 2104 and FIPS 198-1, cut to 128 bits as RFC 2104 section 5 allows. HMAC-SHA-256
is a pseudorandom function: whoever lacks the class key can neither compute a pseudonym of a value that he
guesses nor tell which pseudonyms of two domains belong together. 128 bits: among 2**48 values the chance that
two share a pseudonym is below 2**-32.

Rules:
- `cvp1_` names this scheme, normalization of values included: what changes it takes another number.
- The key id tells keys apart, and nothing else. Only pseudonyms that begin alike can be joined.
- Domains have secrets of their own, so none is derived from another's.
- The keys are `bytes` of this process, as token and signing keys are; class keys are kept once derived.
"""

import hmac
from typing import Final

from vault.crypto.hazmat import hkdf_sha256

SCHEME: Final = "cvp1_"
SECRET_BYTES: Final = 32
KEY_ID_BYTES: Final = 4
MARK_BYTES: Final = 16
_ID: Final = b"customer-vault pseudonym 1 id"
_KEY: Final = b"customer-vault pseudonym 1 key\0"
_KEY_BYTES: Final = 32


class PseudonymKey:
    """The key of one domain's pseudonyms in one generation.

    Attributes:
        generation: counts the domain's keys, from 1.
        prefix: with which its pseudonyms begin, 13 characters.
    """

    __slots__ = ("_class_keys", "_secret", "_vault_id", "generation", "prefix")

    def __init__(self, secret: bytes, vault_id: bytes, generation: int) -> None:
        self.generation = generation
        self.prefix = SCHEME + hkdf_sha256(secret, vault_id, _ID, KEY_ID_BYTES).hex()
        self._secret = secret
        self._vault_id = vault_id
        self._class_keys: dict[str, bytes] = {}

    def pseudonym(self, field_class: str, normalized: bytes) -> str:
        """The pseudonym of a value, by which equal values of the class can be joined."""
        key = self._class_keys.get(field_class)
        if key is None:
            info = _KEY + field_class.encode()
            key = self._class_keys[field_class] = hkdf_sha256(self._secret, self._vault_id, info, _KEY_BYTES)
        return self.prefix + hmac.digest(key, normalized, "sha256")[:MARK_BYTES].hex()

    def __repr__(self) -> str:
        return f"<pseudonym key, generation {self.generation}>"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")
