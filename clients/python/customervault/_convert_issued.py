"""Between messages and what callers get: issued tokens."""

from collections.abc import Sequence
from datetime import UTC
from typing import get_args

from customervault.issued_results import IssuedToken, IssuedTokenState
from customervault.v1 import token_service_pb2 as api

_STATES: Sequence[IssuedTokenState] = get_args(IssuedTokenState)


def issued_token(message: api.IssuedToken) -> IssuedToken:
    """An issued token."""
    return IssuedToken(
        token=message.token,
        domain=message.domain,
        state=_STATES[message.state] if message.state < len(_STATES) else _STATES[0],
        customer_token=message.customer_token,
        field_class=message.field_class,
        created=message.create_time.ToDatetime(UTC) if message.HasField("create_time") else None,
        expires=message.expire_time.ToDatetime(UTC) if message.HasField("expire_time") else None,
        single_use=message.max_uses == 1,
        principal=message.principal,
        ended=message.end_time.ToDatetime(UTC) if message.HasField("end_time") else None,
        tags=dict(message.tags),
    )
