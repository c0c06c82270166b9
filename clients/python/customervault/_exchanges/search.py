"""Verbs of `SearchService`."""

from collections.abc import Mapping

from customervault import _convert
from customervault._exchange import Exchange, Page, Request
from customervault.search_results import DuplicateGroup, FoundCustomer, SearchEntry
from customervault.v1 import search_service_pb2 as api
from customervault.values import LawfulBasis

_SERVICE = "/customervault.v1.SearchService/"


def find_page(
    page_token: str,
    *,
    values: Mapping[str, str],
    purpose: str,
    basis: LawfulBasis | None,
    region: str,
    domain: str,
    page_size: int,
) -> Exchange[Page[FoundCustomer]]:
    """One page of the customers that hold some values."""
    message = api.FindRequest(
        terms=[api.SearchTerm(field_class=name, value=value) for name, value in values.items()],
        purpose=purpose,
        lawful_basis=_convert.basis_number(basis),
        region=region,
        domain=domain,
        page_size=page_size,
        page_token=page_token,
    )
    reply: api.FindResponse = yield Request(_SERVICE + "Find", message, api.FindResponse)
    return [_found(each) for each in reply.customers], reply.next_page_token


def duplicates_page(
    page_token: str,
    *,
    field_class: str,
    purpose: str,
    basis: LawfulBasis | None,
    domain: str,
    page_size: int,
) -> Exchange[Page[DuplicateGroup]]:
    """One page of the customers that share values."""
    message = api.ListDuplicatesRequest(
        field_class=field_class,
        purpose=purpose,
        lawful_basis=_convert.basis_number(basis),
        domain=domain,
        page_size=page_size,
        page_token=page_token,
    )
    reply: api.ListDuplicatesResponse = yield Request(
        _SERVICE + "ListDuplicates", message, api.ListDuplicatesResponse
    )
    groups = [
        DuplicateGroup([_found(each) for each in group.customers], group.more_count) for group in reply.groups
    ]
    return groups, reply.next_page_token


def status() -> Exchange[list[SearchEntry]]:
    """What can be searched."""
    reply: api.GetSearchStatusResponse = yield Request(
        _SERVICE + "GetSearchStatus", api.GetSearchStatusRequest(), api.GetSearchStatusResponse
    )
    return [
        SearchEntry(
            each.name,
            list(each.field_classes),
            each.ready,
            each.done_count,
            each.total_count,
            each.damaged_count,
        )
        for each in reply.entries
    ]


def _found(message: api.FoundCustomer) -> FoundCustomer:
    tokens: dict[str, str] = {}
    for each in message.values:
        tokens.setdefault(each.field_class, each.token)
    return FoundCustomer(message.customer_token, tokens)
