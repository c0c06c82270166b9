"""Shared by all tests: how much Hypothesis tries, in which order they run, and what must not leak in."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("suite"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first, then the other scenarios.

    Files are handed to processes in this order, and whoever gets a long one last is waited for.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "scenarios" not in item.path.parts))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own `CVAULT_ADDRESS` or passphrase must not reach a test."""
    for name in ("CVAULT_ADDRESS", "CVAULT_CA", "CVAULT_CERTIFICATE", "CVAULT_KEY", "CVAULT_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
