"""What a process that holds keys asks of the kernel (Linux, prctl(2)).

Outside `--dev`: no core dumps, and not dumpable, which also keeps other processes of the same user
from reading its memory through /proc or ptrace. Children ask to be signalled when their parent dies.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def forbid_dumps() -> None:
    """No core file, no ptrace by others, /proc/self/mem for root only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent(parent_pid: int) -> None:
    """Sends this process SIGTERM when the parent dies, or at once when it already has.

    The kernel watches the thread that spawned this process, so the supervisor spawns from its main one.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


def _prctl(option: int, argument: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
