"""Rotates the epoch of a vault, and is killed at a step of it: `python -m ... DATA_DIR STEP`.

Steps are those of `vault.core.epochs` and, within the commit of the swap, those of the store, written
`commit-ledger`, `commit-current`, `commit-values`; within the first commit that replaces data keys,
`reseal-ledger`, `reseal-keyring`, `reseal-values`. `none` lets it come to its end.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.scenarios.support.deployment import open_vault
from vault.core.custody import OwnCustodian
from vault.core.epochs import EpochRotation
from vault.core.resealing import Resealing
from vault.core.vault import Vault

STEPS = (
    "reseal-ledger", "reseal-keyring", "reseal-values", "resealing", "resealed", "intent", "staged",
    "created", "copied", "verified", "followed", "commit-ledger", "commit-current", "commit-values",
    "swapped", "retired", "removed", "destroyed",
)  # fmt: skip
BEFORE_THE_SWAP = STEPS[:12]


def rotation(vault: Vault, after_step: Callable[[str], None] = lambda _: None) -> EpochRotation:
    """A rotation of a vault that only this process has open."""
    engine = vault.engine
    return EpochRotation(engine, OwnCustodian(engine, engine.settings, None), after_step=after_step)


def rotate_until(data_dir: Path, wanted: str) -> None:
    """Rotates, and kills this process at the step that is wanted."""
    commit: list[str] = []
    all_waiting = Resealing.all_waiting

    def at(step: str) -> None:
        if step == "followed":
            commit.append("commit")
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    def resealing(self: Resealing, *arguments: Any) -> None:
        commit.append("reseal")
        all_waiting(self, *arguments)
        commit.clear()

    with open_vault(data_dir, "rotating", unlocking=True) as desks:
        desks.vault.engine.store._shared.after_step = lambda step: (
            at(f"{commit[0]}-{step}") if commit else None
        )
        with patch.object(Resealing, "all_waiting", resealing):
            rotation(desks.vault, at).rotate()


if __name__ == "__main__":
    rotate_until(Path(sys.argv[1]), sys.argv[2])
