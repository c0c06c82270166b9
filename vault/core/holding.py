"""What a legal hold keeps, and what a customer's terms become by an entry of the ledger. No I/O.

Rules:
- A hold on a field class keeps its values, one on every class keeps all. It is live until it is released or
  its end has passed.
- As long as anything is kept, so is the external id: by it the customer is found.
- A hold on a class of which the customer has no value keeps nothing.
- An id names one restriction, hold or expiry of the customer; several scopes of one share it.
- Ended restrictions and holds leave the terms when these are next changed. An expiry stays: it has not ended
  when its time has come.
"""

from collections.abc import Iterable
from dataclasses import replace

from vault.core.opencustomer import OpenCustomer
from vault.errors import HeldError
from vault.store.entries import TermsKind, TermsNarrowed
from vault.store.ledger import LedgerEntry
from vault.store.sheet import SheetField
from vault.store.terms import Expiry, Hold, Restriction, Terms

EVERY = 0
"""In the place of a purpose or of a field class."""


def changed_terms(terms: Terms, entry: TermsNarrowed, now_ms: int) -> Terms:
    """The terms after an entry; the same after it is done again."""
    restrictions = tuple(
        [each for each in terms.restrictions if each.id != entry.id and not _over(each, now_ms)]
    )
    holds = tuple([each for each in terms.holds if each.id != entry.id and not _over(each, now_ms)])
    expiries = tuple([each for each in terms.expiries if each.id != entry.id])
    match entry.kind:
        case TermsKind.RESTRICTED:
            added = [Restriction(entry.id, *scope, entry.until_ms) for scope in entry.scopes]
            restrictions = (*restrictions, *added)
        case TermsKind.HELD:
            classes = [field_class for _, field_class in entry.scopes]
            holds = (*holds, *[Hold(entry.id, each, entry.until_ms, entry.reference) for each in classes])
        case TermsKind.EXPIRING:
            expiries = (*expiries, *[Expiry(entry.id, *scope, entry.until_ms) for scope in entry.scopes])
        case TermsKind.ENDED:
            pass
    return replace(terms, restrictions=restrictions, holds=holds, expiries=expiries)


def kept_values(customer: OpenCustomer, now_ms: int) -> frozenset[int]:
    """The numbers of the values that a shred has to leave."""
    classes = held_classes(customer.terms, now_ms)
    lines = customer.lines.values()
    held = {line.value_no for line in lines if EVERY in classes or line.field_class in classes}
    if held:
        own = customer.dek.fingerprint(b"external_id\0" + customer.external_id)
        held |= {line.value_no for line in lines if line.fingerprint == own}
    return frozenset(held)


def kept_until_ms(terms: Terms, now_ms: int) -> int:
    """When the last hold ends by itself; 0 where one does not, or there is none."""
    ends = [each.until_ms for each in terms.holds if not _over(each, now_ms)]
    return max(ends) if ends and all(ends) else 0


def held_classes(terms: Terms, now_ms: int) -> frozenset[int]:
    """Field classes under a live hold, `EVERY` among them where one is on all."""
    return frozenset([each.field_class for each in terms.holds if not _over(each, now_ms)])


def is_held(terms: Terms, field_class: int, now_ms: int) -> bool:
    """Whether a value of this class may neither be deleted nor rectified."""
    return bool(terms.holds) and not held_classes(terms, now_ms).isdisjoint((EVERY, field_class))


def require_open(terms: Terms) -> None:
    """Raises HeldError where the customer's erasure waits for a hold: no value or consent is taken."""
    if terms.erasure_pending:
        raise HeldError("the customer's erasure waits for a legal hold; nothing new is stored")


def require_not_held(terms: Terms, entry: SheetField, now_ms: int) -> None:
    """Raises HeldError unless a value may be deleted or replaced."""
    require_open(terms)
    if is_held(terms, entry.field_class, now_ms):
        raise HeldError("a legal hold keeps this value as it is")


def held_by_ledger(entries: Iterable[LedgerEntry], region: int, number: int, now_ms: int) -> bool:
    """Whether the ledger tells of a live hold: for a customer whose own terms cannot be read.

    `entries` are those of type TERMS_NARROWED.
    """
    terms = Terms()
    for entry in entries:
        match entry.payload:
            case TermsNarrowed(region=where, customer_no=whose) if (where, whose) == (region, number):
                terms = changed_terms(terms, entry.payload, 0)
    return bool(held_classes(terms, now_ms))


def _over(limit: Restriction | Hold, now_ms: int) -> bool:
    return 0 < limit.until_ms <= now_ms
