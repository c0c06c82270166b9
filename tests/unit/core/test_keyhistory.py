import base64

from tests.unit.core.conftest import RAW_SECRETS
from vault.core.keyhistory import key_history_entry, newest_key
from vault.core.secrets import SIGNING_KEY
from vault.crypto import hazmat


def test_the_key_history_gives_the_key_that_signs_now():
    old, new = hazmat.public_key(bytes(32)), hazmat.public_key(RAW_SECRETS[SIGNING_KEY])
    history = [key_history_entry(old, "a", 0), key_history_entry(new, "b", 1_700_000_000_123)]
    assert newest_key(history) == new
    assert history[1]["since"] == "2023-11-14T22:13:20.123Z"
    assert base64.b64decode(history[0]["public_key"]) == old
