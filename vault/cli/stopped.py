"""Work on a data directory that no running vault may disturb."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vault.cli.exits import CommandError, ExitCode


@contextmanager
def stopped(data: Path) -> Iterator[None]:
    """Holds the supervisor's lock, so that no vault runs or starts meanwhile."""
    lock = data / "run" / "supervisor.lock"
    if not lock.parent.is_dir():
        yield
        return
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"the vault in {data} is running; stop it first", reason="RUNNING", code=ExitCode.UNAVAILABLE
            ) from None
        yield
