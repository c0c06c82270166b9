"""The AEAD suites on the allow-list.

    number  name                 nonce  tag  what it is
    1       xchacha20-poly1305      24   16  draft-irtf-cfrg-xchacha-03
    2       aes-256-gcm             12   16  NIST SP 800-38D
    3       aegis-256               32   32  RFC 10032, with the longer of its two tags

The number is the first byte of every sealed record. Each suite seals under a subkey of its own,
so one key never serves two algorithms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vault.errors import IntegrityFailedError, InvalidRequestError

XCHACHA20_POLY1305: Final = 1
AES_256_GCM: Final = 2
AEGIS_256: Final = 3

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Suite:
    """One AEAD: its number in records, its name in configuration, sizes in bytes."""

    number: int
    name: str
    nonce_bytes: int
    tag_bytes: int
    subkey_id: int

    @property
    def overhead_bytes(self) -> int:
        """What sealing adds to a plaintext: nonce and tag."""
        return self.nonce_bytes + self.tag_bytes


SUITES: Final[Mapping[int, Suite]] = {
    XCHACHA20_POLY1305: Suite(XCHACHA20_POLY1305, "xchacha20-poly1305", 24, 16, subkey_id=1),
    AES_256_GCM: Suite(AES_256_GCM, "aes-256-gcm", 12, 16, subkey_id=2),
    AEGIS_256: Suite(AEGIS_256, "aegis-256", 32, 32, subkey_id=3),
}
_BY_NAME = {suite.name: suite for suite in SUITES.values()}


def suite_of_record(number: int) -> Suite:
    """The suite that a stored record names.

    Raises:
        IntegrityFailedError: no such suite, so the record was not written by a vault.
    """
    suite = SUITES.get(number)
    if suite is None:
        raise IntegrityFailedError
    return suite


def suite_named(name: str) -> Suite:
    """The suite that configuration names.

    Raises:
        InvalidRequestError: not on the allow-list.
    """
    suite = _BY_NAME.get(name)
    if suite is None:
        raise InvalidRequestError("no such AEAD suite", known=", ".join(_BY_NAME))
    return suite
