"""Verbs of `CustomerService` that narrow what is done with a customer, or end that."""

from collections.abc import Sequence
from datetime import datetime

from customervault import _convert
from customervault._exchange import Exchange, Request, request_id_or_new
from customervault.inputs import CustomerRef
from customervault.v1 import customer_service_pb2 as api

_SERVICE = "/customervault.v1.CustomerService/"


def restrict(
    ref: CustomerRef,
    *,
    purposes: Sequence[str],
    field_classes: Sequence[str],
    until: datetime | None,
    request_id: str | None,
) -> Exchange[int]:
    """Restrict processing."""
    message = api.RestrictCustomerRequest(
        customer=_convert.ref_message(ref),
        purposes=purposes,
        field_classes=field_classes,
        until_time=_convert.timestamp(until),
        request_id=request_id_or_new(request_id),
    )
    reply: api.RestrictCustomerResponse = yield Request(
        _SERVICE + "RestrictCustomer", message, api.RestrictCustomerResponse
    )
    return reply.restriction_id


def lift(ref: CustomerRef, *, restriction_id: int, request_id: str | None) -> Exchange[None]:
    """End a restriction."""
    message = api.LiftRestrictionRequest(
        customer=_convert.ref_message(ref),
        restriction_id=restriction_id,
        request_id=request_id_or_new(request_id),
    )
    yield Request(_SERVICE + "LiftRestriction", message, api.LiftRestrictionResponse)


def hold(
    ref: CustomerRef,
    *,
    field_classes: Sequence[str],
    until: datetime | None,
    reference: str,
    request_id: str | None,
) -> Exchange[int]:
    """Place a legal hold."""
    message = api.PlaceHoldRequest(
        customer=_convert.ref_message(ref),
        field_classes=field_classes,
        until_time=_convert.timestamp(until),
        reference=reference,
        request_id=request_id_or_new(request_id),
    )
    reply: api.PlaceHoldResponse = yield Request(_SERVICE + "PlaceHold", message, api.PlaceHoldResponse)
    return reply.hold_id


def release(ref: CustomerRef, *, hold_id: int, request_id: str | None) -> Exchange[None]:
    """End a legal hold."""
    message = api.ReleaseHoldRequest(
        customer=_convert.ref_message(ref), hold_id=hold_id, request_id=request_id_or_new(request_id)
    )
    yield Request(_SERVICE + "ReleaseHold", message, api.ReleaseHoldResponse)


def set_expiry(
    ref: CustomerRef,
    *,
    at: datetime,
    purposes: Sequence[str],
    field_classes: Sequence[str],
    request_id: str | None,
) -> Exchange[int]:
    """Set a time from which nothing is revealed."""
    message = api.SetExpiryRequest(
        customer=_convert.ref_message(ref),
        purposes=purposes,
        field_classes=field_classes,
        expire_time=_convert.timestamp(at),
        request_id=request_id_or_new(request_id),
    )
    reply: api.SetExpiryResponse = yield Request(_SERVICE + "SetExpiry", message, api.SetExpiryResponse)
    return reply.expiry_id


def clear_expiry(ref: CustomerRef, *, expiry_id: int, request_id: str | None) -> Exchange[None]:
    """End an expiry."""
    message = api.ClearExpiryRequest(
        customer=_convert.ref_message(ref), expiry_id=expiry_id, request_id=request_id_or_new(request_id)
    )
    yield Request(_SERVICE + "ClearExpiry", message, api.ClearExpiryResponse)
