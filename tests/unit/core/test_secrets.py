import pytest

from tests.unit.core.conftest import RAW_SECRETS
from vault.core.secrets import VaultSecrets
from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.errors import IntegrityFailedError, KeyUnavailableError, TokenUnknownError
from vault.model.ids import TokenParts

PARTS = TokenParts(1, 1, 7, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(RAW_SECRETS))
def test_a_keyring_that_lacks_a_secret_is_refused_by_name(name):
    with pytest.raises(KeyUnavailableError, match=name):
        VaultSecrets({held: secret for held, secret in RAW_SECRETS.items() if held != name})


def test_hashes_for_different_uses_never_meet(secrets):
    message = b"same"
    hashes = {
        secrets.row_mac(message),
        secrets.request_mac(message),
    }
    assert len(hashes) == 2


def test_signatures_verify_with_the_public_key_alone(secrets):
    signature = secrets.signing_key.sign(b"message")
    hazmat.verify(secrets.public_key, signature, b"message")
    with pytest.raises(IntegrityFailedError):
        hazmat.verify(secrets.public_key, signature, b"massage")
    assert secrets.signing_key.key_id == signing_key_id(secrets.public_key)
    assert secrets.signing_key.key_id.startswith("ed25519-")


def test_a_newer_token_key_encodes_and_the_older_one_still_decodes():
    old = VaultSecrets(RAW_SECRETS)
    both = VaultSecrets(RAW_SECRETS | {"token-key/2": bytes(range(32))})
    before, after = old.codec.encode(PARTS), both.codec.encode(PARTS)
    assert (before[:4], after[:4]) == ("cv1_", "cv2_")
    assert both.codec.decode(before) == both.codec.decode(after) == PARTS
    with pytest.raises(TokenUnknownError):
        old.codec.decode(after)
    old.close()
    both.close()


def test_nothing_of_it_is_shown(secrets):
    shown = repr(secrets)
    assert not any(secret.hex() in shown or repr(secret) in shown for secret in RAW_SECRETS.values())


def test_after_closing_no_mac_is_made(secrets):
    made = VaultSecrets(RAW_SECRETS)
    made.close()
    made.close()
