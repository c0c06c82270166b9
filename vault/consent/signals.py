"""Signals that a browser sends for its user: Global Privacy Control.

`Sec-GPC: 1` asks not to sell or share the user's data (W3C, Global Privacy Control). Any other value, and no
header, is no signal: neither consent nor its end may be read from it. It is recorded as an objection to every
purpose that the policy says sells or shares, and to no other.
"""

from typing import Final

from vault.policy.rules import Purpose

GPC_METHOD: Final = "gpc"


def opts_out(sec_gpc: str | None) -> bool:
    """Whether the value of the header `Sec-GPC`, None without one, is the signal: exactly `1`."""
    return sec_gpc == "1"


def sells_or_shares(purpose: Purpose) -> bool:
    """Whether a purpose counts as sale or sharing."""
    return purpose.sale_or_sharing
