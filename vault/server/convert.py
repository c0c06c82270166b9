"""The one mapping between protobuf messages and the model; what only one service says is in `convert_...`.

Functions named `to_...` read a request's part and raise `InvalidRequestError` naming the field; the
others write a part of a response. Plaintext moves straight between message and `Secret`: no message is
ever formatted.
"""

# ruff: noqa: D103 - the writers are named after the message that they write

from collections.abc import Iterable
from functools import lru_cache

from customervault.v1 import (
    common_pb2 as common_pb,
)
from customervault.v1 import (
    customer_service_pb2 as customer_pb,
)
from customervault.v1 import (
    token_service_pb2 as token_pb,
)
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidRequestError
from vault.model.access import Denial, Reveal
from vault.model.consent import LawfulBasis
from vault.model.requests import (
    Customer,
    CustomerRef,
    Entry,
    EntryResult,
    Export,
    ExportedValue,
    HeldValue,
    StoredEntry,
    TokenForm,
    TokenInfo,
    Translated,
    field_input,
)
from vault.model.secret import Secret
from vault.server.convert_terms import add_terms
from vault.server.status import status_of, status_of_reason

DEFAULT_PAGE = 100
MAX_PAGE = 1000
END_OF_TIME_MS = 2**63 - 1

# Requests
_BASIS_PREFIX = "LAWFUL_BASIS_"


def to_ref(message: common_pb.CustomerRef) -> CustomerRef:
    """Which customer is meant."""
    match message.WhichOneof("ref"):
        case "external_id":
            return CustomerRef(external_id=Secret(message.external_id))
        case "token":
            return CustomerRef(token=message.token)
    raise InvalidRequestError("customer: an external_id or a token is needed", field="customer")


def to_entry(message: token_pb.TokenizeEntry) -> Entry:
    """One customer's fields."""
    return Entry(
        customer=to_ref(message.customer),
        fields=[
            field_input((f.field_class, Secret(f.value), f.label, Secret(s) if (s := f.surrogate) else None))
            for f in message.fields
        ],
        jurisdiction=message.jurisdiction,
    )


@lru_cache
def to_reveal(number: int) -> Reveal:
    """The reveal that is asked for; unspecified means BEST."""
    try:
        return Reveal(number or Reveal.BEST)
    except ValueError:
        raise InvalidRequestError("reveal: unknown number", field="reveal") from None


def to_form(number: int) -> TokenForm:
    """What is to stand for values; unspecified means as their classes are configured."""
    try:
        return TokenForm(number)
    except ValueError:
        raise InvalidRequestError("form: unknown number", field="form") from None


@lru_cache
def to_basis(number: int) -> LawfulBasis | None:
    """The lawful basis that is stated; unspecified means none."""
    if not number:
        return None
    if number not in common_pb.LawfulBasis.values():
        raise InvalidRequestError("lawful_basis: unknown number", field="lawful_basis")
    name = common_pb.LawfulBasis.Name(common_pb.LawfulBasis.ValueType(number))
    return LawfulBasis(name.removeprefix(_BASIS_PREFIX).lower())


def from_basis(basis: LawfulBasis | None) -> common_pb.LawfulBasis.ValueType:
    """A lawful basis, or none."""
    return common_pb.LawfulBasis.Value(_BASIS_PREFIX + (basis.value.upper() if basis else "UNSPECIFIED"))


def to_atomic(mode: int) -> bool:
    """Whether a batch is all or nothing; unspecified means PARTIAL."""
    if mode not in common_pb.BatchMode.values():
        raise InvalidRequestError("mode: unknown number", field="mode")
    return mode == common_pb.BATCH_MODE_ATOMIC


def to_page_size(size: int) -> int:
    """The page size to use: 0 means 100, and more than 1,000 means 1,000 (AIP-158)."""
    if size < 0:
        raise InvalidRequestError("page_size: must not be negative", field="page_size")
    return min(size, MAX_PAGE) or DEFAULT_PAGE


# Responses


def timestamp(ms: int) -> Timestamp | None:
    """A point in time; 0 stands for "never" and leaves the field unset."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000) if ms else None


def entry_result(result: EntryResult | StoredEntry) -> token_pb.TokenizeEntryResult:
    if result.error:
        return token_pb.TokenizeEntryResult(error=status_of(result.error))
    message = token_pb.TokenizeEntryResult(
        customer_token=result.customer_token, customer_created=result.customer_created
    )
    add = message.results.add
    for outcome, token, error in result.results:
        if error is None:
            add(token=token, outcome=outcome)
        else:
            add(token=token, outcome=outcome, error=status_of(error))
    return message


def add_denials(
    errors: "RepeatedCompositeFieldContainer[common_pb.ItemError]", denials: Iterable[Denial]
) -> None:
    """Appends the items of a batch that have no answer."""
    for denial in denials:
        error = errors.add()
        error.index = denial.index
        error.status.CopyFrom(status_of_reason(denial.reason))


def translated(result: Translated) -> token_pb.TranslateTokensResponse:
    response = token_pb.TranslateTokensResponse(tokens=result.tokens)
    add_denials(response.errors, result.denials)
    return response


def token_info(info: TokenInfo) -> token_pb.InspectTokenResponse:
    return token_pb.InspectTokenResponse(
        field_class=info.field_class,
        labels=info.labels,
        domain=info.domain,
        state=token_pb.ValueState.ValueType(info.state),
        version=info.version,
        dek_generation=info.dek_generation,
        customer_token=info.customer_token,
        customer_state=common_pb.CustomerState.ValueType(info.customer_state),
        customer_create_time=timestamp(info.customer_created_ms),
    )


def customer(model: Customer) -> customer_pb.Customer:
    message = customer_pb.Customer(
        customer_token=model.customer_token,
        state=common_pb.CustomerState.ValueType(model.state),
        jurisdiction=model.jurisdiction,
        create_time=timestamp(model.created_ms),
        dek_generation=model.dek_generation,
        held=[_held(each) for each in model.held],
        shred_id=model.shred_id,
    )
    add_terms(message, model)
    return message


def _held(value: HeldValue) -> customer_pb.HeldValue:
    return customer_pb.HeldValue(
        token=value.token, field_class=value.field_class, labels=value.labels, version=value.version
    )


def export(model: Export) -> customer_pb.ExportCustomerResponse:
    return customer_pb.ExportCustomerResponse(
        customer=customer(model.customer), values=[_exported(each) for each in model.values]
    )


def _exported(value: ExportedValue) -> customer_pb.ExportedValue:
    return customer_pb.ExportedValue(
        field_class=value.held.field_class,
        labels=value.held.labels,
        token=value.held.token,
        value="" if value.error else value.value.reveal(),
        reveal=common_pb.Reveal.ValueType(Reveal.NONE if value.error else value.reveal),
        error=status_of(value.error) if value.error else None,
    )
