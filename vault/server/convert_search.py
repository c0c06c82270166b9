"""Messages of `SearchService` to the model and back."""

from customervault.v1 import search_service_pb2 as pb

from vault.model.search import DuplicateGroup, DuplicateSearch, Found, Search, SearchEntry, SearchTerm
from vault.model.secret import Secret
from vault.server.convert import to_basis, to_page_size


def to_search(request: pb.FindRequest) -> Search:
    """A search."""
    return Search(
        terms=[SearchTerm(each.field_class, Secret(each.value)) for each in request.terms],
        purpose=request.purpose,
        basis=to_basis(request.lawful_basis),
        region=request.region,
        domain=request.domain,
        page_size=to_page_size(request.page_size),
        page_token=request.page_token,
    )


def to_duplicate_search(request: pb.ListDuplicatesRequest) -> DuplicateSearch:
    """A listing of duplicates."""
    return DuplicateSearch(
        entry=request.field_class,
        purpose=request.purpose,
        basis=to_basis(request.lawful_basis),
        domain=request.domain,
        page_size=to_page_size(request.page_size),
        page_token=request.page_token,
    )


def found(model: Found) -> pb.FoundCustomer:
    """A customer that was found."""
    values = [pb.FoundValue(field_class=each.field_class, token=each.token) for each in model.values]
    return pb.FoundCustomer(customer_token=model.customer_token, values=values)


def group(model: DuplicateGroup) -> pb.DuplicateGroup:
    """Customers that share a value."""
    return pb.DuplicateGroup(customers=[found(each) for each in model.customers], more_count=model.more)


def entry(model: SearchEntry) -> pb.SearchEntry:
    """A look-up, and how far its index is."""
    return pb.SearchEntry(
        name=model.name,
        field_classes=model.field_classes,
        ready=model.ready,
        done_count=model.done,
        total_count=model.total,
        damaged_count=model.damaged,
    )
