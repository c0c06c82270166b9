import socket
from pathlib import Path

import pytest

from vault.server.notify import VARIABLE, notify


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_about_readiness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name if abstract else name)
        monkeypatch.setenv(VARIABLE, "@" + name if abstract else name)
        notify("READY=1", "STATUS=serving")
        assert listening.recv(100) == b"READY=1\nSTATUS=serving"


def test_outside_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    notify("READY=1")
