import base64
import json

import pytest

from vault.consent.events import ConsentEvent, Kind
from vault.consent.receipts import SIGNED_PREFIX, ReceiptFacts, issue_receipt, rfc3339, verify_receipt
from vault.crypto import hazmat
from vault.erasure.canonical import canonical
from vault.erasure.certificate import SIGNED_PREFIX as CERTIFICATE_PREFIX
from vault.errors import IntegrityFailedError, InvalidRequestError

SEED = bytes(range(32))
KEYS = {"k": hazmat.public_key(SEED)}
FACTS = ReceiptFacts(
    bytes(16), "cv1_c", 1_767_225_600_000, ConsentEvent(Kind.GIVEN, 1, "marketing", 5, seq=1)
)


def sign(message: bytes) -> bytes:
    return hazmat.sign(SEED, message)


def test_a_receipt_holds_until_any_byte_of_it_changes() -> None:
    receipt = issue_receipt(FACTS, sign, "k")
    assert verify_receipt(receipt, KEYS, now_ms=FACTS.issued_ms) == FACTS
    for at in range(len(receipt)):
        for changed in (receipt[:at] + receipt[at + 1 :], receipt[:at] + b" " + receipt[at:]):
            with pytest.raises((IntegrityFailedError, InvalidRequestError)):
                verify_receipt(changed, KEYS, now_ms=FACTS.issued_ms)


def test_a_receipt_is_refused_under_another_key_and_from_the_future() -> None:
    receipt = issue_receipt(FACTS, sign, "k")
    with pytest.raises(IntegrityFailedError):
        verify_receipt(receipt, {"k": hazmat.public_key(bytes(32))}, now_ms=FACTS.issued_ms)
    with pytest.raises(InvalidRequestError):
        verify_receipt(receipt, {}, now_ms=FACTS.issued_ms)
    with pytest.raises(IntegrityFailedError):
        verify_receipt(receipt, KEYS, now_ms=FACTS.issued_ms - 3_600_000)


def test_what_was_signed_for_another_use_is_no_receipt() -> None:
    receipt = issue_receipt(FACTS, lambda m: sign(CERTIFICATE_PREFIX + m.removeprefix(SIGNED_PREFIX)), "k")
    with pytest.raises(IntegrityFailedError):
        verify_receipt(receipt, KEYS, now_ms=FACTS.issued_ms)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("type", "customervault/consent-receipt/v2", InvalidRequestError),
        ("event_sha256", "00" * 32, IntegrityFailedError),
        ("event", {}, IntegrityFailedError),
        ("issued", "yesterday", IntegrityFailedError),
        ("vault_id", 7, IntegrityFailedError),
        ("more", 1, IntegrityFailedError),
    ],
)
def test_a_signed_contradiction_is_refused(name: str, value: object, error: type[Exception]) -> None:
    document = json.loads(issue_receipt(FACTS, sign, "k"))
    del document["signature"]
    document[name] = value
    signature = base64.b64encode(sign(SIGNED_PREFIX + canonical(document))).decode()
    document["signature"] = {"algorithm": "Ed25519", "key_id": "k", "value": signature}
    with pytest.raises(error):
        verify_receipt(canonical(document), KEYS, now_ms=FACTS.issued_ms)


def test_times_are_written_to_the_millisecond() -> None:
    assert rfc3339(1_767_225_600_005) == "2026-01-01T00:00:00.005Z"
