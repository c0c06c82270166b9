"""Puts what happened to a customer's data into sentences, in the customer's language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vault.core.wording.de import DE
from vault.core.wording.en import EN
from vault.core.wording.es import ES
from vault.core.wording.fr import FR
from vault.core.wording.words import Words
from vault.errors import Reason
from vault.model.blast import ReadCounts
from vault.model.consent import LawfulBasis
from vault.policy.rules import Purpose

LANGUAGES: Final[Mapping[str, Words]] = {words.locale: words for words in (EN, DE, FR, ES)}
_EXPORT = "ExportCustomer"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, in names.

    Attributes:
        who: the principal; empty for the operator.
        is_read: whether values were asked for; else it is an act.
        what: the field class that an act was about, if it says so.
        purpose: in the customer's language.
    """

    who: str
    action: str
    is_read: bool
    counts: Mapping[str, ReadCounts] = field(default_factory=dict)
    reasons: Sequence[Reason] = ()
    what: str = ""
    purpose: str = ""
    basis: LawfulBasis | None = None
    basis_stated: bool = False
    break_glass: bool = False


def words_for(locale: str) -> Words:
    """The language of a locale such as "de-AT"; English where there is no text of its language."""
    return LANGUAGES.get(locale.replace("_", "-").partition("-")[0].lower(), EN)


def purpose_text(purpose: Purpose, locale: str) -> str:
    """What a purpose is: in the locale, in its language, or else in English as the policy describes it."""
    tag = locale.replace("_", "-").lower()
    by_tag = {each.lower(): text for each, text in purpose.descriptions.items()}
    language = tag.partition("-")[0]
    return by_tag.get(tag) or by_tag.get(language) or purpose.description


def tell(words: Words, event: Happening) -> str:
    """The sentences."""
    said = [*(_read(words, event) if event.is_read else _act(words, event))]
    if event.purpose:
        said.append(words.purpose.format(what=event.purpose.rstrip(".")))
    if event.basis is not None:
        text = words.basis if event.basis_stated else words.usual_basis
        said.append(text.format(what=words.bases[event.basis]))
    if event.break_glass:
        said.append(words.break_glass)
    return " ".join(said)


def _read(words: Words, event: Happening) -> list[str]:
    plain = _listed(words, {name: each.plain for name, each in event.counts.items()})
    masked = _listed(words, {name: each.masked for name, each in event.counts.items()})
    denied = _listed(words, {name: each.denied for name, each in event.counts.items()})
    told = _listed(words, {name: each.answered for name, each in event.counts.items()})
    opening = words.copied if event.action == _EXPORT else words.read
    if not (plain or masked):
        opening = words.answered if told else words.asked
    said = [opening.format(who=_who(words, event))]
    if plain:
        said.append(words.plain.format(what=plain))
    if masked:
        said.append(words.masked.format(what=masked))
    if told:
        said.append(words.told.format(what=told))
    if denied:
        said.append(words.denied.format(what=denied, why=_why(words, event)))
    return said


def _act(words: Words, event: Happening) -> list[str]:
    text, what = words.acts.get(event.action), event.what
    if text is None or ("{what}" in text and not what):
        text, what = words.other_act, ""
    said = [text.format(who=_who(words, event), what=_name(words, what) if what else event.action)]
    if event.reasons:
        said.append(words.refused_act.format(why=_why(words, event)))
    return said


def _who(words: Words, event: Happening) -> str:
    return event.who or words.operator


def _why(words: Words, event: Happening) -> str:
    return ", ".join(dict.fromkeys(words.reasons.get(reason, words.technical) for reason in event.reasons))


def _listed(words: Words, counts: Mapping[str, int]) -> str:
    """Names of field classes, each with its number where there are several."""
    return ", ".join(
        _name(words, name) if count == 1 else f"{_name(words, name)} (×{count})"
        for name, count in counts.items()
        if count
    )


def _name(words: Words, field_class: str) -> str:
    return words.classes.get(field_class) or field_class.replace("_", " ") or "?"
