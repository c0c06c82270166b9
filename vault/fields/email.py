"""E-mail addresses (RFC 5321, internationalized as in RFC 6531), checked by email-validator.

Stored: the part before the @ as written, the domain in lower case and in Unicode.
Compared: case-folded as a whole. RFC 5321 lets a host tell `Anna@` from `anna@`; none that people
use does, and taking the two for one customer's same address is what a CRM expects.

email-validator takes 75 µs for an ASCII address and 200 to 350 µs for an internationalized one,
nearly all of it for the domain. Domains repeat, so the last 1,024 good ones are remembered: never a
whole address. `prepare_emails` does no more than look them up.
"""

import re
from collections.abc import Sequence

from email_validator import EmailNotValidError, validate_email

from vault.fields.text import Prepared, UnfitError, comparable, prepared

_MAX_LENGTH = 254  # RFC 5321 4.5.3.1.3, erratum 1690 of RFC 3696
_ATOM = r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+"  # RFC 5322 3.2.3
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_DOT_ATOMS = re.compile(rf"{_ATOM}(?:[.\0]{_ATOM})*\Z")
_REMEMBERED = 1024
_known: dict[str, tuple[str, int]] = {}


def prepare_email(text: str) -> Prepared:
    """Checks the syntax; nothing is looked up in DNS.

    Raises:
        UnfitError: Not an address, or one that no mail can reach (no dot, reserved top-level domain).
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise UnfitError("has no @")
    if not local:
        raise UnfitError("has nothing before the @")
    if not domain:
        raise UnfitError("has nothing after the @")
    if len(text) > _MAX_LENGTH:
        raise UnfitError(f"is longer than {_MAX_LENGTH} characters")
    shown, wire_length = _domain(domain)
    local = local if _DOT_ATOM.match(local) else _international_local(local)
    stored = f"{local}@{shown}"
    # A character is at most four bytes of UTF-8.
    if len(stored) * 4 > _MAX_LENGTH or len(local) * 4 + 1 + wire_length > _MAX_LENGTH:
        _check_bytes(stored, local, wire_length)
    return prepared((stored, comparable(stored)))


def _check_bytes(stored: str, local: str, wire_length: int) -> None:
    if len(stored.encode()) > _MAX_LENGTH or len(local.encode()) + 1 + wire_length > _MAX_LENGTH:
        raise UnfitError(f"is longer than {_MAX_LENGTH} bytes")


def prepare_emails(texts: Sequence[str]) -> list[str | None]:
    """The form to store of each address; None where it takes `prepare_email` to tell."""
    parts = [text.rpartition("@") for text in texts]
    usual = _DOT_ATOMS.match("\0".join([local for local, _, _ in parts])) is not None
    stored: list[str | None] = []
    for local, _, domain in parts:
        known = _known.get(domain)
        if known is None or not (usual or _DOT_ATOM.match(local)):
            stored.append(None)
            continue
        shown, wire_length = known
        # A character is at most four bytes of UTF-8.
        size = len(local) + 1 + max(len(shown), wire_length)
        stored.append(f"{local}@{shown}" if size * 4 <= _MAX_LENGTH else None)
    return stored


def _domain(domain: str) -> tuple[str, int]:
    """The domain as shown, and its length on the wire. Only good ones are remembered."""
    known = _known.get(domain)
    if known is None:
        known = _checked_domain(domain)
        if len(_known) >= _REMEMBERED:
            _known.pop(next(iter(_known)), None)  # the oldest
        _known[domain] = known
    return known


def _checked_domain(domain: str) -> tuple[str, int]:
    try:
        checked = validate_email(f"x@{domain}", check_deliverability=False)
    except EmailNotValidError:
        reason = "the domain is not one that mail can reach" if "." in domain else "the domain has no dot"
    else:
        return checked.domain, len(checked.ascii_domain)
    raise UnfitError(reason)


def _international_local(local: str) -> str:
    try:
        return validate_email(f"{local}@example.com", check_deliverability=False).local_part
    except EmailNotValidError:
        reason = "the part before the @ is not valid"
    raise UnfitError(reason)
