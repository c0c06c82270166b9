import pytest

from vault.crypto.suites import SUITES, suite_named, suite_of_record
from vault.errors import IntegrityFailedError, InvalidRequestError


def test_sizes_are_those_of_the_library() -> None:
    from nacl import _sodium

    for number, prefix in {1: "xchacha20poly1305_ietf", 2: "aes256gcm", 3: "aegis256"}.items():
        suite = SUITES[number]
        assert suite.nonce_bytes == getattr(_sodium.lib, f"crypto_aead_{prefix}_npubbytes")()
        assert suite.tag_bytes == getattr(_sodium.lib, f"crypto_aead_{prefix}_abytes")()
        assert getattr(_sodium.lib, f"crypto_aead_{prefix}_keybytes")() == 32


def test_numbers_and_names_lead_to_the_same_suite() -> None:
    for number, suite in SUITES.items():
        assert suite_of_record(number) is suite
        assert suite_named(suite.name) is suite
    assert len({suite.subkey_id for suite in SUITES.values()}) == len(SUITES)


@pytest.mark.parametrize("number", [0, 4, 255])
def test_record_of_an_unknown_suite_is_no_record(number: int) -> None:
    with pytest.raises(IntegrityFailedError):
        suite_of_record(number)


@pytest.mark.parametrize("name", ["", "AES-256-GCM", "aes-128-gcm", "none"])
def test_configuration_of_an_unknown_suite_is_the_callers_fault(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        suite_named(name)
