"""Reads the sections `purposes` and `residency` of the policy document.

[purposes.<purpose>]        description; iri, allow_restricted, sale_or_sharing, direct_marketing,
                            break_glass, training
[purposes.<purpose>.descriptions]   <locale> = text
[purposes.<purpose>.benefits]       <locale> = text
[purposes.<purpose>.bases]          <jurisdiction, "EU", "EEA" or "*"> = [lawful bases]
[residency]                 <jurisdiction, "EU", "EEA" or "*"> = [regions]
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from vault.model.consent import LawfulBasis
from vault.policy.jurisdictions import ANYWHERE, is_place
from vault.policy.reading import Path, Reader, Table
from vault.policy.rules import Purpose

_KEYS: Final = (
    "description",
    "allow_restricted",
    "iri",
    "descriptions",
    "benefits",
    "bases",
    "sale_or_sharing",
    "direct_marketing",
    "break_glass",
    "training",
)
_BASES: Final = {basis.value: basis for basis in LawfulBasis}
_LOCALE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")
_IRI: Final = re.compile(r"https?://[!-~]{1,500}\Z")


def read_purposes(reader: Reader, section: Mapping[str, Table]) -> Mapping[str, Purpose]:
    """The declared purposes, by name."""
    return {name: _purpose(reader, ("purposes", name), table) for name, table in section.items()}


def read_residency(reader: Reader, value: object) -> Mapping[str, Sequence[str]]:
    """From which regions the customers of a jurisdiction may be read."""
    residency = {}
    where = ("residency",)
    for place, regions in reader.table(where, value).items():
        _check_place(reader, (*where, place))
        if not isinstance(regions, list) or not all(isinstance(each, str) for each in regions):
            reader.problem((*where, place), "has to be a list of regions, each in quotes")
            continue
        for each in regions:
            if not is_place(each):
                reader.problem(
                    (*where, place), f'a region is a code such as "DE", or "EU" or "EEA"; not "{each[:20]}"'
                )
        residency[place] = tuple(regions)
    return residency


def _purpose(reader: Reader, where: Path, table: Table) -> Purpose:
    reader.declared_name(where)
    reader.known_keys(where, table, _KEYS)
    if "description" not in table:
        reader.problem(where, "needs a description: what the values are read for")
    iri = reader.text(where, table, "iri")
    if iri and not _IRI.match(iri):
        reader.problem((*where, "iri"), "has to be an http or https IRI")
    return Purpose(
        description=reader.text(where, table, "description"),
        allow_restricted=reader.flag(where, table, "allow_restricted"),
        iri=iri,
        descriptions=_by_locale(reader, (*where, "descriptions"), table.get("descriptions", {})),
        benefits=_by_locale(reader, (*where, "benefits"), table.get("benefits", {})),
        bases=_bases(reader, (*where, "bases"), table.get("bases", {})),
        sale_or_sharing=reader.flag(where, table, "sale_or_sharing"),
        direct_marketing=reader.flag(where, table, "direct_marketing"),
        break_glass=reader.flag(where, table, "break_glass"),
        training=reader.flag(where, table, "training"),
    )


def _by_locale(reader: Reader, where: Path, value: object) -> Mapping[str, str]:
    table = reader.table(where, value)
    for locale in table:
        if not _LOCALE.match(locale):
            reader.problem((*where, locale), 'a locale is a BCP 47 tag such as "de" or "pt-BR"')
    return {locale: reader.text(where, table, locale) for locale in table}


def _bases(reader: Reader, where: Path, value: object) -> Mapping[str, Sequence[LawfulBasis]]:
    table = reader.table(where, value)
    for place in table:
        _check_place(reader, (*where, place))
    return {
        place: tuple([_BASES[name] for name in reader.choices(where, table, place, _BASES, "lawful basis")])
        for place in table
    }


def _check_place(reader: Reader, where: Path) -> None:
    if where[-1] != ANYWHERE and not is_place(where[-1]):
        reader.problem(where, 'has to be a code such as "DE", or "EU", "EEA" or "*"')
