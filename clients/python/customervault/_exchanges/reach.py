"""Verbs of `AuditService` about how far reads reached: blast radius, and a customer's access history."""

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.message import Message

from customervault import _convert
from customervault._exchange import Exchange, Page, Request
from customervault.errors import InvalidRequestError
from customervault.inputs import CustomerRef
from customervault.reach_results import (
    AccessEvent,
    AccessHistoryPage,
    BlastRadiusPage,
    CallCount,
    CustomerReads,
    LogCoverage,
    LogGap,
    ReadCounts,
)
from customervault.v1 import audit_service_pb2 as api

TRIES = 3  # of a whole answer, where the log changes between its pages
_AUDIT = "/customervault.v1.AuditService/"


def has_changed(error: InvalidRequestError) -> bool:
    """Whether a page was refused because the log is not any more that of the first page."""
    return error.details.get("field") == "page_token"


def blast_radius_page(
    page_token: str,
    *,
    principal: str,
    start: datetime | None,
    end: datetime | None,
    purpose: str,
    domain: str,
    page_size: int,
) -> Exchange[Page[BlastRadiusPage]]:
    """One page of whose values were read."""
    message = api.GetBlastRadiusRequest(
        principal=principal,
        start_time=_convert.timestamp(start),
        end_time=_convert.timestamp(end),
        purpose=purpose,
        domain=domain,
        page_size=page_size,
        page_token=page_token,
    )
    reply: api.GetBlastRadiusResponse = yield Request(
        _AUDIT + "GetBlastRadius", message, api.GetBlastRadiusResponse
    )
    page = BlastRadiusPage(
        customers=tuple(_customer_reads(each) for each in reply.customers),
        end=_time(reply, "end_time"),
        first=_time(reply, "first_time"),
        last=_time(reply, "last_time"),
        totals=_counts(reply.totals),
        unnamed={each.reason: each.items for each in reply.unnamed},
        calls=tuple(
            CallCount(each.action, each.break_glass, each.reason, each.calls) for each in reply.calls
        ),
        coverage=_coverage(reply.coverage),
        locators=reply.locators,
        locators_found=reply.locators_found,
    )
    return [page], reply.next_page_token


def access_history_page(
    page_token: str,
    *,
    customer: CustomerRef,
    locale: str,
    start: datetime | None,
    end: datetime | None,
    page_size: int,
) -> Exchange[Page[AccessHistoryPage]]:
    """One page of what was done with a customer's data."""
    message = api.GetAccessHistoryRequest(
        customer=_convert.ref_message(customer),
        locale=locale,
        start_time=_convert.timestamp(start),
        end_time=_convert.timestamp(end),
        page_size=page_size,
        page_token=page_token,
    )
    reply: api.GetAccessHistoryResponse = yield Request(
        _AUDIT + "GetAccessHistory", message, api.GetAccessHistoryResponse
    )
    events = tuple(_event(each) for each in reply.events)
    return [AccessHistoryPage(events, reply.locale, _time(reply, "removed_time"))], reply.next_page_token


def _customer_reads(message: api.CustomerReads) -> CustomerReads:
    return CustomerReads(
        customer_token=message.customer_token,
        jurisdiction=message.jurisdiction,
        first=_time(message, "first_time"),
        last=_time(message, "last_time"),
        counts=_counts(message.counts),
    )


def _counts(messages: Iterable[api.ReadCounts]) -> dict[str, ReadCounts]:
    return {
        each.field_class: ReadCounts(each.plain, each.masked, each.denied, each.values, each.answered)
        for each in messages
    }


def _coverage(message: api.LogCoverage) -> LogCoverage:
    return LogCoverage(
        leaves=message.leaves,
        records=message.records,
        records_sealed=message.records_sealed,
        unsealed=_time(message, "unsealed_time"),
        gaps=tuple(
            LogGap(_time(gap, "start_time"), _time(gap, "end_time"), gap.cause) for gap in message.gaps
        ),
        gap_count=message.gap_count,
        removed=message.removed,
        removed_until=_time(message, "removed_time"),
        damaged=message.damaged,
    )


def _event(message: api.AccessEvent) -> AccessEvent:
    return AccessEvent(
        time=_time(message, "time"),
        principal=message.principal,
        action=message.action,
        purpose=message.purpose,
        purpose_description=message.purpose_description,
        basis=_convert.basis(message.lawful_basis),
        basis_stated=message.basis_stated,
        counts=_counts(message.counts),
        reasons=tuple(message.reasons),
        break_glass=message.break_glass,
        text=message.text,
        leaf=message.leaf if message.HasField("leaf") else None,
    )


def _time(message: Message, name: str) -> datetime | None:
    if not message.HasField(name):
        return None
    return getattr(message, name).ToDatetime(tzinfo=UTC)  # type: ignore[no-any-return]
