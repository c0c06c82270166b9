"""Look-up by value: which classes are searchable, and the form by which their values are found.

    [fields.phone]
    searchable = true           # found by its value

    [search.person]             # a compound: found by all of its fields together, and not by one of them
    fields = ["name", "birth_date"]

The form is the normalized value (`preparing`): e-mail addresses case-folded, phone numbers in E.164, dates as
YYYY-MM-DD. Names and addresses are looser, because people type them: beyond NFKC (UAX #15), full case folding
(Unicode 15, 3.13) and single spaces,

- characters that show nothing (category Cf, such as joiners and soft hyphens) are left out;
- every dash (category Pd) is a hyphen, and the usual stand-ins for an apostrophe are one.

Accents stay, and so does the order of words: Müller is not Muller, and Ada Lovelace not Lovelace Ada.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vault.errors import InvalidRequestError
from vault.fields.field_class import EXTERNAL_ID, FieldCatalog, FieldClass, Kind
from vault.fields.text import comparable
from vault.model.ids import is_name

FORM: Final = 1  # number of these rules; another one has every index built anew
MAX_COMPOUNDS: Final = 32
MAX_FIELDS: Final = 4
_LOOSE: Final = frozenset({Kind.NAME, Kind.ADDRESS})
_APOSTROPHES: Final = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u02b9\u2032`"), "'")
_NORMALIZED_ACUTE: Final = " \u0301"  # what NFKC makes of an acute accent that stands alone


@dataclass(frozen=True, slots=True)
class Compound:
    """Field classes that are looked up together; `fields` are in the order of their names."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Searchable:
    """What the configuration declares to be found.

    Attributes:
        classes: Names of classes found by their value alone.
        compounds: What is found by several values.
        entries: A description by the name of each of both; another description means another index.
    """

    classes: frozenset[str]
    compounds: tuple[Compound, ...]
    entries: Mapping[str, str]

    @property
    def digested(self) -> frozenset[str]:
        """Classes whose values are noted in the sheet."""
        return self.classes.union(*[each.fields for each in self.compounds])

    def compound_of(self, classes: frozenset[str]) -> Compound | None:
        """The compound of exactly these classes."""
        return next((each for each in self.compounds if frozenset(each.fields) == classes), None)

    def __bool__(self) -> bool:
        return bool(self.entries)


def search_form(field_class: FieldClass, normalized: bytes) -> bytes:
    """What a normalized value (UTF-8) is found by."""
    if field_class.kind not in _LOOSE:
        return normalized
    if normalized.isascii():
        return normalized.replace(b"`", b"'")
    plain = normalized.decode().replace(_NORMALIZED_ACUTE, "'").translate(_APOSTROPHES)
    # Once more: what stood apart before may combine now.
    return comparable("".join(map(_shown, plain)))


def load_searchable(table: Mapping[str, object], catalog: FieldCatalog) -> Searchable:
    """What is searchable by the classes' own declarations, and by the compounds of `table`.

    Args:
        table: The `search` table of the configuration: a table with `fields` by compound name.
        catalog: The declared classes.

    Raises:
        InvalidRequestError: Something in it is wrong; the message lists every problem.
    """
    problems: list[str] = []
    compounds = [
        compound
        for name, options in table.items()
        if (compound := _compound(name, options, catalog, problems)) is not None
    ]
    if len({each.fields for each in compounds}) < len(compounds):
        problems.append("two compounds have the same fields")
    if len(compounds) > MAX_COMPOUNDS:
        problems.append(f"{len(compounds)} compounds, at most {MAX_COMPOUNDS}")
    if problems:
        raise InvalidRequestError("search: " + "; ".join(problems))
    kinds = {each.name: f"{FORM}/{each.kind}" for each in catalog}
    classes = frozenset([each.name for each in catalog if each.searchable])
    entries = {name: kinds[name] for name in sorted(classes)}
    for each in compounds:
        entries[each.name] = ",".join([f"{name}={kinds[name]}" for name in each.fields])
    return Searchable(classes, tuple(compounds), entries)


def _compound(name: str, options: object, catalog: FieldCatalog, problems: list[str]) -> Compound | None:
    given = options.get("fields") if isinstance(options, Mapping) and set(options) == {"fields"} else None
    if not is_name(name):
        problems.append("a compound's name is snake case of at most 63 characters")
    elif name in catalog:
        problems.append(f"{name} is a field class")
    elif not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        problems.append(f"{name} has fields, a list of texts, and nothing else")
    elif not 2 <= len(set(given)) == len(given) <= MAX_FIELDS:
        problems.append(f"{name} has 2 to {MAX_FIELDS} different fields")
    elif any(each not in catalog or each == EXTERNAL_ID for each in given):
        problems.append(f"{name} has a field that is no field class, or {EXTERNAL_ID}")
    else:
        return Compound(name, tuple(sorted(given)))
    return None


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    return "-" if category == "Pd" else "" if category == "Cf" else character
