"""Purposes, their lawful bases by place, residency and what principals say of themselves."""

import pytest

from vault.errors import PolicyInvalidError
from vault.model.consent import LawfulBasis
from vault.policy.document import parse_policy
from vault.policy.jurisdictions import EEA, EU, by_place, places_of
from vault.policy.rules import Purpose

BASE = """
version = 1
[domains.crm]
[purposes.support]
description = "Answer questions"
[principals.admin]
may = ["admin"]
"""
CONSENT, CONTRACT = LawfulBasis.CONSENT, LawfulBasis.CONTRACT


def test_everything_that_a_purpose_can_say() -> None:
    text = (
        BASE
        + """
    [purposes.news]
    description = "Send news"
    iri = "https://w3id.org/dpv#DirectMarketing"
    descriptions = { de = "Neuigkeiten senden" }
    benefits = { en = "News", pt-BR = "Novidades" }
    bases = { DE = ["consent"], "*" = ["contract", "consent"] }
    direct_marketing = true
    break_glass = true
    training = true
    """
    )
    assert parse_policy(text, ()).purposes["news"] == Purpose(
        "Send news",
        iri="https://w3id.org/dpv#DirectMarketing",
        descriptions={"de": "Neuigkeiten senden"},
        benefits={"en": "News", "pt-BR": "Novidades"},
        bases={"DE": (CONSENT,), "*": (CONTRACT, CONSENT)},
        direct_marketing=True,
        break_glass=True,
        training=True,
    )


def test_bases_are_looked_up_from_the_particular_to_the_general() -> None:
    purpose = Purpose("x", bases={"DE": (CONSENT,), "EEA": (CONTRACT,)})
    assert purpose.bases_in("DE") == (CONSENT,)
    assert purpose.bases_in("FR") == purpose.bases_in("NO") == (CONTRACT,)
    assert purpose.bases_in("CH") == purpose.bases_in("") == ()
    assert Purpose("x").bases_in("CH") == (LawfulBasis.LEGITIMATE_INTERESTS,)
    assert [purpose.needs_consent(place) for place in ("DE", "FR", "CH")] == [True, False, False]


def test_groups() -> None:
    assert len(EU) == 27
    assert len(EEA) == 30
    assert places_of("DE") == ("DE", "EU", "EEA")
    assert places_of("EU") == ("EU", "EEA")
    assert places_of("") == ()
    assert by_place({"EU": 1, "*": 2}, "NO") == 2


def test_training_and_region_of_a_principal() -> None:
    text = (
        BASE
        + """
    [roles.agent]
    training = true
    [principals.a]
    roles = ["agent"]
    region = "EU"
    training_valid_until = 1970-01-01
    [principals.b]
    training_valid_until = 1970-01-01T01:00:00+01:00
    """
    )
    principals = parse_policy(text, ()).principals
    assert (principals["a"].training, principals["a"].region) == (True, "EU")
    assert principals["a"].training_until_ms == 24 * 3600 * 1000  # the day itself is included
    assert (principals["b"].training, principals["b"].training_until_ms) == (False, 1)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("iri = 'dpv:X'", "purposes.x.iri: has to be an http or https IRI"),
        ("bases = { de = ['consent'] }", "purposes.x.bases.de: has to be a code"),
        ("bases = { DE = ['love'] }", "purposes.x.bases.DE: unknown lawful basis love; known: consent"),
        ("bases = ['consent']", "purposes.x.bases: has to be a table"),
        ("benefits = { English = 'x' }", "purposes.x.benefits.English: a locale is a BCP 47 tag"),
        ("direct_marketing = 1", "purposes.x.direct_marketing: has to be true or false"),
        ("[residency]\nXX1 = ['EU']", "residency.XX1: has to be a code"),
        ("[residency]\nEU = ['Europe']", "residency.EU: a region is a code"),
        ("[residency]\nEU = 'EU'", "residency.EU: has to be a list of regions"),
        ("[principals.x]\nregion = 'Mars'", "principals.x.region: has to be a code"),
        ("[principals.x]\ntraining_valid_until = '2027-01-31'", "principals.x.training_valid_until: has to"),
    ],
)
def test_a_wrong_line_is_the_one_problem(broken: str, problem: str) -> None:
    with pytest.raises(PolicyInvalidError) as caught:
        parse_policy(f"{BASE}[purposes.x]\ndescription = 'x'\n{broken}", ())
    (line,) = str(caught.value).splitlines()
    assert line.startswith(problem)
