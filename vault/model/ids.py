"""Numbers and names. Sizes are those of the token and of the store's keys."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

Region = NewType("Region", int)  # 0..255
DomainId = NewType("DomainId", int)  # 1..255
CustomerNo = NewType("CustomerNo", int)  # 1..2**40 - 1
ValueNo = NewType("ValueNo", int)  # incarnation << 16 | counter; 0 is the customer row
FieldClassId = NewType("FieldClassId", int)  # 1..255
Generation = NewType("Generation", int)  # of a DEK, from 1
Epoch = NewType("Epoch", int)  # of the keyring, from 1
PrincipalId = NewType("PrincipalId", int)  # from 1; 0 is "nobody known"
PurposeId = NewType("PurposeId", int)  # from 1

CUSTOMER_ROW = ValueNo(0)
MAX_CUSTOMER_NO = 2**40 - 1
MAX_EXTERNAL_ID_BYTES = 256

_LABEL = re.compile(r"[a-z0-9_-]{1,32}\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_JURISDICTION = re.compile(r"[A-Z]{2}\Z")


@dataclass(frozen=True, slots=True)
class TokenParts:
    """What a genuine token says once deciphered."""

    region: Region
    domain: DomainId
    customer_no: CustomerNo
    value_no: ValueNo


@lru_cache(maxsize=1024)  # a caller has few labels, and each value has one
def is_label(text: str) -> bool:
    """Whether `text` may be a label; the empty label is allowed and means "the one"."""
    return not text or _LABEL.match(text) is not None


def is_name(text: str) -> bool:
    """Whether `text` may name a field class, purpose or domain (snake case, 63 characters)."""
    return _NAME.match(text) is not None


def is_jurisdiction(text: str) -> bool:
    """Whether `text` has the form of an ISO 3166-1 alpha-2 code."""
    return _JURISDICTION.match(text) is not None
