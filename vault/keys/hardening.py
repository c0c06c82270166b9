"""What a process that holds keys asks of the kernel (Linux, prctl(2)).

No core dumps, and not dumpable, which also keeps other processes of the same user from reading its memory
through /proc or ptrace. The processes of a vault do so outside `--dev`, the child of the key provider always.
"""

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4


def forbid_dumps() -> None:
    """No core file, no ptrace by others, /proc/self/mem for root only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ask_kernel(_PR_SET_DUMPABLE, 0)


def ask_kernel(option: int, argument: int) -> None:
    """prctl(2) with one argument; nothing where the system is not Linux.

    Raises:
        OSError: the kernel refuses.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
