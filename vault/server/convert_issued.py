"""Between messages and model: issued tokens."""

from customervault.v1 import token_service_pb2 as pb

from vault.errors import InvalidRequestError
from vault.model.issued import IssuedToken, TokenOrder
from vault.server.convert_terms import to_ms


def to_order(message: pb.IssueTokenRequest) -> TokenOrder:
    """The token that is wanted."""
    if message.max_uses not in (0, 1):
        raise InvalidRequestError("max_uses: is 1, or 0 for any number", field="max_uses")
    return TokenOrder(
        token=message.token,
        domain=message.domain,
        source_domain=message.source_domain,
        expires_ms=to_ms(message.expire_time, "expire_time") if message.HasField("expire_time") else 0,
        single_use=bool(message.max_uses),
        principal=message.principal,
        tags=dict(message.tags),
    )


def issued_token(model: IssuedToken) -> pb.IssuedToken:
    """The message of an issued token."""
    message = pb.IssuedToken(
        token=model.token,
        domain=model.domain,
        state=pb.IssuedTokenState.ValueType(model.state),
        customer_token=model.customer_token,
        field_class=model.field_class,
        max_uses=int(model.single_use),
        principal=model.principal,
        tags=model.tags,
    )
    for time, ms in (
        (message.create_time, model.created_ms),
        (message.expire_time, model.expires_ms),
        (message.end_time, model.ended_ms),
    ):
        if ms:
            time.FromMilliseconds(ms)
    return message
