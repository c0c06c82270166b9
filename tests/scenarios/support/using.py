"""Reads a token, or revokes it, killed at a step of that commit: `python -m ... DATA_DIR ACT TOKEN STEP`.

Steps are those of the store: `ledger`, `values`. What was revealed is printed, so nothing is
unless the process outlives the step.
"""

import os
import signal
import sys
from pathlib import Path

from tests.scenarios.support.deployment import open_vault


def main() -> None:
    """The process that is killed."""
    data_dir, act, token, wanted = Path(sys.argv[1]), *sys.argv[2:5]

    def at(step: str) -> None:
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_vault(data_dir, "using", unlocking=True) as desks:
        desks.vault.engine.store._shared.after_step = at
        if act == "read":
            os.write(1, desks.crm.plain(token).encode())
        else:
            desks.vault.revoke_token(desks.crm.caller, token, "")
            os.write(1, b"revoked")


if __name__ == "__main__":
    main()
