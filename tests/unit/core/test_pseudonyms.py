"""The keys of pseudonyms as a process has them open."""

import pytest

from tests.unit.core.conftest import RAW_SECRETS, VAULT_ID
from vault.core.pseudonyms import PseudonymKeys
from vault.core.secrets import VaultSecrets, pseudonym_secrets
from vault.crypto.pseudonyms import PseudonymKey
from vault.errors import InvalidRequestError

HELD = {
    "pseudonym-key/3/1": b"a" * 32,
    "pseudonym-key/3/10": b"b" * 32,
    "pseudonym-key/3/9": b"c" * 32,
    "pseudonym-key/12/1": b"d" * 32,
}


@pytest.fixture
def keys():
    secrets = VaultSecrets(RAW_SECRETS | HELD)
    yield PseudonymKeys(secrets, VAULT_ID)
    secrets.close()


def test_secrets_are_sorted_out_by_domain_and_generation() -> None:
    found = pseudonym_secrets(RAW_SECRETS | HELD)
    assert found == {3: {1: b"a" * 32, 10: b"b" * 32, 9: b"c" * 32}, 12: {1: b"d" * 32}}


def test_the_newest_generation_serves_unless_another_is_named(keys: PseudonymKeys) -> None:
    assert list(keys.of_domain(3)) == [1, 9, 10]
    for named, secret in ((0, b"b"), (10, b"b"), (9, b"c"), (1, b"a")):
        found = keys.find(3, named)
        assert found is not None
        assert found.prefix == PseudonymKey(secret * 32, VAULT_ID, 1).prefix
        assert found.generation == (named or 10)
    assert keys.find(3, 9) is keys.find(3, 9)


def test_a_domain_without_a_key_has_none_and_a_generation_that_is_not_there_is_refused(
    keys: PseudonymKeys,
) -> None:
    assert keys.find(4, 0) is keys.find(4, 1) is None
    for domain, generation in ((4, 2), (3, 2), (3, 11)):
        with pytest.raises(InvalidRequestError):
            keys.find(domain, generation)


def test_what_is_withdrawn_is_not_kept(keys: PseudonymKeys) -> None:
    keys.of_domain(3)
    keys._secrets.pseudonym_secrets = {3: {11: b"e" * 32}}
    assert list(keys.of_domain(3)) == [11]
    assert set(keys._opened) == {b"e" * 32}
