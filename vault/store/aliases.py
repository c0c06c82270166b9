"""Plaintext of an alias: a token of its own for a value of the same customer. Big-endian, 31 bytes.

    version u8 = 1 | state u8 | domain u8 | max_uses u8 | target value_no u24 | principal_id u32
    | created_ms u64 | expires_s u32 | ended_ms u64

It is sealed like a value, under a value number of its own, in a record with flag ALIAS. The field class in
the header is the target's; the header's `expires_s` says from when on the keeper may remove the alias.
max_uses is 0 (no limit) or 1, principal_id 0 (everybody of the domain), expires_s 0 (never).

Rules:
- An alias that has ended keeps its state for good, so that its token always answers alike. The first end
  counts.
- Removed means: header flag DELETED, no tags, not listed. What is left names nobody and stays, like the
  tombstone of a value, so that its number is not used again.
- An alias never points at an alias.
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, Self

from vault.errors import IntegrityFailedError

_ALIAS: Final = struct.Struct(">BBBB3sIQIQ")
_FORMAT: Final = 1
MAX_EXPIRES_S: Final = 2**32 - 1


class AliasState(IntEnum):
    """Whether an alias still stands for its value, or how it ended; numbers are part of the format."""

    LIVE = 1
    USED = 2
    REVOKED = 3
    EXPIRED = 4
    TARGET_DELETED = 5


@dataclass(frozen=True, slots=True)
class Alias:
    """What an alias points at and who may follow it, until when and how often."""

    target: int
    domain: int
    created_ms: int
    expires_s: int = 0
    max_uses: int = 0
    principal_id: int = 0
    state: AliasState = AliasState.LIVE
    ended_ms: int = 0

    def ended(self, state: AliasState, now_ms: int) -> Self:
        """The alias after its end; unchanged if it had ended before."""
        return self if self.state is not AliasState.LIVE else replace(self, state=state, ended_ms=now_ms)

    def expired(self, now_ms: int) -> bool:
        """Whether its time has passed."""
        return 0 < self.expires_s <= now_ms // 1000

    def pack(self) -> bytes:
        """31 bytes."""
        return _ALIAS.pack(
            _FORMAT,
            self.state,
            self.domain,
            self.max_uses,
            self.target.to_bytes(3, "big"),
            self.principal_id,
            self.created_ms,
            self.expires_s,
            self.ended_ms,
        )

    @classmethod
    def unpack(cls, plaintext: bytes) -> Self:
        """Reads an opened alias; raises `IntegrityFailedError` for bytes that `pack` cannot have produced."""
        try:
            version, state, domain, uses, target, principal, created, expires, ended = _ALIAS.unpack(
                plaintext
            )
            known = AliasState(state)
        except (struct.error, ValueError) as error:
            raise IntegrityFailedError from error
        if version != _FORMAT or uses > 1:
            raise IntegrityFailedError
        return cls(int.from_bytes(target, "big"), domain, created, expires, uses, principal, known, ended)
