import sys

import pytest

from vault.config import parse_settings
from vault.errors import InvalidRequestError, KeyUnavailableError
from vault.keys.aws_kms_provider import AwsKmsProvider
from vault.keys.file_provider import FileProvider
from vault.keys.provider import Assurance, Destruction, KeyDescription, KeyState, open_provider

PKCS11 = '[keys.pkcs11]\nmodule = "/m.so"\ntoken_label = "t"\n'
AWS_KMS = '[keys.aws_kms]\nregion = "eu-central-1"\n'
TRANSIT = '[keys.transit]\nurl = "https://bao.example.org:8200"\ntoken_file = "/t"\n'
COMPLETE = {"pkcs11": PKCS11, "aws-kms": AWS_KMS, "transit": TRANSIT}
LIBRARIES = {"pkcs11": "pkcs11", "aws-kms": "boto3", "transit": "hvac"}
DUE_MS = 1_000


def opened(tmp_path, provider: str, rest: str = "", name: str | None = None):
    return open_provider(
        tmp_path, parse_settings(f'[keys]\nprovider = "{provider}"\n{rest}'), None, name=name
    )


def test_an_unknown_provider_is_refused(tmp_path):
    with pytest.raises(InvalidRequestError, match="unknown provider 'abacus'; known: file, pkcs11"):
        opened(tmp_path, "abacus")


@pytest.mark.parametrize("provider", COMPLETE)
def test_each_provider_is_opened_by_its_name(tmp_path, provider):
    assert opened(tmp_path, provider, COMPLETE[provider]).name == provider


DAY_MS = 86_400_000


@pytest.mark.parametrize("provider", ["pkcs11", "transit"])
@pytest.mark.parametrize(("days", "expected"), [("", None), ("0", 0), ("35", 35 * DAY_MS)])
def test_how_long_the_providers_backups_live_is_as_configured(tmp_path, provider, days, expected):
    line = f"provider_backups_days = {days}\n" if days else ""
    assert opened(tmp_path, provider, line + COMPLETE[provider])._backups_ms == expected


def test_backups_that_outlive_everybody_are_a_mistake(tmp_path):
    with pytest.raises(InvalidRequestError, match="provider_backups_days: at most 36,500"):
        opened(tmp_path, "transit", "provider_backups_days = 36501\n" + TRANSIT)


def test_another_provider_than_the_one_of_new_epochs_can_be_opened(tmp_path):
    assert isinstance(opened(tmp_path, "aws-kms", AWS_KMS, "file"), FileProvider)
    assert isinstance(opened(tmp_path, "file", AWS_KMS, "aws-kms"), AwsKmsProvider)


@pytest.mark.parametrize(
    ("provider", "rest", "named"),
    [
        ("pkcs11", '[keys.pkcs11]\nmodule = "/m.so"\n', "keys.pkcs11.token_label: must be set"),
        ("pkcs11", "", "keys.pkcs11.module, keys.pkcs11.token_label"),
        ("aws-kms", "", "keys.aws_kms.region"),
        ("aws-kms", f"{AWS_KMS}deletion_days = 6\n", "keys.aws_kms.deletion_days: 7 to 30"),
        ("aws-kms", f"{AWS_KMS}deletion_days = 31\n", "keys.aws_kms.deletion_days: 7 to 30"),
        (
            "aws-kms",
            f'{AWS_KMS}endpoint = "http://kms.example.org"\n',
            "keys.aws_kms.endpoint: must be https",
        ),
        ("transit", "", "keys.transit.url, keys.transit.token_file"),
        ("transit", TRANSIT.replace("https", "http"), "keys.transit.url: must be https"),
        ("transit", TRANSIT.replace("https://", ""), "keys.transit.url: must be https"),
    ],
)
def test_a_missing_or_unfit_setting_is_named(tmp_path, provider, rest, named):
    with pytest.raises(InvalidRequestError, match=named):
        opened(tmp_path, provider, rest)


@pytest.mark.parametrize("provider", LIBRARIES)
def test_a_provider_without_its_library_says_what_to_install(tmp_path, provider, monkeypatch):
    module = f"vault.keys.{provider.replace('-', '_')}_provider"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, LIBRARIES[provider], None)
    with pytest.raises(KeyUnavailableError, match=rf"install customer-vault\[{provider}\]"):
        opened(tmp_path, provider, COMPLETE[provider])


def seen(state: KeyState = KeyState.DESTROYED, at_ms: int = DUE_MS, root_key_id: str = "r") -> KeyDescription:
    return KeyDescription(root_key_id, state, "evidence", "retention", at_ms)


def test_a_destruction_holds_from_its_time_on_if_the_key_is_then_seen_destroyed():
    said = Destruction("r", "evidence", Assurance.SERVICE_ATTESTED, DUE_MS, "retention")
    assert said.holds(seen())
    assert not said.holds(seen(at_ms=DUE_MS - 1))
    assert not said.holds(seen(root_key_id="s"))
    for state in set(KeyState) - {KeyState.DESTROYED}:
        assert not said.holds(seen(state))


def test_a_destruction_without_a_time_never_holds():
    assert not Destruction("r", "evidence", Assurance.BEST_EFFORT, None, "retention").holds(seen())
