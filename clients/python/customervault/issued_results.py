"""What calls about issued tokens return. Times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# In the order of the API's numbers; "unknown" is 0 or newer than this client.
IssuedTokenState = Literal["unknown", "live", "used", "revoked", "expired", "value_deleted", "shredded"]


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that was issued for a value beside the value's own.

    Attributes:
        expires: From when on it reads nothing; None for never.
        single_use: Whether it reads its value once.
        principal: The only one who may read with it; empty for everybody of the domain.
        ended: When it was used, revoked, removed after its expiry, or lost its value.
        tags: Until it is removed.
    """

    token: str
    domain: str
    state: IssuedTokenState
    customer_token: str
    field_class: str
    created: datetime | None
    expires: datetime | None
    single_use: bool
    principal: str
    ended: datetime | None
    tags: Mapping[str, str]
