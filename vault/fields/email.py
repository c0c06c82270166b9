"""E-mail addresses (RFC 5321, internationalized as in RFC 6531), checked by email-validator.

Stored: the part before the @ as written, the domain in lower case and in Unicode.
Compared: case-folded as a whole. RFC 5321 lets a host tell `Anna@` from `anna@`; none that people
use does, and taking the two for one customer's same address is what a CRM expects.

email-validator takes 75 µs for an ASCII address and 200 to 350 µs for an internationalized one,
nearly all of it for the domain. Domains repeat, so the last 1,024 good ones are remembered: never a
whole address.
"""

import re
from collections.abc import Sequence, Set
from contextlib import suppress
from functools import lru_cache

from vault.fields.text import Prepared, UnfitError, comparable, prepared

_MAX_LENGTH = 254  # RFC 5321 4.5.3.1.3, erratum 1690 of RFC 3696
_ATOM = r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+"  # RFC 5322 3.2.3
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_DOT_ATOMS = re.compile(rf"{_ATOM}(?:[.\0]{_ATOM})*\Z")  # of several, one NUL apart
_CHECKED_AT_ONCE = 8  # domains that are not remembered
_UNKNOWN = ("", 0)


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


def prepare_emails(texts: Sequence[str]) -> list[str | None]:
    """The form to store of each address; None where it takes `prepare_email` to tell, or takes long."""
    parts = [text.rpartition("@") for text in texts]
    usual = _DOT_ATOMS.match("\0".join([local for local, _, _ in parts])) is not None
    known = _domains({domain for _, _, domain in parts})
    stored: list[str | None] = []
    for local, _, domain in parts:
        shown, wire_length = known[domain]
        size = len(local) + 1 + max(len(shown), wire_length)
        # A character is at most four bytes of UTF-8.
        fits = shown and size * 4 <= _MAX_LENGTH and (usual or _DOT_ATOM.match(local))
        stored.append(f"{local}@{shown}" if fits else None)
    return stored


def _domains(domains: Set[str]) -> dict[str, tuple[str, int]]:
    """Each as of `_domain`; nothing for bad ones, and for others once some had to be checked."""
    known, most = dict[str, tuple[str, int]](), _domain.cache_info().misses + _CHECKED_AT_ONCE
    for domain in domains:
        known[domain] = _UNKNOWN
        if domain and _domain.cache_info().misses < most:
            with suppress(UnfitError):
                known[domain] = _domain(domain)
    return known


def _check_bytes(stored: str, local: str, wire_length: int) -> None:
    if len(stored.encode()) > _MAX_LENGTH or len(local.encode()) + 1 + wire_length > _MAX_LENGTH:
        raise UnfitError(f"is longer than {_MAX_LENGTH} bytes")


@lru_cache(maxsize=1024)
def _domain(domain: str) -> tuple[str, int]:
    """The domain as shown, and its length on the wire. Only good ones are remembered."""
    from email_validator import EmailNotValidError, validate_email

    try:
        checked = validate_email(f"x@{domain}", check_deliverability=False)
    except EmailNotValidError:
        reason = "the domain is not one that mail can reach" if "." in domain else "the domain has no dot"
    else:
        return checked.domain, len(checked.ascii_domain)
    raise UnfitError(reason)


def _international_local(local: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(f"{local}@example.com", check_deliverability=False).local_part
    except EmailNotValidError:
        reason = "the part before the @ is not valid"
    raise UnfitError(reason)
