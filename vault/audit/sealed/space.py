"""How large the access log is, against its budget, and when it will be full at the rate of late.

Levels: `ok`; `warn` from 70 % of the budget, or when it lasts less than seven days; `high` from 90 %, or less
than one day. The budget is what is configured, or all that the file system has; the smaller one counts.
"""

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WARN, _HIGH = 0.7, 0.9
_WARN_SECONDS, _HIGH_SECONDS = 7 * 86_400, 86_400
_BLOCK: Final = 512
_MIN_SPAN_SECONDS: Final = 600.0
_SAMPLES: Final = 144


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes on disk, their limit, and when it is reached at the rate of late; None if they do not grow."""

    bytes: int
    limit_bytes: int
    full_seconds: float | None
    level: str


class Budget:
    """Follows one directory. `budget_bytes` 0 means what the file system has."""

    def __init__(self, directory: Path, budget_bytes: int) -> None:
        self._directory = directory
        self._budget_bytes = budget_bytes
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def measure(self, now_s: float) -> Usage:
        """Looks at every file.

        Raises:
            OSError: the directory cannot be read.
        """
        disk = os.statvfs(self._directory)
        return self.judge(now_s, bytes_on_disk(self._directory), disk.f_bavail * disk.f_frsize)

    def judge(self, now_s: float, used: int, free: int) -> Usage:
        """What `used` bytes at a time, with so many free ones on the file system, amount to."""
        limit = min(self._budget_bytes or used + free, used + free)
        self._samples.append((now_s, used))
        full = self._full_seconds(limit)
        soon = full if full is not None else float("inf")
        level = "ok"
        if used >= _WARN * limit or soon < _WARN_SECONDS:
            level = "warn"
        if used >= _HIGH * limit or soon < _HIGH_SECONDS:
            level = "high"
        return Usage(used, limit, full, level)

    def _full_seconds(self, limit: int) -> float | None:
        (began, before), (now_s, used) = self._samples[0], self._samples[-1]
        if now_s - began < _MIN_SPAN_SECONDS or used <= before:
            return None
        return max(0, limit - used) * (now_s - began) / (used - before)


def bytes_on_disk(directory: Path) -> int:
    """What the files below a directory take on the disk, but for those that go away meanwhile."""
    total = 0
    waiting = [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
        except FileNotFoundError:
            continue
    return total
