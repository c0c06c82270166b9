"""A consent event, and how a customer's events are chained.

Plaintext: canonical JSON (RFC 8785) with exactly these members:

    v               1
    seq             from 1, without gaps
    previous        SHA-256 of the plaintext before, hexadecimal; 64 zeros for the first
    kind            given, renewed, withdrawn, expired, refused, objected
    purpose         {"name", "number"}
    notice_version  of the notice that the customer saw; may be empty, as may be locale and method
    text_sha256     of the text that was shown, hexadecimal; null where nobody told
    locale          BCP 47
    method          how it was said, for example web_form, verbal, api, gpc
    actor           {"acted": customer, agent, guardian or vault; "principal": who recorded it}
    time_ms         when the vault recorded it, milliseconds since 1970
    acted_ms        when the customer acted, if the caller said so; else null
    expires_ms      end of a consent; else null
    jurisdiction    of the customer at that time, ISO 3166-1 alpha-2; may be empty

Rules:
- Events are only ever added. The customer's sheet says how many there are and the SHA-256 of the last, so
  none can be dropped, changed or moved without that being seen.
- An event of actor `vault` was written without a call: a consent had expired, or the ledger knew of an
  end that the stores did not (method `ledger`: after a crash or a restore).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vault.erasure.canonical import Json, canonical, read_canonical
from vault.errors import IntegrityFailedError

HASH_BYTES: Final = 32
NO_HASH: Final = bytes(HASH_BYTES)
FORMAT: Final = 1

_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z")
_MAX_LOCALE: Final = 35  # the longest that RFC 5646 asks every program to take


class Kind(StrEnum):
    """What happened."""

    GIVEN = "given"
    RENEWED = "renewed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REFUSED = "refused"
    OBJECTED = "objected"


class Actor(StrEnum):
    """Who acted."""

    CUSTOMER = "customer"
    AGENT = "agent"
    GUARDIAN = "guardian"
    VAULT = "vault"


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One event. Times are milliseconds since 1970; 0 where there is none."""

    kind: Kind
    purpose: int
    purpose_name: str
    time_ms: int
    seq: int = 0
    previous: bytes = NO_HASH
    notice_version: str = ""
    text_sha256: bytes = b""
    locale: str = ""
    method: str = ""
    acted: Actor = Actor.CUSTOMER
    principal: str = ""
    acted_ms: int = 0
    expires_ms: int = 0
    jurisdiction: str = ""

    def to_json(self) -> dict[str, Json]:
        """The members of the plaintext."""
        return {
            "v": FORMAT,
            "seq": self.seq,
            "previous": self.previous.hex(),
            "kind": self.kind.value,
            "purpose": {"name": self.purpose_name, "number": self.purpose},
            "notice_version": self.notice_version,
            "text_sha256": self.text_sha256.hex() or None,
            "locale": self.locale,
            "method": self.method,
            "actor": {"acted": self.acted.value, "principal": self.principal},
            "time_ms": self.time_ms,
            "acted_ms": self.acted_ms or None,
            "expires_ms": self.expires_ms or None,
            "jurisdiction": self.jurisdiction,
        }

    def pack(self) -> bytes:
        """The plaintext."""
        return canonical(self.to_json())

    def digest(self) -> bytes:
        """SHA-256 of the plaintext: what the next event names, and the sheet for the last one."""
        return hashlib.sha256(self.pack()).digest()

    @classmethod
    def from_json(cls, document: Json) -> "ConsentEvent":
        """The event with these members.

        Raises:
            IntegrityFailedError: `to_json` cannot have made them.
        """
        try:
            event = _event(document)
            same = event.pack() == canonical(document)  # by their bytes: in Python, True equals 1
        except (KeyError, TypeError, ValueError, AttributeError):
            raise IntegrityFailedError from None
        if not same:
            raise IntegrityFailedError
        return event

    @classmethod
    def unpack(cls, plaintext: bytes) -> "ConsentEvent":
        """Reads a plaintext; raises `IntegrityFailedError` for bytes that `pack` cannot have made."""
        return cls.from_json(read_canonical(plaintext))


def _event(document: Any) -> ConsentEvent:
    return ConsentEvent(
        kind=Kind(document["kind"]),
        purpose=_number(document["purpose"]["number"]),
        purpose_name=_text(document["purpose"]["name"]),
        time_ms=_number(document["time_ms"]),
        seq=_number(document["seq"]),
        previous=bytes.fromhex(document["previous"]),
        notice_version=_text(document["notice_version"]),
        text_sha256=bytes.fromhex(document["text_sha256"] or ""),
        locale=_text(document["locale"]),
        method=_text(document["method"]),
        acted=Actor(document["actor"]["acted"]),
        principal=_text(document["actor"]["principal"]),
        acted_ms=_number(document["acted_ms"] or 0),
        expires_ms=_number(document["expires_ms"] or 0),
        jurisdiction=_text(document["jurisdiction"]),
    )


def _number(stated: Any) -> int:
    if type(stated) is not int:
        raise TypeError("not a number")
    return stated


def _text(stated: Any) -> str:
    if not isinstance(stated, str):
        raise TypeError("not a text")
    return stated


def require_chain(events: Sequence[ConsentEvent], count: int, head: bytes) -> None:
    """Raises `IntegrityFailedError` unless these are all events of a customer, in their order.

    Args:
        events: as they are stored.
        count: how many there are, by the sheet.
        head: digest of the last one, by the sheet; zeros for none.
    """
    previous = NO_HASH
    for seq, event in enumerate(events, 1):
        if event.seq != seq or event.previous != previous:
            raise IntegrityFailedError
        previous = event.digest()
    if len(events) != count or previous != head:
        raise IntegrityFailedError


def is_locale(text: str) -> bool:
    """Whether `text` has the form of a BCP 47 language tag."""
    return len(text) <= _MAX_LOCALE and _LOCALE.match(text) is not None
