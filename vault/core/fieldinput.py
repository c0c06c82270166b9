"""What a caller wants stored, checked before any lock is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vault.config import Limits
from vault.core.references import external_id_bytes
from vault.core.surrogates import check_brought
from vault.errors import InvalidRequestError, InvalidValueError, LimitExceededError, VaultError
from vault.fields.field_class import FieldCatalog, FieldClass
from vault.fields.preparing import prepare
from vault.model.ids import is_jurisdiction, is_label
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.secret import Secret

if TYPE_CHECKING:
    from vault.core.drafting import Draft

EXTERNAL_ID: Final = "external_id"


@dataclass(slots=True)
class PreparedField:
    """One field: its stored and normalized forms, or the error that refuses it."""

    label: str
    field_class: str = ""
    stored: bytes = field(default=b"", repr=False)
    normalized: bytes = field(default=b"", repr=False)
    error: VaultError | None = None
    empty: bool = False
    brought: bytes = field(default=b"", repr=False)
    surrogate_domain: int = 0  # where a surrogate is wanted; 0 where a token is
    surrogate: str = field(default="", repr=False)  # the one that stands for the value, once it is stored


@dataclass(slots=True)
class PreparedEntry:
    """One customer's fields. `external_id` is empty when the customer is named by a token."""

    customer: CustomerRef
    jurisdiction: str
    external_id: bytes = field(default=b"", repr=False)
    fields: list[PreparedField] = field(default_factory=list)
    error: VaultError | None = None
    surrogates: bool = False  # whether a field is to be answered with one
    hashed: bytes = b""  # the external id's key in the index of epoch `hashed_in`, if it was looked for
    hashed_in: int = 0
    draft: "Draft | None" = None  # of a customer who seems to be new


def check_batch(entries: Sequence[Entry], limits: Limits) -> None:
    """Raises LimitExceededError when a batch has too many entries or fields."""
    check_limit("batch_entries", len(entries), limits.batch_entries)
    check_limit("batch_fields", sum(len(entry.fields) for entry in entries), limits.batch_fields)


def check_limit(name: str, size: int, allowed: int) -> None:
    """Raises LimitExceededError, naming the limit, what it allows and what was sent."""
    if size > allowed:
        raise LimitExceededError(
            f"{name} is limited to {allowed}; this request has {size}",
            limit=name,
            allowed=str(allowed),
            size=str(size),
        )


def prepare_entry(entry: Entry, catalog: FieldCatalog, limits: Limits) -> PreparedEntry:
    """Validates one entry; what is wrong is kept with the entry or the field that it concerns."""
    prepared = PreparedEntry(entry.customer, entry.jurisdiction)
    try:
        if entry.jurisdiction and not is_jurisdiction(entry.jurisdiction):
            raise InvalidRequestError("jurisdiction must be an ISO 3166-1 alpha-2 code", field="jurisdiction")
        if entry.customer.external_id is not None:
            prepared.external_id = external_id_bytes(entry.customer.external_id)
    except VaultError as error:
        prepared.error = error
        return prepared
    jurisdiction = entry.jurisdiction
    fields = [_prepare_field(given, jurisdiction, catalog, limits) for given in entry.fields]
    places = [(made.field_class, made.label) for made in fields if made.error is None and not made.empty]
    if len(set(places)) != len(places):
        _refuse_repeated(fields)
    prepared.fields, prepared.surrogates = fields, any(made.brought for made in fields)
    return prepared


def _refuse_repeated(fields: Sequence[PreparedField]) -> None:
    """Refuses what goes where an earlier field of the entry goes."""
    seen: set[tuple[str, str]] = set()
    for made in fields:
        if made.error is None and not made.empty:
            place = (made.field_class, made.label)
            if place in seen:
                made.error = InvalidRequestError(
                    "field class and label stand twice in this entry", field="fields"
                )
            seen.add(place)


def prepare_value(field_class: FieldClass, value: Secret, jurisdiction: str, limits: Limits) -> PreparedField:
    """Validates one value.

    Raises:
        InvalidValueError: it does not fit its class; the reason never holds the value.
        LimitExceededError: it is longer than `value_bytes`.
    """
    text = value.reveal()
    size = len(text)
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidRequestError("a value is valid Unicode", field="value") from None
    if size > limits.value_bytes:
        check_limit("value_bytes", size, limits.value_bytes)
    stored, normalized = prepare(field_class, text, jurisdiction)
    return PreparedField("", field_class.name, stored.encode(), normalized, None, not stored)


def fingerprint_content(field_class: FieldClass | None, stored: bytes) -> bytes:
    """What a stored value's fingerprint is made of: name of the class | 0 | normalized value.

    A value that its class no longer accepts, or whose class is no longer declared, stands for itself.
    """
    name = b"" if field_class is None else field_class.name.encode()
    return name + b"\0" + normalized(field_class, stored)


def normalized(field_class: FieldClass | None, stored: bytes) -> bytes:
    """What a stored value is compared by, within its class.

    A value that its class no longer accepts, or whose class is no longer declared, stands for itself.
    """
    if field_class is None or field_class.name == EXTERNAL_ID:
        return stored
    try:
        return prepare(field_class, stored.decode()).normalized
    except InvalidValueError:
        return stored


def search_content(field_class: FieldClass, stored: bytes) -> bytes:
    """The normalized form of a stored value, as it is searched for; see `fingerprint_content`."""
    try:
        return prepare(field_class, stored.decode()).normalized
    except InvalidValueError:
        return stored


def _prepare_field(
    given: FieldInput, jurisdiction: str, catalog: FieldCatalog, limits: Limits
) -> PreparedField:
    try:
        name, value, label, surrogate = given
        if label and not is_label(label):
            raise InvalidRequestError("a label has at most 32 characters of a-z, 0-9, _ and -", field="label")
        field_class = catalog.get(name)
        if name == EXTERNAL_ID:
            raise InvalidRequestError(
                "the external id is given as the customer, not as a field", field="field_class"
            )
        made = prepare_value(field_class, value, jurisdiction, limits)
        if surrogate is not None:
            made.brought = check_brought(surrogate.reveal())
        made.label = label
    except VaultError as error:
        return PreparedField(given.label, error=error)
    return made
