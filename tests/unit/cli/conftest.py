"""Runs command lines in this process and gathers what they print."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from vault.cli.main import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Cvault = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "CA", "CERTIFICATE", "KEY", "DOMAIN", "PURPOSE", "DATA", "PASSPHRASE", "TIMEOUT"):
        monkeypatch.delenv(f"CVAULT_{name}", raising=False)


@pytest.fixture
def cvault(capfd: pytest.CaptureFixture[str]) -> Cvault:
    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(int(code), out, err)

    return run
