"""Reads the field classes of the configuration.

    [fields.email]              # a class that is always there: only what differs
    lenient = true

    [fields.work_phone]         # a new one: its kind, and what differs from the kind's usual
    kind = "phone"
    default_country = "DE"      # phones only
    max_bytes = 64
    mask = "hidden"
    sensitivity = "sensitive"
    surrogate = "phone"         # what its surrogates look like, see `surrogate_config`
    searchable = true           # customers are found by it, see `searching`

All problems are reported at once.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from vault.errors import InvalidRequestError
from vault.fields.field_class import (
    DEFAULT_FIELDS,
    EXTERNAL_ID,
    MAX_FIELD_CLASSES,
    MAX_VALUE_BYTES,
    FieldCatalog,
    FieldClass,
    Kind,
    usual,
)
from vault.fields.surrogate import SurrogateRule
from vault.fields.surrogate_config import WrongOptionError, read_rule
from vault.model.ids import is_name

Choice = TypeVar("Choice", bound=StrEnum)

_KEYS = ("kind", "lenient", "default_country", "max_bytes", "mask", "sensitivity", "surrogate", "searchable")


def load_field_classes(table: Mapping[str, object]) -> FieldCatalog:
    """The classes that are always there, changed and extended by `table`.

    Args:
        table: The `fields` table of the configuration: a table of options by class name.

    Raises:
        InvalidRequestError: Something in it is wrong; the message lists every problem.
    """
    problems: list[str] = []
    classes = {field_class.name: field_class for field_class in DEFAULT_FIELDS}
    for name, options in table.items():
        if not is_name(name):
            problems.append("a class's name is snake case of at most 63 characters")
        elif name == EXTERNAL_ID:
            problems.append(f"{EXTERNAL_ID} is reserved")
        elif not isinstance(options, Mapping):
            problems.append(f"{name} is not a table")
        else:
            reader = _Options(name, options, problems)
            declared = reader.declare(classes.get(name))
            if declared is not None:
                classes[name] = declared
    if len(classes) > MAX_FIELD_CLASSES:
        problems.append(f"{len(classes)} classes, at most {MAX_FIELD_CLASSES}")
    if problems:
        raise InvalidRequestError("fields: " + "; ".join(problems))
    return FieldCatalog(classes.values())


class _Options:
    """One class's table. Notes what is wrong and goes on with the default."""

    def __init__(self, name: str, options: Mapping[str, object], problems: list[str]) -> None:
        self._name = name
        self._options = options
        self._problems = problems

    def declare(self, known: FieldClass | None) -> FieldClass | None:
        if any(key not in _KEYS for key in self._options):
            self._wrong(f"has an unknown key; the keys are {', '.join(_KEYS)}")
        if known is None and "kind" not in self._options:
            self._wrong("needs a kind")
            return None
        kind = self._choice("kind", known.kind if known else Kind.NOTE)
        if kind is Kind.IDENTIFIER:
            self._wrong(f"kind {kind} is reserved")
        base = known if known and known.kind is kind else usual(self._name, kind)
        return replace(
            base,
            mask=self._choice("mask", base.mask),
            lenient=self._flag("lenient", default=base.lenient),
            default_country=self._country(kind, base.default_country),
            max_bytes=self._size("max_bytes", base.max_bytes),
            sensitivity=self._choice("sensitivity", base.sensitivity),
            surrogate=self._surrogate(kind, base.surrogate),
            searchable=self._flag("searchable", default=base.searchable),
        )

    def _wrong(self, problem: str) -> None:
        self._problems.append(f"{self._name} {problem}")

    def _choice(self, key: str, default: Choice) -> Choice:
        choices = type(default)
        given = self._options.get(key, default)
        for choice in choices:
            if choice == given:
                return choice
        self._wrong(f"{key} is not one of {', '.join(choices)}")
        return default

    def _flag(self, key: str, *, default: bool) -> bool:
        given = self._options.get(key, default)
        if isinstance(given, bool):
            return given
        self._wrong(f"{key} is neither true nor false")
        return default

    def _size(self, key: str, default: int) -> int:
        given = self._options.get(key, default)
        if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MAX_VALUE_BYTES:
            return given
        self._wrong(f"{key} is not a number of bytes from 1 to {MAX_VALUE_BYTES}")
        return default

    def _surrogate(self, kind: Kind, default: SurrogateRule | None) -> SurrogateRule | None:
        if "surrogate" not in self._options:
            return default
        try:
            return read_rule(self._options["surrogate"], kind)
        except WrongOptionError as error:
            self._wrong(str(error))
            return default

    def _country(self, kind: Kind, default: str) -> str:
        given = self._options.get("default_country", default)
        if given == "":
            return ""
        from vault.fields.phone import is_country

        if kind is not Kind.PHONE:
            self._wrong("default_country belongs to phones only")
        elif not isinstance(given, str) or not is_country(given):
            self._wrong("default_country is not an ISO 3166-1 alpha-2 code of a country with phones")
        else:
            return given
        return default
