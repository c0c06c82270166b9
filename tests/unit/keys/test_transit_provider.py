from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.unit.keys import transit_server
from tests.unit.keys.transit_server import TransitServer
from vault.config import TransitSettings
from vault.errors import KeyUnavailableError
from vault.keys.provider import KeyState
from vault.keys.transit_provider import TransitProvider

KEY = bytes(range(32))
CONTEXT = b"context"


@pytest.fixture
def server() -> Iterator[TransitServer]:
    with transit_server.running() as running:
        yield running


@pytest.fixture
def settings(server, tmp_path) -> TransitSettings:
    (tmp_path / "token").write_text(f"{server.token}\n")
    return TransitSettings(url=server.url, token_file=str(tmp_path / "token"))


@pytest.fixture
def provider(settings) -> TransitProvider:
    made = TransitProvider(settings)
    made.create("root-1")
    return made


def test_a_stopped_server_is_out_of_reach_and_nothing_is_lost(server, settings, provider):
    wrapped = provider.wrap("root-1", KEY, CONTEXT)
    port, keys = server.http.server_port, server.keys
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(KeyUnavailableError, match="cannot be reached"):
        provider.unwrap("root-1", wrapped, CONTEXT)
    with transit_server.running(port) as restarted:
        restarted.keys = keys
        assert provider.unwrap("root-1", wrapped, CONTEXT) == KEY


def test_a_sealed_server_is_said_to_be_sealed(server, provider):
    server.sealed = True
    with pytest.raises(KeyUnavailableError, match="is sealed"):
        provider.describe("root-1")


def test_a_token_that_is_refused_is_not_repeated(provider, tmp_path):
    (tmp_path / "token").write_text("s.expired")
    with pytest.raises(KeyUnavailableError, match="denies this token to read a key") as caught:
        provider.describe("root-1")
    assert "s.expired" not in str(caught.value)


def test_the_token_is_read_again_each_time(server, provider, tmp_path):
    server.token = "s.renewed"
    (tmp_path / "token").write_text("s.renewed")
    assert provider.describe("root-1").state is KeyState.ACTIVE


@pytest.mark.parametrize("content", [None, ""])
def test_a_token_file_that_is_missing_or_empty_is_named(provider, tmp_path, content):
    (tmp_path / "token").unlink()
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(KeyUnavailableError, match=r"keys\.transit\.token_file"):
        provider.describe("root-1")


def test_a_wrong_mount_is_not_taken_for_missing_keys(provider, settings):
    elsewhere = TransitProvider(replace(settings, mount="transit-2"))
    for attempt in (elsewhere.describe, elsewhere.destroy):
        with pytest.raises(KeyUnavailableError, match="the mount is not there"):
            attempt("root-1")


def test_a_missing_ca_file_is_an_error_of_ours(settings, tmp_path):
    unknown = replace(settings, url="https://127.0.0.1:1", ca_file=str(tmp_path / "no.pem"))
    with pytest.raises(KeyUnavailableError, match="cannot be reached"):
        TransitProvider(unknown).describe("root-1")


def test_a_key_that_may_be_exported_is_not_used(server, provider):
    server.keys["root-1"].exportable = True
    for attempt in (lambda: provider.create("root-1"), lambda: provider.wrap("root-1", KEY, CONTEXT)):
        with pytest.raises(KeyUnavailableError, match="may leave"):
            attempt()


def test_a_rotation_by_someone_else_changes_nothing(server, provider):
    wrapped = provider.wrap("root-1", KEY, CONTEXT)
    server.answer("POST", "/v1/transit/keys/root-1/rotate", server.token, {})
    assert provider.unwrap("root-1", wrapped, CONTEXT) == KEY
    assert provider.wrap("root-1", KEY, CONTEXT).startswith(b"vault:v1:")


def test_destroying_leaves_the_name_and_no_version_that_ever_wrapped(server, provider):
    provider.wrap("root-1", KEY, CONTEXT)
    said = provider.destroy("root-1")
    assert list(server.keys["root-1"].versions) == [2]
    assert "least that exists 2" in said.evidence


def test_a_destruction_that_was_cut_off_before_the_trim_is_completed_by_repeating(server, provider):
    provider.disable("root-1")
    assert list(server.keys["root-1"].versions) == [1, 2]
    assert provider.destroy("root-1").effective_ms is not None
    assert list(server.keys["root-1"].versions) == [2]


def test_a_name_that_was_deleted_on_the_server_is_missing_and_proves_nothing(server, provider):
    del server.keys["root-1"]
    assert provider.describe("root-1").state is KeyState.MISSING
    assert provider.destroy("root-1").effective_ms is None


def test_an_answer_of_another_form_is_an_error_of_ours(server, provider, monkeypatch):
    monkeypatch.setattr(transit_server.NamedKey, "described", lambda _: {"type": "aes256-gcm96"})
    with pytest.raises(KeyUnavailableError, match="another form"):
        provider.describe("root-1")
