import json

import pytest

from vault.config import Settings, parse_settings
from vault.errors import KeyUnavailableError
from vault.keys import passphrases
from vault.keys.file_provider import FileProvider
from vault.keys.provider import Assurance, KeyState, open_provider
from vault.model.secret import Secret

KEY = bytes(range(32))
CONTEXT = b"context"


@pytest.fixture
def provider(tmp_path, key_file) -> FileProvider:
    made = FileProvider(tmp_path / "root", passphrase=None, key_file=key_file)
    made.create("root-1")
    return made


@pytest.fixture
def cheap_argon2(monkeypatch):
    monkeypatch.setattr(passphrases, "THOUGHT_UP", passphrases.Cost(1, 2**20))


def with_passphrase(tmp_path, text: str) -> FileProvider:
    return FileProvider(tmp_path / "root", passphrase=Secret(text), key_file=None)


def test_a_key_comes_back_as_it_was_wrapped(provider):
    assert provider.unwrap("root-1", provider.wrap("root-1", KEY, CONTEXT), CONTEXT) == KEY


def test_a_second_process_with_the_key_file_can_unwrap(provider, tmp_path, key_file):
    wrapped = provider.wrap("root-1", KEY, CONTEXT)
    other = FileProvider(tmp_path / "root", passphrase=None, key_file=key_file)
    assert other.unwrap("root-1", wrapped, CONTEXT) == KEY


def test_a_wrapped_key_is_bound_to_its_context_and_root_key(provider):
    wrapped = provider.wrap("root-1", KEY, CONTEXT)
    provider.create("root-2")
    for root_key_id, context in (("root-1", b"other"), ("root-2", CONTEXT)):
        with pytest.raises(KeyUnavailableError):
            provider.unwrap(root_key_id, wrapped, context)


def test_the_file_of_one_root_key_is_not_taken_for_another(provider, tmp_path):
    root = tmp_path / "root"
    (root / "root-2.json").write_bytes((root / "root-1.json").read_bytes())
    with pytest.raises(KeyUnavailableError):
        provider.wrap("root-2", KEY, CONTEXT)


def test_another_key_file_does_not_open_it(provider, tmp_path):
    (tmp_path / "other").write_bytes(bytes(64))
    stranger = FileProvider(tmp_path / "root", passphrase=None, key_file=tmp_path / "other")
    with pytest.raises(KeyUnavailableError, match="key file does not open"):
        stranger.wrap("root-1", KEY, CONTEXT)


def test_the_passphrase_opens_it_and_another_does_not(tmp_path, cheap_argon2):
    mine = with_passphrase(tmp_path, "correct horse")
    mine.create("root-1")
    wrapped = mine.wrap("root-1", KEY, CONTEXT)
    assert with_passphrase(tmp_path, "correct horse").unwrap("root-1", wrapped, CONTEXT) == KEY
    with pytest.raises(KeyUnavailableError, match="passphrase does not open"):
        with_passphrase(tmp_path, "correct horsf").unwrap("root-1", wrapped, CONTEXT)


def test_without_a_passphrase_nothing_opens(tmp_path, cheap_argon2):
    with_passphrase(tmp_path, "x").create("root-1")
    for nothing in (None, Secret("")):
        with pytest.raises(KeyUnavailableError, match="passphrase is needed"):
            FileProvider(tmp_path / "root", passphrase=nothing, key_file=None).wrap("root-1", KEY, CONTEXT)


def test_neither_passphrase_nor_keys_stand_in_a_message(tmp_path, cheap_argon2):
    with_passphrase(tmp_path, "hunter2hunter2").create("root-1")
    with pytest.raises(KeyUnavailableError) as caught:
        with_passphrase(tmp_path, "wrong-secret").wrap("root-1", KEY, CONTEXT)
    assert "wrong-secret" not in str(caught.value)


def test_an_existing_root_key_is_never_overwritten_and_must_open(provider, tmp_path):
    before = (tmp_path / "root" / "root-1.json").read_bytes()
    provider.create("root-1")
    (tmp_path / "other").write_bytes(bytes(64))
    stranger = FileProvider(tmp_path / "root", passphrase=None, key_file=tmp_path / "other")
    with pytest.raises(KeyUnavailableError, match="key file does not open"):
        stranger.create("root-1")
    assert (tmp_path / "root" / "root-1.json").read_bytes() == before


