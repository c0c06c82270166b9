"""Passphrases that a program made, and what stretching one costs.

    cvp1-<64 lower-case hexadecimal digits>      32 random bytes: made by `new`, for vaults of `--dev`

Argon2id (RFC 9106) makes guesses expensive, for what somebody thought up another may guess. Nobody guesses
256 random bits, so one of this form is stretched at the least cost that libsodium takes. The cost stands in
the root key's file: what was sealed at another opens as before.
"""

import re
from typing import NamedTuple

from vault.crypto import hazmat
from vault.model.secret import Secret

_RANDOM_BYTES = 32
_MADE = re.compile(rb"cvp1-[0-9a-f]{64}\Z")


class Cost(NamedTuple):
    """Of stretching by Argon2id."""

    opslimit: int  # passes over the memory
    memlimit: int  # bytes


THOUGHT_UP = Cost(3, 256 * 2**20)  # about half a second on one core
MADE = Cost(1, 2**13)


def new() -> Secret:
    """A passphrase of 32 random bytes."""
    return Secret(f"cvp1-{hazmat.random_bytes(_RANDOM_BYTES).hex()}")


def cost_of(passphrase: Secret) -> Cost:
    """What stretching a passphrase is to cost."""
    return MADE if _MADE.match(passphrase.reveal_bytes()) else THOUGHT_UP
