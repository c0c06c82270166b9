"""`CustomerService`: the data subjects, and the end of their data."""

from customervault.v1 import customer_service_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller, ShredResult
from vault.model.secret import Secret
from vault.server import convert, convert_erasure, convert_terms, metrics


class CustomerService:
    """Creates, lists, exports, restricts, holds and shreds customers."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def create_customer(self, caller: Caller, request: pb.CreateCustomerRequest) -> pb.CreateCustomerResponse:
        """Creates a customer, or finds the one that holds the external id."""
        result = self._vault.create_customer(
            caller, Secret(request.external_id), request.jurisdiction, request.domain, request.request_id
        )
        if result.error:
            raise result.error
        return pb.CreateCustomerResponse(
            customer_token=result.customer_token, created=result.customer_created
        )

    def get_customer(self, caller: Caller, request: pb.GetCustomerRequest) -> pb.GetCustomerResponse:
        """What is held of a customer."""
        customer = self._vault.get_customer(caller, convert.to_ref(request.customer), request.domain)
        return pb.GetCustomerResponse(customer=convert.customer(customer))

    def list_customers(self, caller: Caller, request: pb.ListCustomersRequest) -> pb.ListCustomersResponse:
        """All customers."""
        page = self._vault.list_customers(
            caller,
            convert.to_page_size(request.page_size),
            request.page_token,
            request.domain,
            request.show_shredded,
        )
        return pb.ListCustomersResponse(
            customers=[convert.customer(each) for each in page.items], next_page_token=page.next_page_token
        )

    def export_customer(self, caller: Caller, request: pb.ExportCustomerRequest) -> pb.ExportCustomerResponse:
        """All values of one customer."""
        ref = convert.to_ref(request.customer)
        basis = convert.to_basis(request.lawful_basis)
        export = self._vault.export_customer(
            caller, ref, request.purpose, request.domain, basis, request.approval_id
        )
        return convert.export(export)

    def shred_customer(self, caller: Caller, request: pb.ShredCustomerRequest) -> pb.ShredCustomerResponse:
        """Destroys one customer's key; a refused customer fails the call."""
        results = self._vault.shred(
            caller,
            [convert.to_ref(request.customer)],
            request_id=request.request_id,
            validate_only=request.validate_only,
            atomic=False,
        )
        _count(results)
        if results[0].error:
            raise results[0].error
        return pb.ShredCustomerResponse(result=convert_erasure.shred_result(results[0]))

    def batch_shred_customers(
        self, caller: Caller, request: pb.BatchShredCustomersRequest
    ) -> pb.BatchShredCustomersResponse:
        """Destroys many customers' keys."""
        results = self._vault.shred(
            caller,
            [convert.to_ref(each) for each in request.customers],
            request_id=request.request_id,
            validate_only=request.validate_only,
            atomic=convert.to_atomic(request.mode),
            approval_id=request.approval_id,
        )
        _count(results)
        return pb.BatchShredCustomersResponse(
            results=[convert_erasure.shred_result(each) for each in results]
        )

    def restrict_customer(
        self, caller: Caller, request: pb.RestrictCustomerRequest
    ) -> pb.RestrictCustomerResponse:
        """Restricts processing."""
        made = self._vault.restrict_customer(
            caller,
            convert.to_ref(request.customer),
            convert_terms.to_scope(request.purposes, request.field_classes),
            convert_terms.to_end_ms(request),
            request.request_id,
        )
        return pb.RestrictCustomerResponse(restriction_id=made)

    def lift_restriction(
        self, caller: Caller, request: pb.LiftRestrictionRequest
    ) -> pb.LiftRestrictionResponse:
        """Ends a restriction."""
        ref = convert.to_ref(request.customer)
        self._vault.lift_restriction(caller, ref, request.restriction_id, request.request_id)
        return pb.LiftRestrictionResponse()

    def place_hold(self, caller: Caller, request: pb.PlaceHoldRequest) -> pb.PlaceHoldResponse:
        """Places a legal hold."""
        made = self._vault.place_hold(
            caller,
            convert.to_ref(request.customer),
            tuple(request.field_classes),
            convert_terms.to_end_ms(request),
            request.reference,
            request.request_id,
        )
        return pb.PlaceHoldResponse(hold_id=made)

    def release_hold(self, caller: Caller, request: pb.ReleaseHoldRequest) -> pb.ReleaseHoldResponse:
        """Ends a legal hold."""
        ref = convert.to_ref(request.customer)
        self._vault.release_hold(caller, ref, request.hold_id, request.request_id)
        return pb.ReleaseHoldResponse()

    def set_expiry(self, caller: Caller, request: pb.SetExpiryRequest) -> pb.SetExpiryResponse:
        """Sets a time from which nothing is revealed."""
        made = self._vault.set_expiry(
            caller,
            convert.to_ref(request.customer),
            convert_terms.to_scope(request.purposes, request.field_classes),
            convert_terms.to_ms(request.expire_time, "expire_time"),
            request.request_id,
        )
        return pb.SetExpiryResponse(expiry_id=made)

    def clear_expiry(self, caller: Caller, request: pb.ClearExpiryRequest) -> pb.ClearExpiryResponse:
        """Ends an expiry."""
        ref = convert.to_ref(request.customer)
        self._vault.clear_expiry(caller, ref, request.expiry_id, request.request_id)
        return pb.ClearExpiryResponse()


def _count(results: list[ShredResult]) -> None:
    metrics.SHREDS.inc(sum(1 for each in results if each.erasure and not each.error))
