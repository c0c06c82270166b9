"""Restrictions, legal holds and expiries between protobuf messages and the model; the rest is in `convert`.

Functions named `to_...` read a request's part; the others write a part of a response.
"""

from collections.abc import Iterable

from customervault.v1 import customer_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidRequestError
from vault.model.requests import Customer, Scope


def to_scope(purposes: Iterable[str], field_classes: Iterable[str]) -> Scope:
    """Which purposes and field classes are meant."""
    return Scope(tuple(purposes), tuple(field_classes))


def to_end_ms(message: pb.RestrictCustomerRequest | pb.PlaceHoldRequest) -> int:
    """When it ends by itself, in milliseconds since 1970; 0 for never."""
    return to_ms(message.until_time, "until_time") if message.HasField("until_time") else 0


def to_ms(time: Timestamp, field: str) -> int:
    """A moment after 1970, in whole milliseconds, rounded up."""
    ms = time.seconds * 1000 + -(-time.nanos // 1_000_000)
    if ms <= 0:
        raise InvalidRequestError(f"{field}: is a time after 1970", field=field)
    return ms


def add_terms(message: pb.Customer, model: Customer) -> None:
    """Appends a customer's restrictions, holds and expiries."""
    for restriction in model.restrictions:
        made = message.restrictions.add(
            id=restriction.id, purpose=restriction.purpose, field_class=restriction.field_class
        )
        _set(made.until_time, restriction.until_ms)
    for hold in model.holds:
        held = message.holds.add(id=hold.id, field_class=hold.field_class, reference=hold.reference)
        _set(held.until_time, hold.until_ms)
    for expiry in model.expiries:
        ending = message.expiries.add(id=expiry.id, purpose=expiry.purpose, field_class=expiry.field_class)
        _set(ending.expire_time, expiry.at_ms)


def _set(time: Timestamp, ms: int) -> None:
    if ms:
        time.FromMilliseconds(ms)
