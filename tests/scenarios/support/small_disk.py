"""Runs one function of a test module in a process that has a small file system of its own.

    python -m tests.scenarios.support.small_disk MODULE FUNCTION DISK DIRECTORY

The process is in a user and mount namespace; a tmpfs is mounted at DISK and goes with it. The function
gets a `SmallDisk` and DIRECTORY (on the ordinary disk); a failed assertion is the answer.
"""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system that a test can fill."""

    path: Path

    @property
    def free_bytes(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Takes every byte but some."""
        descriptor = os.open(self.path / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while (size := min(self.free_bytes - leave_bytes, 1 << 20)) > 0:
                os.write(descriptor, bytes(size))
        except OSError:
            return  # to the last byte
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        """Gives it all back."""
        (self.path / "ballast").unlink(missing_ok=True)

    def remount(self, mode: str) -> None:
        """Makes it read-only (`ro`) or writable again (`rw`)."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True)


def on_small_disk(function: Callable[[SmallDisk, Path], None], directory: Path, size_bytes: int) -> None:
    """Runs `function` there; skips where the kernel lets nobody have a namespace of its own."""
    disk = directory / "disk"
    disk.mkdir()
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("no user namespaces here, so no small file system to fill")
    script = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && shift 2 && exec "$@"'
    python = [sys.executable, "-m", __name__, function.__module__, function.__name__, disk, directory]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, "sh", str(size_bytes), disk, *python],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


if __name__ == "__main__":
    acted = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
    acted(SmallDisk(Path(sys.argv[3])), Path(sys.argv[4]))
