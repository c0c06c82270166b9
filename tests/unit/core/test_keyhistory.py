import base64
import json
from dataclasses import replace

import pytest
from vault.core.receipts import key_history_entry, newest_key, shred_id_text, verify_receipt

from tests.unit.core.conftest import RAW_SECRETS
from vault.core.secrets import SIGNING_KEY
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError
from vault.model.requests import Receipt

STATEMENT = json.dumps({"stage": "effective", "values": 3}).encode()


@pytest.fixture
def receipt(secrets) -> Receipt:
    signature = secrets.sign(b"customervault receipt v1\0" + STATEMENT)
    return Receipt(STATEMENT, signature, secrets.signing_key_id)


def test_a_receipt_verifies_with_the_public_key_alone(secrets, receipt):
    verify_receipt(receipt, secrets.public_key)


def test_any_changed_byte_fails(secrets, receipt):
    for name in ("statement", "signature"):
        content = getattr(receipt, name)
        for at in range(len(content)):
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            with pytest.raises(IntegrityFailedError):
                verify_receipt(replace(receipt, **{name: changed}), secrets.public_key)


def test_a_signature_of_something_else_is_no_receipt(secrets):
    with pytest.raises(IntegrityFailedError):
        verify_receipt(Receipt(STATEMENT, secrets.sign(STATEMENT), ""), secrets.public_key)


def test_another_key_does_not_verify_it(receipt):
    with pytest.raises(IntegrityFailedError):
        verify_receipt(receipt, hazmat.public_key(bytes(32)))


def test_the_key_history_gives_the_key_that_signs_now():
    old, new = hazmat.public_key(bytes(32)), hazmat.public_key(RAW_SECRETS[SIGNING_KEY])
    history = [key_history_entry(old, "a", 0), key_history_entry(new, "b", 1_700_000_000_123)]
    assert newest_key(history) == new
    assert history[1]["since"] == "2023-11-14T22:13:20.123Z"
    assert base64.b64decode(history[0]["public_key"]) == old


def test_a_shred_id_is_recognisable():
    assert shred_id_text(bytes(16)) == "shr_" + "00" * 16
