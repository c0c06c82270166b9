"""Every language says everything, and an event reads as a customer would expect it."""

import ast
import string
from dataclasses import fields
from pathlib import Path

import pytest

import vault.core
from vault.core.wording.en import EN
from vault.core.wording.telling import LANGUAGES, Happening, purpose_text, tell, words_for
from vault.errors import Reason
from vault.fields.field_class import DEFAULT_FIELDS
from vault.model.blast import ReadCounts
from vault.model.consent import LawfulBasis
from vault.policy.rules import Purpose

READ = Happening(
    who="crm",
    action="Detokenize",
    is_read=True,
    counts={"email": ReadCounts(1, 0, 0), "phone": ReadCounts(0, 2, 0), "iban": ReadCounts(0, 0, 1)},
    reasons=[Reason.PURPOSE_DENIED],
    purpose="Answer a customer's question",
    basis=LawfulBasis.CONTRACT,
    basis_stated=True,
)


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("locale", sorted(LANGUAGES))
def test_every_language_has_every_text_with_the_same_blanks(locale):
    words = LANGUAGES[locale]
    for each in fields(EN):
        ours, english = getattr(words, each.name), getattr(EN, each.name)
        if isinstance(english, str):
            assert ours
            assert blanks(ours) == blanks(english), each.name
        else:
            assert ours.keys() == english.keys(), each.name
            assert all(blanks(ours[key]) == blanks(english[key]) for key in english)
    assert set(words.bases) == set(LawfulBasis)
    assert set(words.classes) == {each.name for each in DEFAULT_FIELDS} - {"identifier"}


def test_every_act_that_names_a_customer_has_words():
    """Of the calls of `Trail` that pass locators, those whose name is written there."""
    named = set()
    for path in Path(next(iter(vault.core.__path__))).glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if call.func.attr in ("act", "local", "taking") and any(
                each.arg == "locators" for each in call.keywords
            ):
                named |= {each.value for each in call.args if isinstance(each, ast.Constant)}
    assert {"GetCustomer", "RevokeToken", "RotateDek"} <= named <= set(EN.acts)


def test_a_read_tells_what_was_seen_how_why_and_on_which_basis():
    assert tell(EN, READ) == (
        "crm saw data of yours. In full: e-mail address. Partly hidden: phone number (×2). "
        "Refused: bank account number (not allowed for this purpose). "
        "Purpose: Answer a customer's question. Legal basis: a contract with you."
    )
    assert tell(LANGUAGES["de"], READ).startswith(
        "crm hat Daten von Ihnen gesehen. Vollständig: E-Mail-Adresse."
    )


def test_an_answer_is_told_as_one_and_not_as_a_look_at_the_value():
    answer = Happening("bi", "Derive", True, {"birth_date": ReadCounts(0, 0, 0, 0, 2)})
    assert tell(EN, answer) == (
        "bi was told something about data of yours without seeing it. "
        "Used, but not shown: date of birth (×2)."
    )


def test_an_attempt_an_emergency_and_an_act():
    attempt = Happening("crm", "Detokenize", True, {"note": ReadCounts(0, 0, 1)}, [Reason.INTERNAL])
    assert tell(EN, attempt) == (
        "crm asked for data of yours and saw none of it. Refused: note (for a technical reason)."
    )
    emergency = Happening("crm", "ExportCustomer", True, {"name": ReadCounts(1, 0, 0)}, break_glass=True)
    assert tell(EN, emergency).endswith("This was an emergency access that a second person had approved.")
    assert tell(EN, emergency).startswith("crm made a copy of your data.")
    assert (
        tell(EN, Happening("crm", "UpdateValue", False, what="work_phone"))
        == "crm corrected your work phone."
    )
    assert tell(EN, Happening("", "Frobnicate", False)) == (
        "The operator of this system did something with your data (Frobnicate)."
    )


@pytest.mark.parametrize(
    ("locale", "language"), [("de-AT", "de"), ("FR", "fr"), ("es_MX", "es"), ("", "en"), ("pt", "en")]
)
def test_a_locale_gets_its_language_or_english(locale, language):
    assert words_for(locale).locale == language


def test_a_purpose_is_told_in_the_locale_its_language_or_as_the_policy_describes_it():
    purpose = Purpose("Advise", descriptions={"de": "Beraten", "de-CH": "Beraten (CH)"})
    assert [purpose_text(purpose, locale) for locale in ("de-CH", "de-AT", "nl")] == [
        "Beraten (CH)",
        "Beraten",
        "Advise",
    ]
