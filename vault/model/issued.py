"""What issuing a token takes, and what is told of issued tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class IssuedState(IntEnum):
    """Whether an issued token still stands for its value; numbers as in the API."""

    LIVE = 1
    USED = 2
    REVOKED = 3
    EXPIRED = 4
    VALUE_DELETED = 5
    SHREDDED = 6


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """The token that is wanted for the value of another.

    Attributes:
        token: of the value; a surrogate, too, of `source_domain`.
        domain: of the new token; empty for that of `token`.
        expires_ms: from when on it reads nothing, in milliseconds since 1970; 0 for never.
        single_use: whether it reads its value once.
        principal: the only one who may read with it; empty for everybody of the domain.
    """

    token: str
    domain: str = ""
    source_domain: str = ""
    expires_ms: int = 0
    single_use: bool = False
    principal: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An issued token without its value. Of a shredded customer's there is nothing but token and state."""

    token: str
    domain: str
    state: IssuedState
    customer_token: str
    field_class: str = ""
    created_ms: int = 0
    expires_ms: int = 0
    single_use: bool = False
    principal: str = ""
    ended_ms: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
