"""What the kernel says of processes, against processes and connections that are really there."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchmarks.processes import connections, cpu_seconds, descendants, pin

GRANDCHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], check=True)"


@pytest.fixture
def parent() -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a child; both end when their standard input does."""
    with subprocess.Popen([sys.executable, "-c", GRANDCHILD], stdin=subprocess.PIPE) as process:
        yield process
        process.communicate(b"\n")


def test_cpu_time_is_that_of_the_process() -> None:
    before = cpu_seconds([os.getpid()])
    own = time.process_time()
    while time.process_time() < own + 0.2:
        pass
    assert 0.15 < cpu_seconds([os.getpid()]) - before < 0.5


def test_an_ended_process_has_no_cpu_time() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(OSError, match="No such"):
        cpu_seconds([process.pid])


def test_descendants_are_found_at_every_depth(parent: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + 20
    while len(found := descendants(parent.pid)) < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    assert found[0] == parent.pid
    assert len(found) == 2
    assert set(found) < set(descendants(os.getpid()))


def test_pinning_confines_a_process(parent: "subprocess.Popen[bytes]") -> None:
    core = max(os.sched_getaffinity(0))
    pin(parent.pid, {core})
    assert os.sched_getaffinity(parent.pid) == {core}


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_connections_are_those_established_to_the_port(family: socket.AddressFamily, address: str) -> None:
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6 here")
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        assert connections(os.getpid(), port) == frozenset()
        with socket.create_connection((address, port)):
            accepted, _ = server.accept()
            with accepted:
                held = connections(os.getpid(), port)
                assert held == {str(os.fstat(accepted.fileno()).st_ino)}
