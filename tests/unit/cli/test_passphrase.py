import io
from pathlib import Path

import pytest

from vault.cli.exits import UsageError
from vault.cli.passphrase import development_passphrase, passphrase_available, read_passphrase
from vault.config import Pkcs11Settings, ProviderSettings

NONE = ProviderSettings()


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVAULT_PASSPHRASE", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())


def read(file: Path | None, settings: ProviderSettings, *, new: bool = False) -> str | None:
    secret = read_passphrase(file, settings, new=new)
    return secret.reveal() if secret is not None else None


def test_a_file_goes_before_settings_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("option", "setting"):
        (tmp_path / name).write_text(f"of the {name} \r\n")
    settings = ProviderSettings(passphrase_file=str(tmp_path / "setting"))
    monkeypatch.setenv("CVAULT_PASSPHRASE", "of the environment")
    assert read(tmp_path / "option", settings) == "of the option "
    assert read(None, settings) == "of the setting "
    assert read(None, NONE) == "of the environment"


def test_a_key_file_takes_its_place() -> None:
    settings = ProviderSettings(key_file="/run/secrets/key")
    assert read(None, settings) is None
    assert passphrase_available(None, settings)


@pytest.mark.parametrize(
    "settings",
    [
        ProviderSettings(provider="aws-kms"),
        ProviderSettings(provider="transit"),
        ProviderSettings(provider="pkcs11", pkcs11=Pkcs11Settings(pin_file="/run/secrets/pin")),
    ],
)
def test_a_provider_that_takes_none_asks_for_none_but_is_given_what_there_is(
    settings: ProviderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(None, settings) is None
    assert passphrase_available(None, settings)
    monkeypatch.setenv("CVAULT_PASSPHRASE", "of the epoch before")
    assert read(None, settings) == "of the epoch before"


def test_the_pin_of_a_token_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda text: asked.append(text) or "1234")
    assert read(None, ProviderSettings(provider="pkcs11"), new=True) == "1234"
    assert asked == ["PIN of the token: "]


def test_without_a_terminal_there_is_no_prompt() -> None:
    assert not passphrase_available(None, NONE)
    with pytest.raises(UsageError, match="CVAULT_PASSPHRASE"):
        read(None, NONE)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
def test_an_unusable_file_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        read(file, NONE)
    with pytest.raises(UsageError):
        read(tmp_path / "missing", NONE)


def test_an_empty_variable_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAULT_PASSPHRASE", "")
    with pytest.raises(UsageError, match="empty"):
        read(None, NONE)


def test_a_new_passphrase_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda _: answers.pop(0))
    answers[:] = ["one", "one"]
    assert read(None, NONE, new=True) == "one"
    answers[:] = ["one", "two"]
    with pytest.raises(UsageError, match="differ"):
        read(None, NONE, new=True)
    answers[:] = ["one", "not asked for"]
    assert read(None, NONE) == "one"
    assert answers == ["not asked for"]


def test_a_development_vault_keeps_its_passphrase_beside_it(tmp_path: Path) -> None:
    assert development_passphrase(tmp_path) is None
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "passphrase").write_text("x")
    assert development_passphrase(tmp_path) == tmp_path / "dev" / "passphrase"
