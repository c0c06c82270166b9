import json

import pytest

from vault.errors import KeyUnavailableError
from vault.keys import passphrases
from vault.keys.file_provider import FileProvider
from vault.model.secret import Secret

KEY = bytes(range(32))


def test_no_two_that_were_made_are_the_same():
    assert len({passphrases.new().reveal() for _ in range(100)}) == 100


def test_one_that_was_made_costs_least():
    assert passphrases.cost_of(passphrases.new()) == (1, 8192)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse battery staple",
        "cvp1-",
        "cvp1-" + "a" * 63,
        "cvp1-" + "a" * 65,
        "cvp1-" + "A" * 64,
        "cvp1-" + "g" * 64,
        "cvp1-" + "a" * 64 + "\n",
        " cvp1-" + "a" * 64,
        "cvp2-" + "a" * 64,
        "a" * 64,
    ],
)
def test_any_other_is_taken_for_one_that_was_thought_up(text):
    assert passphrases.cost_of(Secret(text)) == (3, 256 * 2**20)


def test_a_root_key_is_sealed_at_the_cost_of_its_passphrase_and_opened_by_it_only(tmp_path):
    mine, other = (
        FileProvider(tmp_path, passphrase=passphrases.new(), key_file=None),
        FileProvider(tmp_path, passphrase=passphrases.new(), key_file=None),
    )
    mine.create("root-1")
    document = json.loads((tmp_path / "root-1.json").read_text())
    assert (document["seal"], document["opslimit"], document["memlimit"]) == ("argon2id", 1, 8192)
    wrapped = mine.wrap("root-1", KEY, b"context")
    assert mine.unwrap("root-1", wrapped, b"context") == KEY
    with pytest.raises(KeyUnavailableError, match="passphrase does not open"):
        other.unwrap("root-1", wrapped, b"context")


def test_a_root_key_sealed_at_another_cost_opens(tmp_path, monkeypatch):
    mine = FileProvider(tmp_path, passphrase=passphrases.new(), key_file=None)
    with monkeypatch.context() as patch:
        patch.setattr(passphrases, "MADE", passphrases.Cost(2, 2**20))
        mine.create("root-1")
        wrapped = mine.wrap("root-1", KEY, b"context")
    assert mine.unwrap("root-1", wrapped, b"context") == KEY
