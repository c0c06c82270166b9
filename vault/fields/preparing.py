"""Validates and normalizes a value on its way into the vault. Reads never come here."""

from collections.abc import Callable
from functools import cache

from vault.errors import InvalidValueError
from vault.fields.birth_date import prepare_birth_date
from vault.fields.card import prepare_card
from vault.fields.email import prepare_email
from vault.fields.field_class import FieldClass, Kind
from vault.fields.free_text import prepare_exact, prepare_loose
from vault.fields.iban import prepare_iban
from vault.fields.national_id import prepare_national_id
from vault.fields.text import Prepared, UnfitError, clean, comparable, prepared

_PREPARERS: dict[Kind, Callable[[str], Prepared]] = {
    Kind.BIRTH_DATE: prepare_birth_date,
    Kind.NATIONAL_ID: prepare_national_id,
    Kind.IBAN: prepare_iban,
    Kind.CARD: prepare_card,
    Kind.NOTE: prepare_exact,
    Kind.IDENTIFIER: prepare_exact,
}
_NOTHING = Prepared("", b"")
_UTF8_MOST = 4  # bytes of one character
# Few kinds, compared in turn: an enum's hash is computed in Python, and costs more than the comparisons.
_LOOSE = (Kind.NAME, Kind.ADDRESS)
_OF_SEVERAL_LINES = (Kind.ADDRESS, Kind.NOTE)
_EMAIL, _PHONE = Kind.EMAIL, Kind.PHONE


def prepare(field_class: FieldClass, text: str, country_hint: str = "") -> Prepared:
    """What to seal and what to compare for `text` in `field_class`.

    Preparing a stored form again gives the same. Text of nothing but white space gives an empty
    form, which is not to be stored. A lenient class keeps what its validator refuses.

    Args:
        field_class: The declared class.
        text: The value as it came.
        country_hint: ISO 3166-1 alpha-2, usually the customer's jurisdiction; goes before the
            class's default country in reading phone numbers. An unknown one counts as none.

    Raises:
        InvalidValueError: It does not fit. The message is class and reason, never the value.
    """
    kind = field_class.kind
    try:
        cleaned = clean(text, lines=kind in _OF_SEVERAL_LINES)
        if not cleaned:
            return _NOTHING
        if kind in _LOOSE and len(cleaned) * _UTF8_MOST <= field_class.max_bytes:
            return prepared((cleaned, comparable(cleaned)))  # what `_fit` gives, which is for the others
        return _fit(field_class, cleaned, country_hint)
    except UnfitError as unfit:
        reason = str(unfit)
    # Raised out here, so that no traceback leads to an exception that may hold the value.
    raise InvalidValueError(f"{field_class.name}: {reason}", field_class=field_class.name)


def _fit(field_class: FieldClass, cleaned: str, country_hint: str) -> Prepared:
    if len(cleaned) * _UTF8_MOST > field_class.max_bytes:
        _check_size(field_class, cleaned)
    try:
        kind = field_class.kind
        if kind is _EMAIL:
            made = prepare_email(cleaned)
        elif kind is _PHONE:
            is_country, prepare_phone = _phones()
            country = country_hint if is_country(country_hint) else field_class.default_country
            made = prepare_phone(cleaned, country)
        elif kind in _LOOSE:
            made = prepare_loose(cleaned)
        else:
            made = _PREPARERS[kind](cleaned)
        if len(made.stored) * _UTF8_MOST > field_class.max_bytes:
            _check_size(field_class, made.stored)
    except UnfitError:
        if not field_class.lenient:
            raise
        return Prepared(cleaned, comparable(cleaned))
    return made


@cache
def _phones() -> tuple[Callable[[str], bool], Callable[[str, str], Prepared]]:
    """`is_country` and `prepare_phone`, which are imported once and not looked up for every number."""
    from vault.fields.phone import is_country, prepare_phone

    return is_country, prepare_phone


def _check_size(field_class: FieldClass, text: str) -> None:
    size = len(text) if text.isascii() else len(text.encode())
    if size > field_class.max_bytes:
        raise UnfitError(f"{size} bytes, at most {field_class.max_bytes}")
