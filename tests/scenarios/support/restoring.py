"""Backs up and restores a vault; killed at a step as `python -m ... restore DATA BACKUP STEP`.

`python -m ... backup DATA DIRECTORY` makes five backups of a vault that others write to.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.scenarios.support.deployment import Deployment
from vault.config import load_settings
from vault.core.backup import create_backup
from vault.core.restore import Restore, Sources
from vault.core.restorereport import RestoreReport

STEPS_OF_THE_SWAP = (
    "marked",
    *(f"{step} {name}" for name in ("values", "keyring/1", "index/1", "ledger", "CURRENT", "FORMAT")
      for step in ("aside", "placed")),
    "cleared",
)  # fmt: skip


def restore(deployment: Deployment, backup: Path, **sources: Path) -> RestoreReport:
    """A restore that goes through."""
    return restore_into(deployment.data_dir, Sources(backup, **sources))


def restore_into(
    data_dir: Path, sources: Sources, after_step: Callable[[str], None] = lambda _: None
) -> RestoreReport:
    """The same, watched."""
    staged = Restore(data_dir, load_settings(data_dir), sources, after_step=after_step)
    report = staged.stage(None)
    staged.put_in_place(report)
    return report


def main() -> None:
    """The process that is killed, or that makes backups."""
    command, data_dir, path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if command == "backup":
        for _ in range(5):
            create_backup(data_dir, path)
            time.sleep(0.01)
        return

    def at(step: str) -> None:
        if step == sys.argv[4]:
            os.kill(os.getpid(), signal.SIGKILL)

    restore_into(data_dir, Sources(path), at)


if __name__ == "__main__":
    main()
