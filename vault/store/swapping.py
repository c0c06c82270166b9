"""Puts staged stores in the place of a vault's own, so that a crash is finished and never undone.

    restore/new/     what is to come into place: paths below it are those in the vault's directory
    restore/old/     what stood there before, until all is done
    RESTORING        JSON {"names": [path, ...], "report": {...}}: from here on there is only forward.
                     While it exists, no process opens the vault

Before `RESTORING` is there, `restore/` means nothing and may be removed.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from vault.errors import IntegrityFailedError
from vault.store.bundle import sync_tree
from vault.store.files import RESTORING_FILE, make_directory, remove_durably, sync_directory, write_durably

STAGING: Final = "restore"
_NEW: Final = "new"
_OLD: Final = "old"


def begin_staging(root: Path) -> Path:
    """An empty directory for what is to come into place."""
    discard_staging(root)
    staged = root / STAGING / _NEW
    make_directory(root / STAGING)
    make_directory(staged)
    return staged


def discard_staging(root: Path) -> None:
    """Removes what was staged and never came into place."""
    if (root / RESTORING_FILE).exists():
        raise RuntimeError("a swap that has begun is finished, not discarded")
    if (root / STAGING).exists():
        shutil.rmtree(root / STAGING)
        sync_directory(root)


def begin_swap(root: Path, names: Sequence[str], report: dict[str, Any]) -> None:
    """Decides for what is staged: durable, and not to be taken back."""
    sync_tree(root / STAGING)
    write_durably(root / RESTORING_FILE, json.dumps({"names": list(names), "report": report}).encode())


def finish_swap(root: Path, after_step: Callable[[str], None] = lambda _: None) -> dict[str, Any] | None:
    """Does what is left of a swap that has begun; returns its report, or None if there is none.

    Raises:
        IntegrityFailedError: `RESTORING` is damaged.
    """
    try:
        content = json.loads((root / RESTORING_FILE).read_bytes())
        names, report = list(content["names"]), dict(content["report"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityFailedError(file=RESTORING_FILE) from error
    new, old = root / STAGING / _NEW, root / STAGING / _OLD
    for name in names:
        if not (new / name).exists():
            continue  # in place already
        if (root / name).exists():
            (old / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / name).rename(old / name)
            after_step(f"aside {name}")
        (root / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (new / name).rename(root / name)
        sync_directory((root / name).parent)
        sync_directory((new / name).parent)
        after_step(f"placed {name}")
    sync_directory(root)
    if (root / STAGING).exists():
        shutil.rmtree(root / STAGING)
        sync_directory(root)
    after_step("cleared")
    remove_durably(root / RESTORING_FILE)
    return report
