"""Verbs of `CustomerService` and `ErasureService`."""

from collections.abc import Iterable, Iterator

from customervault import _convert, results
from customervault._exchange import (
    Exchange,
    Page,
    Request,
    batches,
    request_id_of_batch,
    request_id_or_new,
)
from customervault.errors import VaultError
from customervault.inputs import CustomerRef, as_ref
from customervault.v1 import customer_service_pb2 as api
from customervault.v1 import erasure_service_pb2 as erasure_api
from customervault.values import LawfulBasis

_SERVICE = "/customervault.v1.CustomerService/"
_ERASURES = "/customervault.v1.ErasureService/"


def create(
    external_id: str, *, jurisdiction: str, domain: str, request_id: str | None
) -> Exchange[results.CreatedCustomer]:
    """Create a customer without values."""
    message = api.CreateCustomerRequest(
        external_id=external_id,
        jurisdiction=jurisdiction,
        domain=domain,
        request_id=request_id_or_new(request_id),
    )
    reply: api.CreateCustomerResponse = yield Request(
        _SERVICE + "CreateCustomer", message, api.CreateCustomerResponse
    )
    return results.CreatedCustomer(reply.customer_token, reply.created)


def get(ref: CustomerRef, *, domain: str) -> Exchange[results.Customer]:
    """What is held of a customer."""
    message = api.GetCustomerRequest(customer=_convert.ref_message(ref), domain=domain)
    reply: api.GetCustomerResponse = yield Request(_SERVICE + "GetCustomer", message, api.GetCustomerResponse)
    return _convert.customer(reply.customer)


def page(
    page_token: str, *, domain: str, show_shredded: bool, page_size: int
) -> Exchange[Page[results.Customer]]:
    """One page of all customers."""
    message = api.ListCustomersRequest(
        page_size=page_size, page_token=page_token, domain=domain, show_shredded=show_shredded
    )
    reply: api.ListCustomersResponse = yield Request(
        _SERVICE + "ListCustomers", message, api.ListCustomersResponse
    )
    return [_convert.customer(found) for found in reply.customers], reply.next_page_token


def export(
    ref: CustomerRef, *, purpose: str, domain: str, basis: LawfulBasis | None, approval_id: str
) -> Exchange[results.Export]:
    """All values of one customer."""
    message = api.ExportCustomerRequest(
        customer=_convert.ref_message(ref),
        purpose=purpose,
        domain=domain,
        lawful_basis=_convert.basis_number(basis),
        approval_id=approval_id,
    )
    reply: api.ExportCustomerResponse = yield Request(
        _SERVICE + "ExportCustomer", message, api.ExportCustomerResponse
    )
    return _convert.export(reply)


def shred(
    ref: CustomerRef, *, missing_ok: bool, validate_only: bool, request_id: str | None
) -> Exchange[results.Shredded]:
    """Destroy one customer's key."""
    message = api.ShredCustomerRequest(
        customer=_convert.ref_message(ref),
        request_id=request_id_or_new(request_id),
        validate_only=validate_only,
    )
    try:
        reply: api.ShredCustomerResponse = yield Request(
            _SERVICE + "ShredCustomer", message, api.ShredCustomerResponse
        )
    except VaultError as error:
        answer = _convert.shred_failed(error, missing_ok=missing_ok)
    else:
        answer = _convert.shredded(reply.result, missing_ok=missing_ok, validate_only=validate_only)
    if answer.error is not None:
        raise answer.error
    return answer


def shred_batches(
    customers: Iterable[str | CustomerRef],
    *,
    missing_ok: bool,
    validate_only: bool,
    request_id: str | None,
    max_batch: int,
    approval_id: str,
) -> Iterator[Exchange[list[results.Shredded]]]:
    """Destroy many customers' keys, one exchange per batch.

    Raises:
        ValueError: There is an approval, which is good for one call, and there are more batches than one.
    """
    base = request_id_or_new(request_id)
    gathered: Iterable[list[str | CustomerRef]] = batches(customers, max_batch)
    if approval_id:
        one = list(gathered)
        if len(one) > 1:
            raise ValueError(f"an approval is good for one call, of {max_batch} customers at most")
        gathered = one
    for number, batch in enumerate(gathered):
        message = api.BatchShredCustomersRequest(
            customers=[_convert.ref_message(as_ref(customer)) for customer in batch],
            request_id=request_id_of_batch(base, number),
            validate_only=validate_only,
            approval_id=approval_id,
            mode=_convert.batch_mode(atomic=False),
        )
        yield _shred_batch(message, missing_ok=missing_ok)


def _shred_batch(
    message: api.BatchShredCustomersRequest, *, missing_ok: bool
) -> Exchange[list[results.Shredded]]:
    reply: api.BatchShredCustomersResponse = yield Request(
        _SERVICE + "BatchShredCustomers", message, api.BatchShredCustomersResponse
    )
    return [
        _convert.shredded(result, missing_ok=missing_ok, validate_only=message.validate_only)
        for result in reply.results
    ]


def get_erasure(shred_id: str) -> Exchange[results.Erasure]:
    """The record of one shred."""
    reply: erasure_api.GetErasureResponse = yield Request(
        _ERASURES + "GetErasure",
        erasure_api.GetErasureRequest(shred_id=shred_id),
        erasure_api.GetErasureResponse,
    )
    return _convert.erasure(reply.erasure)


def certificate(shred_id: str) -> Exchange[results.Certificate]:
    """The newest certificate of one shred."""
    reply: erasure_api.GetCertificateResponse = yield Request(
        _ERASURES + "GetCertificate",
        erasure_api.GetCertificateRequest(shred_id=shred_id),
        erasure_api.GetCertificateResponse,
    )
    return _convert.certificate(reply.certificate)


def erasure_page(
    page_token: str, *, page_size: int, stage: results.ErasureStage | None
) -> Exchange[Page[results.Erasure]]:
    """One page of all shreds."""
    reply: erasure_api.ListErasuresResponse = yield Request(
        _ERASURES + "ListErasures",
        erasure_api.ListErasuresRequest(
            page_size=page_size, page_token=page_token, stage=_convert.stage_number(stage)
        ),
        erasure_api.ListErasuresResponse,
    )
    return [_convert.erasure(found) for found in reply.erasures], reply.next_page_token
