"""The systemd unit, as far as systemd itself can judge it without running it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "deploy" / "customer-vault.service"
ANALYZE = shutil.which("systemd-analyze") or ""
MAX_EXPOSURE = 20  # of 100; 0 is locked up, 96 is a unit that restricts nothing


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [ANALYZE, *arguments, str(UNIT)], capture_output=True, text=True, timeout=60, check=False
    )


def needs_offline_analysis() -> None:
    if not ANALYZE:
        pytest.skip("systemd-analyze is not installed")
    if (
        "--offline"
        not in subprocess.run([ANALYZE, "--help"], capture_output=True, text=True, check=False).stdout
    ):
        pytest.skip("this systemd-analyze cannot judge a unit offline (systemd 250 can)")


def test_the_unit_leaves_little_exposed() -> None:
    needs_offline_analysis()
    done = analyze("security", "--offline=yes", f"--threshold={MAX_EXPOSURE}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_has_no_mistakes() -> None:
    needs_offline_analysis()
    done = analyze("verify")
    mistakes = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert [line for line in mistakes if "is not executable" not in line] == []  # it is not installed here


def test_the_unit_gives_keys_their_memory_and_dumps_none() -> None:
    needs_offline_analysis()
    done = analyze("security", "--offline=yes", "--json=short")
    settings = {entry["name"]: entry for entry in json.loads(done.stdout)}
    for name in (
        "MemoryDenyWriteExecute=",
        "NoNewPrivileges=",
        "ProtectSystem=",
        "CapabilityBoundingSet=~CAP_SYS_PTRACE",
    ):
        assert settings[name]["set"] is True, name
    lines = UNIT.read_text().splitlines()
    assert "LimitMEMLOCK=1G" in lines
    assert "LimitCORE=0" in lines
