"""Many surrogates of every format: well-formed, distinct, reversible, and gone with their customers.

CVAULT_SURROGATES=1000000 for the long one (`make surrogates-campaign N=1000000`). The formats are checked by
other code than made them: Luhn's formula and MOD 97-10 as written here, regular expressions, phonenumbers.
"""

import os
import random
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import phonenumbers
import pytest

from tests.scenarios.support.deployment import SMALL, Deployment, Desk, by_id, found_vault
from tests.scenarios.support.rotating import rotation
from vault.core.backup import create_backup
from vault.errors import Reason, SurrogatesExhaustedError
from vault.fields.fiction import reserved
from vault.fields.iban import LENGTHS, check_digits
from vault.model.requests import Entry, FieldInput, Outcome
from vault.model.secret import Secret

N = int(os.environ.get("CVAULT_SURROGATES", "2000"))
LONG = N > 10_000
BATCH = 1_000
SHREDS = min(N, 5_000)

SETTINGS = (
    SMALL.replace("low_water_bytes = 1048576", "low_water_bytes = 1048576\nrequest_id_hours = 1")
    + """\
[fields.email]
surrogate = "email"
[fields.iban]
surrogate = "iban"
[fields.card]
surrogate = "card"
[fields.phone]
surrogate = { format = "phone", unreserved = "plan" }
[fields.number]
kind = "note"
surrogate = { format = "pattern", template = "KD-#{10}-A" }
"""
)
KINDS = ("email", "iban", "card", "number")
SHAPES = {
    "email": re.compile(r"[a-z0-9]{16}@example\.com"),
    "iban": re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}"),
    "card": re.compile(r"[0-9]{16}"),
    "number": re.compile(r"KD-[0-9]{10}-[A-Z]"),
}
LETTERS = {letter: str(place) for place, letter in enumerate(string.ascii_uppercase, start=10)}
ELSEWHERE = ("ES", "IT", "NL", "NO", "AT", "CH", "JP", "BR", "IN", "PL", "DK", "FI", "ZA", "MX", "BE")
SMALL_COUNTRIES = ("GU", "JM", "MP", "VC", "VI", "PR", "DO", "SE")
ALMOST_ALL = 0.9  # of the surrogates of a large country, before the error comes


def report(text: str) -> None:
    """For whoever runs the long one with `pytest -s`."""
    sys.stderr.write(f"\n{text}\n")


def luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(number))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def mod_97(iban: str) -> bool:
    rest = 0
    for char in iban[4:] + iban[:4]:
        for digit in LETTERS.get(char, char):
            rest = (rest * 10 + int(digit)) % 97
    return rest == 1


def values(number: int, chance: random.Random) -> dict[str, str]:
    country = sorted(LENGTHS)[number % len(LENGTHS)]
    account = f"{chance.randrange(10 ** (LENGTHS[country] - 4)):0{LENGTHS[country] - 4}}"
    card = f"4{chance.randrange(10**14):014}"
    return {
        "email": f"person.{number}@firm-{number % 97}.org",
        "iban": country + check_digits(country, account) + account,
        "card": next(card + digit for digit in string.digits if luhn(card + digit)),
        "number": f"customer {number}",
    }


def people(chance: random.Random) -> Iterator[list[tuple[str, dict[str, str]]]]:
    for start in range(0, N, BATCH):
        yield [(f"c{number}", values(number, chance)) for number in range(start, min(N, start + BATCH))]


def tokenized(desk: Desk, batch: list[tuple[str, dict[str, str]]]) -> list[list[str]]:
    entries = [
        Entry(by_id(external_id), [FieldInput(kind, Secret(value)) for kind, value in fields.items()])
        for external_id, fields in batch
    ]
    answers = desk.vault.tokenize(desk.caller, entries, domain="", request_id="", atomic=True, batch=True)
    return [[field.token for field in answer.results] for answer in answers]


