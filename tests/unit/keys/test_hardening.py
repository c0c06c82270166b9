"""What the kernel says about a process after it forbade dumps, and about the key provider's child at work."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, found_vault
from tests.scenarios.support.forensics.memory import dumpable, without_all_seeing_capabilities

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")

ASK = """
import ctypes, resource
from vault.keys.hardening import forbid_dumps
forbid_dumps()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""
READY = """
import builtins, runpy, sys
sys.argv = ["provider_child", *sys.argv[1:]]
genuine = sys.stdin.buffer
class Announced:
    def read(self):
        print("ready", file=sys.stderr, flush=True)
        return genuine.read()
class Input:
    buffer = Announced()
sys.stdin = Input()
runpy.run_module("vault.keys.provider_child", run_name="__main__")
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return found_vault(tmp_path)


def test_dumps_are_forbidden() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "0"]  # PR_GET_DUMPABLE, soft limit, hard limit


def test_the_key_providers_child_cannot_be_looked_into(deployment: Deployment) -> None:
    """While it waits for the passphrase, before it has seen any secret."""

    def look() -> None:
        command = [sys.executable, "-c", READY, "open", str(deployment.data_dir)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as child:  # type: ignore[call-overload]
            assert child.stderr.readline() == b"ready\n"
            limits = Path(f"/proc/{child.pid}/limits").read_text()
            seen = dumpable([child.pid])
            edk, said = child.communicate()
        assert seen == [False]
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        assert (len(edk), said, child.returncode) == (32, b"", 0)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            assert dumpable([other.pid]) == [True]
            other.communicate(b"\n")

    without_all_seeing_capabilities(look)
