"""The policy of the scenarios with budgets, approvals and a break-glass purpose, and a clock to turn."""

from tests.scenarios.support.deployment import Desks
from tests.scenarios.support.policies import ADMIN, POLICY
from vault.model.requests import Caller

HOUR_MS = 3_600_000

CONTROLS = (
    POLICY.replace('"audit", "restrict"]', '"audit", "restrict", "approve"]')
    .replace(
        'may = ["admin", "rotate", "inspect", "audit"]', 'may = ["admin", "rotate", "inspect", "approve"]'
    )
    .replace('may = ["inspect", "shred"]', 'may = ["inspect", "shred", "approve"]')
    + """
[purposes.emergency]
description = "Somebody's life is at stake"
break_glass = true
[principals.agent.reveal.emergency]
"*" = "PLAIN"

[approvals]
shred_customers = 2
export_customers = 2
destroy_epoch = true
valid_hours = 4
break_glass_minutes = 30
"""
)


def budget(**keys: object) -> str:
    """A budget of the principal `crm`, in TOML."""
    lines = {"principals": ["crm"], "window": "1h"} | keys
    shown = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for key, value in lines.items()
    ]
    return "\n".join(["[budgets.reading]", *shown, ""])


def apply(desks: Desks, document: str) -> None:
    """Puts a policy in force."""
    desks.vault.apply_policy(Caller(ADMIN), document, validate_only=False, request_id="")


class Clock:
    """The vault's clock: a minute ahead of when this was made, and what was added since."""

    def __init__(self, desks: Desks) -> None:
        self.now_ms = desks.vault.engine.now_ms() + 60_000  # beyond the floor that commits raise
        desks.vault.engine.now_ms = lambda: self.now_ms

    def add(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