def read_all(desk: Desk, surrogates: list[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(surrogates), BATCH):
        revealed = desk.read(surrogates[start : start + BATCH])
        assert revealed.denials == []
        found += revealed.values
    return found


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return found_vault(tmp_path_factory.mktemp("campaign"), settings=SETTINGS)


def test_surrogates_of_every_format(deployment: Deployment, tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {kind: set() for kind in KINDS}
    kept: list[tuple[str, list[str], list[str]]] = []  # external id, surrogates, values
    with deployment.opened() as desks:
        desk = desks.crm
        for batch in people(random.Random(7)):
            answers = tokenized(desk, batch)
            held = [list(fields.values()) for _, fields in batch]
            flat = [surrogate for answer in answers for surrogate in answer]
            assert read_all(desk, flat) == [value for fields in held for value in fields]
            for (external_id, fields), answer in zip(batch, answers, strict=True):
                for (kind, value), surrogate in zip(fields.items(), answer, strict=True):
                    assert SHAPES[kind].fullmatch(surrogate), kind
                    assert surrogate != value
                    seen[kind].add(surrogate)
                _, iban, card, _ = answer
                assert mod_97(iban)
                assert (iban[:2], len(iban)) == (fields["iban"][:2], len(fields["iban"]))
                assert luhn(card)
                assert (card[:6], card[-4:]) == (fields["card"][:6], fields["card"][-4:])
                if len(kept) < SHREDS:
                    kept.append((external_id, answer, list(fields.values())))
        assert {kind: len(texts) for kind, texts in seen.items()} == dict.fromkeys(KINDS, N)
        assert len({iban[:2] for iban in seen["iban"]}) == len(LENGTHS)

        bundle = create_backup(deployment.data_dir, tmp_path / "backup", store=desks.vault.engine.store).path
        for file in (each for each in bundle.rglob("*") if each.is_file()):
            content = file.read_bytes()
            assert b"@example.com" not in content
            for kind, shape in SHAPES.items():
                found = re.findall(shape.pattern.encode(), content)
                assert not any(text.decode() in seen[kind] for text in found), kind

        rotation(desks.vault).rotate()
        for _, surrogates, originals in kept[:: max(1, len(kept) // 500)]:
            assert read_all(desk, surrogates) == originals
        for start in range(0, len(kept), 100):
            desks.eraser.shred_all([by_id(external_id) for external_id, _, _ in kept[start : start + 100]])
        for _, surrogates, _ in kept:
            assert desk.denied(surrogates) == [Reason.TOKEN_UNKNOWN] * len(KINDS)
        with desks.vault.engine.store.keyring() as keys:
            assert keys.count_surrogates() == (N - len(kept)) * len(KINDS)
    report(f"{N:,} surrogates each of {', '.join(KINDS)}; {len(LENGTHS)} countries of IBANs")


def issued(desk: Desk, country: str, phone: str, first: int, count: int) -> tuple[list[str], bool]:
    """Surrogates of so many customers with a phone of one country, and whether they ran out."""
    entries = [
        Entry(by_id(f"{country}-{number}"), [FieldInput("phone", Secret(phone))])
        for number in range(first, first + count)
    ]
    answers = desk.vault.tokenize(desk.caller, entries, domain="", request_id="", atomic=False, batch=True)
    fields = [answer.results[0] for answer in answers]
    refused = [field.error for field in fields if field.outcome == Outcome.REFUSED]
    assert all(isinstance(error, SurrogatesExhaustedError) for error in refused)
    return [field.token for field in fields if field.outcome == Outcome.CREATED], bool(refused)


def test_phones_up_to_what_is_reserved_then_the_error(deployment: Deployment) -> None:
    countries = SMALL_COUNTRIES
    if LONG:
        countries = tuple(sorted(code for code in phonenumbers.SUPPORTED_REGIONS if reserved(code)))
    counts = []
    with deployment.opened() as desks:
        for country in countries:
            space = reserved(country)
            assert space is not None
            phone = phonenumbers.format_number(
                phonenumbers.example_number(country), phonenumbers.PhoneNumberFormat.E164
            )
            surrogates: list[str] = []
            exhausted = False
            while not exhausted:
                more, exhausted = issued(
                    desks.crm, country, phone, len(surrogates), min(BATCH, space.capacity + 1)
                )
                surrogates += more
            assert len(set(surrogates)) == len(surrogates) <= space.capacity
            assert len(surrogates) >= (
                space.capacity - 1 if space.capacity <= 256 else ALMOST_ALL * space.capacity
            )
            check_phones(desks.crm, country, phone, surrogates)
            counts.append(f"{country} {len(surrogates)} of {space.capacity}")
        for country in ELSEWHERE:
            phone = phonenumbers.format_number(
                phonenumbers.example_number(country), phonenumbers.PhoneNumberFormat.E164
            )
            surrogates, exhausted = issued(desks.crm, country, phone, 0, 50)
            assert not exhausted
            assert len(set(surrogates)) == 50
            check_phones(desks.crm, country, phone, surrogates)
    assert len(countries) + len(ELSEWHERE) >= 20
    report(f"phones: {', '.join(counts)}; of the plan: {', '.join(ELSEWHERE)}")


def check_phones(desk: Desk, country: str, phone: str, surrogates: list[str]) -> None:
    for surrogate in surrogates:
        assert phonenumbers.is_valid_number_for_region(phonenumbers.parse(surrogate), country), country
    assert read_all(desk, surrogates) == [phone] * len(surrogates)
