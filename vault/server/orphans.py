"""A child process that does not outlive its parent (Linux, prctl(2))."""

import os
import signal

from vault.keys.hardening import ask_kernel

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int) -> None:
    """Sends this process SIGTERM when the parent dies, or at once when it already has.

    The kernel watches the thread that spawned this process, so the supervisor spawns from its main one.
    """
    ask_kernel(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)
