"""Verbs of `AuditService` that list accesses."""

from typing import get_args

from customervault import _convert, results
from customervault._exchange import Exchange, Page, Request
from customervault.errors import InvalidRequestError
from customervault.inputs import AccessFilter, optional_ref
from customervault.v1 import audit_service_pb2 as api
from customervault.values import Decision

_PATH = "/customervault.v1.AuditService/ListAccess"
_DECISIONS = get_args(Decision)


def access_page(page_token: str, wanted: AccessFilter, page_size: int) -> Exchange[Page[results.Access]]:
    """One page of the access log, newest first."""
    message = _message(wanted, page_size, page_token)
    reply: api.ListAccessResponse = yield Request(_PATH, message, api.ListAccessResponse)
    return [_convert.access(found) for found in reply.accesses], reply.next_page_token


def recorded_page(
    page_token: str, wanted: AccessFilter, page_size: int, *, only_new: bool = False
) -> Exchange[results.AccessPage]:
    """One page of the access log, in the order recorded."""
    message = _message(wanted, page_size, page_token)
    message.order = api.ACCESS_ORDER_RECORDED
    message.only_new = only_new and not page_token
    reply: api.ListAccessResponse = yield Request(_PATH, message, api.ListAccessResponse)
    accesses = tuple(_convert.access(found) for found in reply.accesses)
    return results.AccessPage(accesses, reply.next_page_token, reply.complete or not reply.next_page_token)


def _message(wanted: AccessFilter, page_size: int, page_token: str) -> api.ListAccessRequest:
    unknown = sorted(wanted.keys() - AccessFilter.__annotations__.keys())
    if unknown:
        raise TypeError(f"accesses are not listed by {', '.join(unknown)}")
    customer = optional_ref(wanted.get("external_id"), wanted.get("token"))
    decision = wanted.get("decision")
    if decision is not None and decision not in _DECISIONS:
        raise InvalidRequestError(f"decision must be one of {', '.join(_DECISIONS)}")
    return api.ListAccessRequest(
        customer=_convert.ref_message(customer) if customer else None,
        principal=wanted.get("principal", ""),
        start_time=_convert.timestamp(wanted.get("start")),
        end_time=_convert.timestamp(wanted.get("end")),
        field_class=wanted.get("field_class", ""),
        purpose=wanted.get("purpose", ""),
        actions=wanted.get("actions", ()),
        decision=api.Decision.Value(f"DECISION_{(decision or 'unspecified').upper()}"),
        page_size=page_size,
        page_token=page_token,
    )
