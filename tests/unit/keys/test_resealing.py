import os
import threading
from pathlib import Path

import pytest

from vault.errors import KeyUnavailableError
from vault.keys import passphrases
from vault.keys.file_provider import FileProvider
from vault.keys.provider import KeyState
from vault.keys.resealing import reseal, root_keys_alone
from vault.model.secret import Secret

KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def _cheap_argon2(monkeypatch):
    monkeypatch.setattr(passphrases, "THOUGHT_UP", passphrases.Cost(1, 2**20))


def by_passphrase(tmp_path: Path, text: str) -> FileProvider:
    return FileProvider(tmp_path / "root", passphrase=Secret(text), key_file=None)


@pytest.fixture
def old(tmp_path) -> FileProvider:
    made = by_passphrase(tmp_path, "old")
    for name in ("root-1", "root-2"):
        made.create(name)
    return made


@pytest.fixture
def new(tmp_path) -> FileProvider:
    return by_passphrase(tmp_path, "new")


def opened_by(provider: FileProvider) -> list[str]:
    found = []
    for name in provider.sealed_root_keys():
        try:
            provider.check_opens(name)
        except KeyUnavailableError:
            continue
        found.append(name)
    return found


def contents(provider: FileProvider) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in provider.directory.iterdir()}


def test_what_the_old_passphrase_wrapped_opens_with_the_new_one_only(tmp_path, old, new):
    wrapped = old.wrap("root-1", KEY, b"context")
    done = reseal(tmp_path, old, new)
    assert (done.now, done.before) == (("root-1", "root-2"), ())
    assert new.unwrap("root-1", wrapped, b"context") == KEY
    assert opened_by(old) == []


def test_a_key_file_takes_the_place_of_a_passphrase_and_the_other_way_round(tmp_path, old, new, key_file):
    by_file = FileProvider(tmp_path / "root", passphrase=None, key_file=key_file)
    wrapped = old.wrap("root-1", KEY, b"context")
    reseal(tmp_path, old, by_file)
    assert by_file.unwrap("root-1", wrapped, b"context") == KEY
    assert opened_by(old) == []
    reseal(tmp_path, by_file, new)
    assert new.unwrap("root-1", wrapped, b"context") == KEY
    assert opened_by(by_file) == []


def test_a_wrong_old_passphrase_changes_nothing(tmp_path, old, new):
    before = contents(old)
    with pytest.raises(KeyUnavailableError, match="the passphrase does not open root key root-1"):
        reseal(tmp_path, by_passphrase(tmp_path, "guess"), new)
    assert contents(old) == before


def test_one_key_that_does_not_open_keeps_all_as_they_are(tmp_path, old, new):
    by_passphrase(tmp_path, "a third").create("root-3")
    before = contents(old)
    with pytest.raises(KeyUnavailableError, match="root-3"):
        reseal(tmp_path, old, new)
    assert contents(old) == before


def test_a_disabled_key_stays_disabled_and_a_destroyed_one_does_not_come_back(tmp_path, old, new):
    old.disable("root-1")
    old.destroy("root-2")
    assert reseal(tmp_path, old, new).now == ("root-1",)
    assert new.describe("root-1").state is KeyState.DISABLED
    assert new.describe("root-2").state is KeyState.DESTROYED
    new.enable("root-1")
    new.check_opens("root-1")


def test_files_of_other_providers_are_left_alone(tmp_path, old, new):
    (old.directory / "root-9.aws-kms.json").write_text("{}")
    reseal(tmp_path, old, new)
    assert (old.directory / "root-9.aws-kms.json").read_text() == "{}"


def test_without_a_root_key_there_is_nothing_to_seal(tmp_path, new):
    new.directory.mkdir()
    with pytest.raises(KeyUnavailableError, match="there is no root key"):
        reseal(tmp_path, by_passphrase(tmp_path, "old"), new)


@pytest.mark.parametrize("calls", range(8))
def test_cut_off_anywhere_every_key_opens_with_one_of_both_and_the_same_call_ends_it(
    tmp_path, old, new, calls
):
    """The child ends, as if killed, at its nth sync: three for each file."""
    child = os.fork()
    if child == 0:
        left, sync = [calls], os.fsync

        def die_in_time(descriptor: int) -> None:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            sync(descriptor)

        os.fsync = die_in_time
        try:
            reseal(tmp_path, old, new)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (9 if calls < 6 else 0)
    assert sorted(opened_by(old) + opened_by(new)) == ["root-1", "root-2"]
    reseal(tmp_path, old, new)
    assert opened_by(new) == ["root-1", "root-2"]
    new.destroy("root-1")
    assert [path.name for path in new.directory.glob(".root-1*")] == []


def test_it_waits_for_whoever_changes_root_keys(tmp_path, old, new):
    thread = threading.Thread(target=reseal, args=(tmp_path, old, new))
    with root_keys_alone(tmp_path):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert opened_by(old) == ["root-1", "root-2"]
    thread.join()
    assert opened_by(new) == ["root-1", "root-2"]
