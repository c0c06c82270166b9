"""Consent receipts: a signed statement about one event, checked offline with the vault's public key.

    bytes       canonical JSON (RFC 8785) with exactly these members:
                type, vault_id, customer (a token), issued (RFC 3339), event (as it is chained), event_sha256,
                signature
    signed      "customervault consent receipt v1" | 0x00 | canonical form without the member `signature`
    signature   Ed25519 under the vault's signing key, named by its key id

A receipt says what was recorded, not what holds now: a later event may have ended it. `event_sha256` is what
the customer's next event names, so receipts of two events in a row prove their order.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from vault.consent.events import ConsentEvent
from vault.erasure.canonical import Json, canonical
from vault.erasure.verifying import CLOCK_TOLERANCE_MS, signed_document
from vault.errors import IntegrityFailedError, InvalidRequestError

TYPE: Final = "customervault/consent-receipt/v1"
SIGNED_PREFIX: Final = b"customervault consent receipt v1\0"

_ALGORITHM: Final = "Ed25519"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt says. `customer` is a token of the customer in a domain of whoever asked for it."""

    vault_id: bytes
    customer: str
    issued_ms: int
    event: ConsentEvent

    def to_json(self) -> dict[str, Json]:
        """The document without its signature."""
        return {
            "type": TYPE,
            "vault_id": self.vault_id.hex(),
            "customer": self.customer,
            "issued": rfc3339(self.issued_ms),
            "event": self.event.to_json(),
            "event_sha256": self.event.digest().hex(),
        }


def issue_receipt(facts: ReceiptFacts, sign: Callable[[bytes], bytes], key_id: str) -> bytes:
    """Makes a receipt.

    Args:
        facts: what it says.
        sign: gives the Ed25519 signature of a message under the vault's signing key.
        key_id: names that key.
    """
    document = facts.to_json()
    value = base64.b64encode(sign(SIGNED_PREFIX + canonical(document))).decode()
    document["signature"] = {"algorithm": _ALGORITHM, "key_id": key_id, "value": value}
    return canonical(document)


def verify_receipt(receipt: bytes, keys: Mapping[str, bytes], *, now_ms: int) -> ReceiptFacts:
    """Checks a receipt.

    Args:
        receipt: the very bytes that the vault issued.
        keys: the vault's public keys by key id; see `erasure.verifying.public_keys`.
        now_ms: the time of the check.

    Raises:
        IntegrityFailedError: it is not as the vault signed it, contradicts itself, or is of the future.
        InvalidRequestError: it is of another kind or version, or none of the keys is the one that it names.
    """
    document, _ = signed_document(receipt, keys, SIGNED_PREFIX)
    if document.get("type") != TYPE:
        raise InvalidRequestError("signed by the vault, but not a consent receipt of version 1")
    event = ConsentEvent.from_json(document.get("event"))
    try:
        facts = ReceiptFacts(
            vault_id=bytes.fromhex(str(document["vault_id"])),
            customer=str(document["customer"]),
            issued_ms=(datetime.fromisoformat(str(document["issued"])) - _EPOCH) // timedelta(milliseconds=1),
            event=event,
        )
        same = facts.to_json() == document
    except (KeyError, ValueError, TypeError):
        raise IntegrityFailedError from None
    if not same or facts.issued_ms > now_ms + CLOCK_TOLERANCE_MS:
        raise IntegrityFailedError
    return facts


def rfc3339(time_ms: int) -> str:
    """A time in UTC with milliseconds, for example 2026-01-02T03:04:05.678Z."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
