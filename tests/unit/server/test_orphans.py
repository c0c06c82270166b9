"""Parents that die, and the children that must not outlive them; each a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest

GRANDCHILD = """
import os, sys, time
from vault.server.orphans import end_with_parent
end_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {GRANDCHILD!r}, str(os.getpid())])
time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")


def test_a_child_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == ""  # the pipe closes when the grandchild, who shares it, is gone
    assert not is_running(pid)
    parent.stdout.close()


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    stranger = str(os.getpid() + 1)
    done = subprocess.run([sys.executable, "-c", GRANDCHILD, stranger], capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == b""


def is_running(pid: int) -> bool:
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.05)
    return True
