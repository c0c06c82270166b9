"""What a caller wants stored, checked before any lock is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from vault.config import Limits
from vault.core.references import external_id_bytes
from vault.core.surrogates import check_brought
from vault.errors import InvalidRequestError, InvalidValueError, LimitExceededError, VaultError
from vault.fields.field_class import FieldCatalog, FieldClass
from vault.fields.preparing import prepare
from vault.fields.text import Prepared
from vault.model.columns import EntryColumns
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


class Shape(NamedTuple):
    """What entries with the same fields in the same order have in common.

    Attributes:
        places: Field class and label of each field.
        alike: Which two fields are of one class.
    """

    places: Sequence[tuple[str, str]]
    alike: Sequence[tuple[int, int]]


class PlainFields(NamedTuple):
    """Fields of which none is refused, empty, a repetition of another or to have a surrogate."""

    shape: Shape
    stored: Sequence[bytes]
    normalized: Sequence[bytes]

    def __repr__(self) -> str:
        return f"<{len(self.stored)} fields>"

    @property
    def equal(self) -> bool:
        """Whether two values are equal."""
        return any(self.normalized[one] == self.normalized[other] for one, other in self.shape.alike)

    def apart(self) -> list[PreparedField]:
        """The fields one by one."""
        return [
            PreparedField(label, name, stored, normalized)
            for (name, label), stored, normalized in zip(
                self.shape.places, self.stored, self.normalized, strict=True
            )
        ]


class PreparedEntry:
    """One customer's fields.

    Attributes:
        customer: As it is named.
        jurisdiction: As given.
        external_id: Empty when the customer is named by a token.
        plain: The fields of an entry that came in columns, as long as they are.
        error: What refuses the entry as a whole.
        surrogates: Whether a field is to be answered with one.
        hashed: The external id's key in the index of epoch `hashed_in`, if it was looked for.
        hashed_in: That epoch.
        draft: Of a customer who seems to be new.
    """

    __slots__ = (
        "_fields", "customer", "draft", "error", "external_id", "hashed", "hashed_in", "jurisdiction",
        "plain", "surrogates",
    )  # fmt: skip

    def __init__(self, customer: CustomerRef, jurisdiction: str) -> None:
        self.customer = customer
        self.jurisdiction = jurisdiction
        self.external_id = b""
        self.plain: PlainFields | None = None
        self.error: VaultError | None = None
        self.surrogates = False
        self.hashed = b""
        self.hashed_in = 0
        self.draft: Draft | None = None
        self._fields: list[PreparedField] | None = None

    @property
    def fields(self) -> list[PreparedField]:
        """The fields one by one; whoever changes one of them changes the entry."""
        if self._fields is None:
            self._fields = [] if self.plain is None else self.plain.apart()
            self.plain = None
        return self._fields

    @fields.setter
    def fields(self, fields: list[PreparedField]) -> None:
        self._fields, self.plain = fields, None

    @property
    def size(self) -> int:
        """How many fields there are."""
        return len(self.fields if self.plain is None else self.plain.stored)


def check_batch(entries: Sequence[Entry], limits: Limits) -> None:
    """Raises LimitExceededError when a batch has too many entries or fields."""
    check_limit("batch_entries", len(entries), limits.batch_entries)
    if isinstance(entries, EntryColumns):
        fields = len(entries.at)
    else:
        fields = sum(len(entry.fields) for entry in entries)
    check_limit("batch_fields", fields, limits.batch_fields)


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
    prepared = named_entry(entry.customer, entry.jurisdiction)
    if prepared.error is not None:
        return prepared
    jurisdiction = entry.jurisdiction
    fields = [_prepare_field(given, jurisdiction, catalog, limits) for given in entry.fields]
    places = [(made.field_class, made.label) for made in fields if made.error is None and not made.empty]
    if len(set(places)) != len(places):
        refuse_repeated(fields)
    prepared.fields, prepared.surrogates = fields, any(made.brought for made in fields)
    return prepared


def named_entry(customer: CustomerRef, jurisdiction: str) -> PreparedEntry:
    """An entry without fields yet; what is wrong with how it is named is kept with it."""
    prepared = PreparedEntry(customer, jurisdiction)
    try:
        if jurisdiction and not is_jurisdiction(jurisdiction):
            raise InvalidRequestError("jurisdiction must be an ISO 3166-1 alpha-2 code", field="jurisdiction")
        if customer.external_id is not None:
            prepared.external_id = external_id_bytes(customer.external_id)
    except VaultError as error:
        prepared.error = error
    return prepared


def class_of_field(name: str, label: str, catalog: FieldCatalog) -> FieldClass:
    """The class of a field.

    Raises:
        InvalidRequestError: no label, or no class that a field may have.
    """
    if label and not is_label(label):
        raise InvalidRequestError("a label has at most 32 characters of a-z, 0-9, _ and -", field="label")
    field_class = catalog.get(name)
    if name == EXTERNAL_ID:
        raise InvalidRequestError(
            "the external id is given as the customer, not as a field", field="field_class"
        )
    return field_class


def refuse_repeated(fields: Sequence[PreparedField]) -> None:
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
    stored, normalized = prepare_text(field_class, value.reveal(), jurisdiction, limits)
    return PreparedField("", field_class.name, stored.encode(), normalized, None, not stored)


def prepare_text(field_class: FieldClass, text: str, jurisdiction: str, limits: Limits) -> Prepared:
    """Validates one value; errors as of `prepare_value`."""
    size = len(text)
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidRequestError("a value is valid Unicode", field="value") from None
    if size > limits.value_bytes:
        check_limit("value_bytes", size, limits.value_bytes)
    return prepare(field_class, text, jurisdiction)


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
        made = prepare_value(class_of_field(name, label, catalog), value, jurisdiction, limits)
        if surrogate is not None:
            made.brought = check_brought(surrogate.reveal())
        made.label = label
    except VaultError as error:
        return PreparedField(given.label, error=error)
    return made