def test_a_missing_directory_is_not_taken_for_missing_keys(provider, tmp_path):
    (tmp_path / "root").rename(tmp_path / "not-mounted")
    for attempt in (provider.describe, provider.destroy):
        with pytest.raises(KeyUnavailableError, match="is not there"):
            attempt("root-1")


def test_a_destruction_that_was_cut_off_is_pending_until_it_is_repeated(provider, tmp_path):
    (tmp_path / "root" / "root-1.destroyed").write_bytes(b"")  # written first
    assert provider.describe("root-1").state is KeyState.PENDING_DESTRUCTION
    with pytest.raises(KeyUnavailableError, match="is pending destruction"):
        provider.wrap("root-1", KEY, CONTEXT)
    assert provider.destroy("root-1").effective_ms is not None
    assert provider.describe("root-1").state is KeyState.DESTROYED


def test_destroying_takes_along_what_a_crash_left_of_the_making(provider, tmp_path):
    (tmp_path / "root" / ".root-1.json.4711").write_bytes((tmp_path / "root" / "root-1.json").read_bytes())
    provider.destroy("root-1")
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["root-1.destroyed"]


def test_files_are_for_their_owner_only(provider, tmp_path):
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "root" / "root-1.json").stat().st_mode & 0o777 == 0o600


def test_destroying_ends_the_key_says_how_sure_it_is_and_may_be_repeated(provider, tmp_path):
    wrapped = provider.wrap("root-1", KEY, CONTEXT)
    for _ in range(2):
        said = provider.destroy("root-1")
        assert said.assurance is Assurance.BEST_EFFORT
        assert "snapshots" in said.evidence
    assert not (tmp_path / "root" / "root-1.json").exists()
    with pytest.raises(KeyUnavailableError, match="was destroyed in"):
        provider.unwrap("root-1", wrapped, CONTEXT)


def test_destroying_overwrites_the_blocks_and_not_only_the_name(provider, tmp_path):
    path = tmp_path / "root" / "root-1.json"
    with path.open("rb") as held:  # keeps the inode readable after its name is gone
        before = held.read()
        provider.destroy("root-1")
        held.seek(0)
        after = held.read()
    assert len(after) == len(before)
    assert json.loads(before)["sealed"].encode() not in after


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"salt": "!", "sealed": "!"}', b"\xff\xfe"])
def test_a_damaged_file_is_said_to_be_damaged(provider, tmp_path, content):
    (tmp_path / "root" / "root-1.json").write_bytes(content)
    with pytest.raises(KeyUnavailableError):
        provider.wrap("root-1", KEY, CONTEXT)


def test_a_flipped_bit_anywhere_in_the_file_opens_nothing_or_changes_nothing(provider, tmp_path):
    wrapped = provider.wrap("root-1", KEY, CONTEXT)
    path = tmp_path / "root" / "root-1.json"
    genuine = path.read_bytes()
    refused = 0
    for bit in range(len(genuine) * 8):
        changed = bytearray(genuine)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            assert provider.unwrap("root-1", wrapped, CONTEXT) == KEY
        except KeyUnavailableError:
            refused += 1
    assert refused > len(genuine)


@pytest.mark.parametrize("content", [None, b"", bytes(31)])
def test_a_key_file_that_is_missing_or_short_is_refused(provider, key_file, content):
    key_file.unlink()
    if content is not None:
        key_file.write_bytes(content)
    with pytest.raises(KeyUnavailableError):
        provider.wrap("root-1", KEY, CONTEXT)


def test_configuration_names_the_provider(tmp_path, key_file):
    settings = parse_settings(f'[keys]\nkey_file = "{key_file}"\ndirectory = "{tmp_path / "elsewhere"}"\n')
    open_provider(tmp_path, settings, None).create("root-1")
    assert (tmp_path / "elsewhere" / "root-1.json").exists()


def test_the_root_keys_stand_in_the_data_directory_by_default(tmp_path):
    provider = open_provider(tmp_path, Settings(), Secret("x"))
    assert isinstance(provider, FileProvider)
    (tmp_path / "root").mkdir()
    with pytest.raises(KeyUnavailableError, match=str(tmp_path / "root")):
        provider.unwrap("root-1", b"", b"")
