"""`SearchService`: customers by value, as tokens."""

from customervault.v1 import search_service_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert_search as convert


class SearchService:
    """Finds customers, lists duplicates."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def find(self, caller: Caller, request: pb.FindRequest) -> pb.FindResponse:
        """Customers that hold some values."""
        page = self._vault.find(caller, convert.to_search(request))
        customers = [convert.found(each) for each in page.items]
        return pb.FindResponse(customers=customers, next_page_token=page.next_page_token)

    def list_duplicates(self, caller: Caller, request: pb.ListDuplicatesRequest) -> pb.ListDuplicatesResponse:
        """Customers that share a value."""
        page = self._vault.list_duplicates(caller, convert.to_duplicate_search(request))
        groups = [convert.group(each) for each in page.items]
        return pb.ListDuplicatesResponse(groups=groups, next_page_token=page.next_page_token)

    def get_search_status(
        self, caller: Caller, _request: pb.GetSearchStatusRequest
    ) -> pb.GetSearchStatusResponse:
        """What can be searched."""
        found = self._vault.search_status(caller)
        return pb.GetSearchStatusResponse(entries=[convert.entry(each) for each in found])
