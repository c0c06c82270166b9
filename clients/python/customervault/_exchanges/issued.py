"""Verbs on issued tokens, of `TokenService`."""

from collections.abc import Mapping
from datetime import datetime

from customervault import _convert
from customervault._convert_issued import issued_token
from customervault._exchange import Exchange, Page, Request, request_id_or_new
from customervault.inputs import CustomerRef
from customervault.issued_results import IssuedToken
from customervault.v1 import token_service_pb2 as api

_SERVICE = "/customervault.v1.TokenService/"


def issue(
    token: str,
    *,
    expires: datetime | None,
    single_use: bool,
    principal: str,
    tags: Mapping[str, str] | None,
    domain: str,
    source_domain: str,
    request_id: str | None,
) -> Exchange[IssuedToken]:
    """A further token for a value."""
    message = api.IssueTokenRequest(
        token=token,
        domain=domain,
        source_domain=source_domain,
        expire_time=_convert.timestamp(expires),
        max_uses=int(single_use),
        principal=principal,
        tags=tags or {},
        request_id=request_id_or_new(request_id),
    )
    reply: api.IssueTokenResponse = yield Request(_SERVICE + "IssueToken", message, api.IssueTokenResponse)
    return issued_token(reply.issued_token)


def revoke(token: str, *, request_id: str | None) -> Exchange[None]:
    """End an issued token."""
    message = api.RevokeTokenRequest(token=token, request_id=request_id_or_new(request_id))
    yield Request(_SERVICE + "RevokeToken", message, api.RevokeTokenResponse)


def get(token: str) -> Exchange[IssuedToken]:
    """Describe an issued token."""
    message = api.GetTokenRequest(token=token)
    reply: api.GetTokenResponse = yield Request(_SERVICE + "GetToken", message, api.GetTokenResponse)
    return issued_token(reply.issued_token)


def page(
    page_token: str, *, ref: CustomerRef | None, tags: Mapping[str, str] | None, page_size: int
) -> Exchange[Page[IssuedToken]]:
    """One page of issued tokens."""
    message = api.ListTokensRequest(
        customer=None if ref is None else _convert.ref_message(ref),
        tags=tags or {},
        page_size=page_size,
        page_token=page_token,
    )
    reply: api.ListTokensResponse = yield Request(_SERVICE + "ListTokens", message, api.ListTokensResponse)
    return [issued_token(each) for each in reply.issued_tokens], reply.next_page_token
