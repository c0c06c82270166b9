"""Shared by all tests: how much Hypothesis tries, and that nothing outside a test leaks into it."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("suite"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own `CVAULT_ADDRESS` or passphrase must not reach a test."""
    for name in ("CVAULT_ADDRESS", "CVAULT_CA", "CVAULT_CERTIFICATE", "CVAULT_KEY", "CVAULT_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
