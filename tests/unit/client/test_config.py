from pathlib import Path
from typing import Any

import pytest
from customervault import AsyncVault, Vault
from customervault._config import Config, resolve
from customervault.errors import ConfigurationError
from grpc_health.v1 import health_pb2

from tests.unit.client.conftest import Authority
from tests.unit.client.scripted_vault import ScriptedVault

NOTHING: dict[str, Any] = {
    "address": None,
    "ca": None,
    "certificate": None,
    "key": None,
    "domain": None,
    "purpose": None,
    "timeout": None,
    "channels": 2,
    "max_batch": 1000,
    "max_attempts": 4,
    "server_name": None,
    "coalesce": True,
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ca", "certificate", "key"):
        (tmp_path / name).write_text(f"{name} from the environment")
        monkeypatch.setenv(f"CVAULT_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("CVAULT_ADDRESS", "vault.example:7443")
    monkeypatch.setenv("CVAULT_DOMAIN", "crm")
    monkeypatch.setenv("CVAULT_PURPOSE", "support")
    monkeypatch.setenv("CVAULT_TIMEOUT", "2.5")
    return tmp_path


def config(**given: Any) -> Config:
    return resolve(**{**NOTHING, **given})


@pytest.mark.usefixtures("environment")
def test_everything_may_come_from_the_environment() -> None:
    assert config() == Config(
        address="vault.example:7443",
        ca=b"ca from the environment",
        certificate=b"certificate from the environment",
        key=b"key from the environment",
        domain="crm",
        purpose="support",
        timeout_seconds=2.5,
        channels=2,
        max_batch=1000,
        max_attempts=4,
        server_name=None,
        coalesce=True,
    )


def test_arguments_beat_the_environment(environment: Path) -> None:
    other = environment / "other"
    other.write_text("given")
    chosen = config(
        address="a:1", ca=other, certificate=str(other), key=other, domain="", purpose="billing", timeout=7
    )
    assert chosen.address == "a:1"
    assert {chosen.ca, chosen.certificate, chosen.key} == {b"given"}
    assert (chosen.domain, chosen.purpose, chosen.timeout_seconds) == ("", "billing", 7)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["address", "ca", "certificate", "key"])
def test_what_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"CVAULT_{name.upper()}")
    for vault in (Vault, AsyncVault):
        with pytest.raises(ConfigurationError, match=f"missing {name}.*CVAULT_{name.upper()}") as caught:
            vault()
        assert caught.value.reason == "CONFIGURATION"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["ca", "certificate", "key"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot read {name}.*CVAULT_{name.upper()}.*absent"):
        config(**{name: tmp_path / "absent"})


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_a_timeout_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAULT_TIMEOUT", text)
    with pytest.raises(ConfigurationError, match="CVAULT_TIMEOUT"):
        config()


@pytest.mark.usefixtures("environment")
def test_the_timeout_is_10_seconds_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVAULT_TIMEOUT")
    assert config().timeout_seconds == 10.0


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["channels", "max_batch", "max_attempts"])
def test_counts_are_at_least_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        config(**{name: 0})


@pytest.mark.usefixtures("environment")
def test_no_key_material_in_the_repr() -> None:
    assert "from the environment" not in repr(config())


def test_a_client_connects_by_the_environment_alone(
    server: ScriptedVault, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAULT_ADDRESS", server.address)
    monkeypatch.setenv("CVAULT_CA", str(authority.ca))
    monkeypatch.setenv("CVAULT_CERTIFICATE", str(authority.client.certificate))
    monkeypatch.setenv("CVAULT_KEY", str(authority.client.key))
    server.script("Check", health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING))
    with Vault() as vault:
        assert vault.healthy()
