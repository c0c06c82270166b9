"""From what a caller names to a customer: external ids and tokens."""

import re
from typing import Final

from vault.core.aliases import refuse_alias
from vault.core.engine import Engine
from vault.core.surrogates import domains_of
from vault.crypto.tokens import is_token_text
from vault.errors import (
    CustomerUnknownError,
    InvalidRequestError,
    LimitExceededError,
    TokenUnknownError,
)
from vault.model.ids import CUSTOMER_ROW, MAX_EXTERNAL_ID_BYTES, CustomerNo, TokenParts
from vault.model.requests import CustomerRef
from vault.model.secret import Secret
from vault.policy.decision import Grants
from vault.store.session import WriteSession
from vault.store.snapshot import KeyringSnapshot, Snapshot

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")


def external_id_bytes(external_id: Secret) -> bytes:
    """An external id as it is hashed and sealed: UTF-8, as given.

    Raises:
        InvalidRequestError: it is empty, or holds control characters or lone surrogates.
        LimitExceededError: it is longer than 256 bytes.
    """
    text = external_id.reveal()
    if not text.strip() or not (text.isprintable() or _CONTROL.search(text) is None):
        raise InvalidRequestError("an external id is text without control characters", field="external_id")
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError("an external id is valid Unicode", field="external_id") from None
    if len(encoded) > MAX_EXTERNAL_ID_BYTES:
        raise LimitExceededError(
            f"an external id holds at most {MAX_EXTERNAL_ID_BYTES} bytes",
            limit="external_id_bytes",
            allowed=str(MAX_EXTERNAL_ID_BYTES),
            size=str(len(encoded)),
        )
    return encoded


def named_id(ref: CustomerRef) -> bytes:
    """The external id that a reference names; empty where it names a token."""
    return b"" if ref.external_id is None else external_id_bytes(ref.external_id)


def own_token(engine: Engine, grants: Grants, token: str) -> TokenParts:
    """What a token of one of the caller's domains says.

    Raises:
        TokenMalformedError: not the text of a token.
        TokenUnknownError: not issued here, or of a domain that the caller is not in.
    """
    parts = engine.secrets.codec.decode(token)
    if parts.domain not in grants.domains or parts.region != engine.region:
        raise TokenUnknownError("no such token")
    return parts


def own_value(engine: Engine, grants: Grants, snapshot: Snapshot, text: str, domain: str = "") -> TokenParts:
    """What a token or a surrogate of the caller stands for; `domain` says which domain's surrogate is meant.

    Raises:
        TokenMalformedError, TokenUnknownError: as `own_token`, or no such surrogate.
        DomainDeniedError: the caller is not in the domain.
        InvalidRequestError: the surrogate stands for values in several of the caller's domains, or the token
            is an issued one (`aliases`).
        DataLossError, IntegrityFailedError: the surrogate's customer is damaged.
    """
    if is_token_text(text):
        parts = own_token(engine, grants, text)
        refuse_alias(snapshot, engine.book.value_key(parts.customer_no, parts.value_no))
        return parts
    with engine.store.keyring() as keys:
        domains = domains_of(grants, domain)
        return engine.surrogates.require(snapshot, keys, domains, text)


def find(
    engine: Engine, grants: Grants, index: WriteSession | KeyringSnapshot, ref: CustomerRef
) -> CustomerNo | None:
    """The customer that a reference names; None when the external id is not in the index.

    Raises:
        InvalidRequestError: not exactly one of the two is set.
        TokenMalformedError, TokenUnknownError: as `own_token`.
    """
    if (ref.external_id is None) == (ref.token is None):
        raise InvalidRequestError("name the customer by external_id or by token", field="customer")
    if ref.token is not None:
        return own_token(engine, grants, ref.token).customer_no
    assert ref.external_id is not None  # noqa: S101 - for the type checker
    return engine.book.lookup(index, external_id_bytes(ref.external_id))


def require(
    engine: Engine, grants: Grants, index: WriteSession | KeyringSnapshot, ref: CustomerRef
) -> CustomerNo:
    """As `find`, for a customer that must exist.

    Raises:
        CustomerUnknownError: nobody has this external id.
    """
    number = find(engine, grants, index, ref)
    if number is None:
        raise CustomerUnknownError("no such customer")
    return number


def customer_token(engine: Engine, domain: int, number: CustomerNo) -> str:
    """The token that names a customer and holds no value."""
    return token_of(engine, domain, number, CUSTOMER_ROW)


def token_of(engine: Engine, domain: int, number: int, value_no: int) -> str:
    """The token of one value in one domain."""
    return engine.secrets.codec.encode(
        TokenParts(region=engine.region, domain=domain, customer_no=number, value_no=value_no)  # type: ignore[arg-type]
    )
