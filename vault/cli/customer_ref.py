"""How commands name one customer: by a token, or else by external id."""

import re
from enum import StrEnum
from typing import Annotated, TypedDict

import typer

_TOKEN = re.compile(r"cv[0-9]+_[0-9a-f]{32}\Z", re.IGNORECASE)


class By(StrEnum):
    """What the given text is."""

    AUTO = "auto"
    ID = "id"
    TOKEN = "token"  # noqa: S105 - a kind of name, not a password


class Named(TypedDict, total=False):
    """Arguments for a client's verb: one of the two."""

    external_id: str
    token: str


Customer = Annotated[
    str,
    typer.Argument(metavar="CUSTOMER", help="External id, or any token of the customer.", show_default=False),
]
ByOption = Annotated[
    By, typer.Option("--by", help="What CUSTOMER is; auto takes what looks like a token for one.")
]


def named(text: str, by: By) -> Named:
    """The customer that `text` names."""
    is_token = by is By.TOKEN or (by is By.AUTO and _TOKEN.match(text) is not None)
    return {"token": text} if is_token else {"external_id": text}
