import json
import uuid
from dataclasses import replace

import boto3
import pytest

from tests.unit.keys.provider_services import free_port
from vault.errors import KeyUnavailableError
from vault.keys.aws_kms_provider import AwsKmsProvider
from vault.keys.provider import KeyState, now_ms

KEY = bytes(range(32))
CONTEXT = b"context"
DAY_MS = 86_400_000


@pytest.fixture
def root() -> str:
    return f"root-1-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def provider(aws_kms_settings, tmp_path, root) -> AwsKmsProvider:
    made = AwsKmsProvider(aws_kms_settings, tmp_path / "root")
    made.create(root)
    return made


@pytest.fixture
def kms(aws_kms_settings):
    client = boto3.client("kms", region_name=aws_kms_settings.region, endpoint_url=aws_kms_settings.endpoint)
    yield client
    client.close()


def record(tmp_path, root: str, **changed: object) -> dict[str, object]:
    """The file about a root key, after the changes."""
    path = tmp_path / "root" / f"{root}.aws-kms.json"
    document = json.loads(path.read_text()) | changed
    path.write_text(json.dumps(document))
    return document


def test_the_key_carries_its_name_as_alias_and_tag(provider, kms, root):
    key = kms.describe_key(KeyId=f"alias/customer-vault/{root}")["KeyMetadata"]
    assert key["KeySpec"] == "SYMMETRIC_DEFAULT"
    tags = kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
    assert tags == [{"TagKey": "customervault-root-key", "TagValue": root}]


def test_the_context_is_bound_as_encryption_context(provider, kms, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    opened = kms.decrypt(CiphertextBlob=wrapped, EncryptionContext={"customervault": CONTEXT.hex()})
    assert opened["Plaintext"] == KEY


@pytest.mark.parametrize("days", [7, 30])
def test_destruction_is_scheduled_so_many_days_ahead(aws_kms_settings, tmp_path, root, days):
    provider = AwsKmsProvider(replace(aws_kms_settings, deletion_days=days), tmp_path / "root")
    provider.create(root)
    before = now_ms()
    said = provider.destroy(root)
    assert before + days * DAY_MS <= said.effective_ms <= now_ms() + days * DAY_MS
    assert "deletion date" in said.evidence
    assert not said.holds(provider.describe(root))


def test_a_deletion_that_was_called_off_is_no_destruction_and_can_be_scheduled_anew(provider, kms, root):
    first = provider.destroy(root)
    key_id = kms.describe_key(KeyId=f"alias/customer-vault/{root}")["KeyMetadata"]["KeyId"]
    kms.cancel_key_deletion(KeyId=key_id)
    kms.enable_key(KeyId=key_id)
    assert provider.describe(root).state is KeyState.ACTIVE
    assert provider.destroy(root).effective_ms > first.effective_ms


def test_a_key_that_aws_forgot_is_destroyed_from_its_date_on_and_never_before(provider, tmp_path, root):
    gone = str(record(tmp_path, root)["arn"]).replace("key/", "key/0")
    for destruction_ms, state in (
        (None, KeyState.MISSING),  # never scheduled: lost, for all that is known
        (now_ms() + DAY_MS, KeyState.MISSING),
        (now_ms() - 1, KeyState.DESTROYED),
    ):
        record(tmp_path, root, arn=gone, destruction_ms=destruction_ms)
        assert provider.describe(root).state is state
        assert (provider.destroy(root).effective_ms is None) == (state is KeyState.MISSING)
        with pytest.raises(KeyUnavailableError):
            provider.create(root)


def test_a_removed_or_turned_alias_does_not_hide_the_key(provider, kms, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    alias = f"alias/customer-vault/{root}"
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.update_alias(AliasName=alias, TargetKeyId=other)
    assert provider.unwrap(root, wrapped, CONTEXT) == KEY
    kms.delete_alias(AliasName=alias)
    assert provider.describe(root).state is KeyState.ACTIVE
    assert provider.unwrap(root, wrapped, CONTEXT) == KEY


def test_another_machine_finds_the_key_by_its_alias(provider, aws_kms_settings, tmp_path, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    restored = AwsKmsProvider(aws_kms_settings, tmp_path / "restored")
    (tmp_path / "restored").mkdir()
    assert restored.unwrap(root, wrapped, CONTEXT) == KEY
    said = restored.destroy(root)
    assert said.effective_ms == provider.describe(root).destruction_ms
    assert json.loads((tmp_path / "restored" / f"{root}.aws-kms.json").read_text())["destruction_ms"]


def test_a_create_that_was_cut_off_before_the_alias_is_finished(provider, kms, root):
    kms.delete_alias(AliasName=f"alias/customer-vault/{root}")
    provider.create(root)
    assert kms.describe_key(KeyId=f"alias/customer-vault/{root}")["KeyMetadata"]["Enabled"]


def test_another_region_is_not_taken_for_a_destroyed_key(provider, aws_kms_settings, tmp_path, root):
    provider.destroy(root)
    record(tmp_path, root, destruction_ms=1)
    elsewhere = AwsKmsProvider(replace(aws_kms_settings, region="us-east-1"), tmp_path / "root")
    with pytest.raises(KeyUnavailableError, match="is in region eu-central-1"):
        elsewhere.describe(root)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"arn": 1, "created_ms": 1, "destruction_ms": null}'])
def test_a_damaged_record_is_said_to_be_damaged(provider, tmp_path, root, content):
    (tmp_path / "root" / f"{root}.aws-kms.json").write_text(content)
    with pytest.raises(KeyUnavailableError, match="is damaged"):
        provider.describe(root)


def test_a_service_that_is_down_is_said_to_be_out_of_reach(provider, aws_kms_settings, tmp_path, root):
    nowhere = replace(aws_kms_settings, endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(KeyUnavailableError, match="cannot be reached"):
        AwsKmsProvider(nowhere, tmp_path / "root").describe(root)


def test_missing_credentials_are_said_to_be_missing(aws_kms_settings, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(KeyUnavailableError, match="there are no AWS credentials"):
        AwsKmsProvider(aws_kms_settings, tmp_path / "root").describe("x")


def test_an_unknown_profile_is_an_error_of_ours(aws_kms_settings, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(KeyUnavailableError, match="profile do not fit"):
        AwsKmsProvider(aws_kms_settings, tmp_path / "root").describe("x")
