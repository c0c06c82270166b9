"""Keys in guarded memory, for the tests of the keyring, and what the key providers talk to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.keys.provider_services import (
    PIN,
    TOKEN_LABEL,
    kms_server,
    make_tokens,
    softhsm_module,
    transit_engine,
)
from vault.config import AwsKmsSettings, Pkcs11Settings, TransitSettings
from vault.crypto.hazmat import GuardedMemory
from vault.keys.keyring import Keyring
from vault.model.ids import Epoch

VAULT_ID = bytes(range(16))


@pytest.fixture
def guarded() -> Iterator[Callable[[int], GuardedMemory]]:
    """Makes random guarded memory that is freed after the test."""
    made: list[GuardedMemory] = []

    def make(size: int = 32) -> GuardedMemory:
        memory = GuardedMemory(size)
        memory.fill_random(0, size)
        made.append(memory)
        return memory

    yield make
    for memory in made:
        memory.free()


@pytest.fixture
def keyring(guarded) -> Keyring:
    return Keyring(guarded(), VAULT_ID, Epoch(1))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key-file"
    path.write_bytes(bytes(range(64)))
    return path


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """SoftHSM's module, with two tokens for the whole run: it reads its configuration when it is loaded."""
    module = softhsm_module()
    if module is None:
        pytest.skip("SoftHSM is not installed: make softhsm")
    configuration = make_tokens(module, tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        yield module


@pytest.fixture
def pkcs11_settings(softhsm: Path, tmp_path: Path) -> Pkcs11Settings:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    return Pkcs11Settings(module=str(softhsm), token_label=TOKEN_LABEL, pin_file=str(tmp_path / "pin"))


@pytest.fixture(scope="session")
def kms_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with kms_server(tmp_path_factory.mktemp("kms") / "log") as url:
        yield url


@pytest.fixture
def aws_kms_settings(kms_url: str, monkeypatch: pytest.MonkeyPatch) -> AwsKmsSettings:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return AwsKmsSettings(region="eu-central-1", endpoint=kms_url)


@pytest.fixture(scope="session")
def transit_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL and token of one transit engine for all tests that leave it as it is."""
    with transit_engine(tmp_path_factory.mktemp("transit")) as service:
        yield service


@pytest.fixture
def transit_settings(transit_service: tuple[str, str], tmp_path: Path) -> TransitSettings:
    url, token = transit_service
    (tmp_path / "token").write_text(token)
    return TransitSettings(url=url, token_file=str(tmp_path / "token"))
