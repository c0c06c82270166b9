"""What a field class is, and the ones that are always there.

`external_id` is reserved: the vault itself seals the caller's identifier under it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from vault.errors import InvalidRequestError
from vault.fields.surrogate import SurrogateRule
from vault.model.ids import MAX_EXTERNAL_ID_BYTES, is_name

EXTERNAL_ID = "external_id"
MAX_VALUE_BYTES = 64 * 1024
MAX_FIELD_CLASSES = 255  # records number their class in one byte, from 1


class Kind(StrEnum):
    """Which validator, normalizer and usual mask a class has."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    ADDRESS = "address"
    BIRTH_DATE = "birth_date"
    NATIONAL_ID = "national_id"
    IBAN = "iban"
    CARD = "card"
    NOTE = "note"
    IDENTIFIER = "identifier"


class MaskStyle(StrEnum):
    """What a mask leaves readable."""

    HIDDEN = "hidden"  # nothing
    INITIALS = "initials"  # first grapheme of each word
    EMAIL = "email"  # first graphemes of both sides, top-level domain
    PHONE = "phone"  # country code, last two digits
    LAST_PART = "last_part"  # last of three or more parts, when it has no digit
    YEAR = "year"
    LAST_TWO = "last_two"
    LAST_FOUR = "last_four"  # the most that PCI DSS 4.0 requirement 3.4.1 shows, less the first six
    COUNTRY_LAST_FOUR = "country_last_four"


class Sensitivity(StrEnum):
    """How much harm a disclosure does; for policy and reports, nothing here depends on it."""

    PERSONAL = "personal"
    SENSITIVE = "sensitive"


@dataclass(frozen=True, slots=True)
class FieldClass:
    """A declared kind of value.

    Attributes:
        name: As in requests and policy; snake case.
        kind: Its validator and normalizer.
        mask: What its masked form shows.
        lenient: Whether a value that its validator refuses is kept as it is.
        default_country: ISO 3166-1 alpha-2; read into phone numbers without a country code when
            the customer's jurisdiction is unknown. Empty: none.
        max_bytes: Longest stored value, in bytes of UTF-8.
        sensitivity: How much harm a disclosure does.
        surrogate: How its surrogates are made; None for a class without.
        searchable: Whether customers are found by a value of it.
    """

    name: str
    kind: Kind
    mask: MaskStyle
    lenient: bool = False
    default_country: str = ""
    max_bytes: int = MAX_VALUE_BYTES
    sensitivity: Sensitivity = Sensitivity.PERSONAL
    surrogate: SurrogateRule | None = None
    searchable: bool = False


@dataclass(frozen=True, slots=True)
class _Usual:
    mask: MaskStyle
    max_bytes: int
    sensitivity: Sensitivity = Sensitivity.PERSONAL


_USUAL = {
    Kind.NAME: _Usual(MaskStyle.INITIALS, 1024),
    Kind.EMAIL: _Usual(MaskStyle.EMAIL, 1024),
    Kind.PHONE: _Usual(MaskStyle.PHONE, 256),
    Kind.ADDRESS: _Usual(MaskStyle.LAST_PART, 4096),
    Kind.BIRTH_DATE: _Usual(MaskStyle.YEAR, 64),
    Kind.NATIONAL_ID: _Usual(MaskStyle.LAST_TWO, 256, Sensitivity.SENSITIVE),
    Kind.IBAN: _Usual(MaskStyle.COUNTRY_LAST_FOUR, 256, Sensitivity.SENSITIVE),
    Kind.CARD: _Usual(MaskStyle.LAST_FOUR, 256, Sensitivity.SENSITIVE),
    Kind.NOTE: _Usual(MaskStyle.HIDDEN, MAX_VALUE_BYTES, Sensitivity.SENSITIVE),
    Kind.IDENTIFIER: _Usual(MaskStyle.LAST_TWO, MAX_EXTERNAL_ID_BYTES),
}


def usual(name: str, kind: Kind) -> FieldClass:
    """A class of `kind` with the kind's usual mask, limit and sensitivity."""
    own = _USUAL[kind]
    return FieldClass(name, kind, own.mask, max_bytes=own.max_bytes, sensitivity=own.sensitivity)


class FieldCatalog:
    """The declared classes, in order of declaration."""

    __slots__ = ("_classes",)

    def __init__(self, classes: Iterable[FieldClass]) -> None:
        self._classes = {field_class.name: field_class for field_class in classes}

    def get(self, name: str) -> FieldClass:
        """The class called `name`.

        Raises:
            InvalidRequestError: No such class. A caller may have put a value where the name
                belongs, so the message repeats it only when it could be a name.
        """
        found = self._classes.get(name)
        if found is None:
            raise InvalidRequestError(
                f"no field class {name}" if is_name(name) else "not a field class's name"
            )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all classes, `external_id` included."""
        return tuple(self._classes)

    def __iter__(self) -> Iterator[FieldClass]:
        return iter(self._classes.values())

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes


DEFAULT_FIELDS = FieldCatalog(
    [
        usual(EXTERNAL_ID, Kind.IDENTIFIER),
        *(usual(str(kind), kind) for kind in Kind if kind is not Kind.IDENTIFIER),
    ]
)
