"""The made-up contacts: valid in every cell, the same for the same seed, of many scripts."""

import csv
import subprocess
import sys
import unicodedata
from pathlib import Path

import phonenumbers
import pytest

from benchmarks.contacts import (
    COUNTRY_COLUMN,
    FIELDS,
    ID_COLUMN,
    PLACES,
    Shape,
    case_suffix,
    generate,
    write_csv,
)
from vault.fields import DEFAULT_FIELDS, mask, prepare

COUNT = 2_000
COUNTRIES = {place.country_name: place.country for place in PLACES}
COLUMNS: dict[Shape, list[str]] = {
    "hubspot": [
        "Record ID", "First Name", "Last Name", "Email", "Phone Number", "Street Address", "City",
        "Country/Region", "Date of birth", "IBAN",
    ],
    "salesforce": [
        "Id", "FirstName", "LastName", "Email", "Phone", "MailingStreet", "MailingCity", "MailingCountry",
        "Birthdate", "IBAN__c", "Description",
    ],
}  # fmt: skip

shapes = pytest.mark.parametrize("shape", list(FIELDS))


@pytest.fixture(scope="module")
def contacts() -> dict[Shape, list[dict[str, str]]]:
    return {shape: list(generate(COUNT, shape=shape)) for shape in FIELDS}


@shapes
def test_the_columns_are_those_of_the_export(
    contacts: dict[Shape, list[dict[str, str]]], shape: Shape
) -> None:
    assert all(list(contact) == COLUMNS[shape] for contact in contacts[shape])
    assert {ID_COLUMN[shape], COUNTRY_COLUMN[shape], *FIELDS[shape]} == set(COLUMNS[shape])


@shapes
def test_every_cell_passes_its_field_class(contacts: dict[Shape, list[dict[str, str]]], shape: Shape) -> None:
    for contact in contacts[shape]:
        for column, (field_class, _) in FIELDS[shape].items():
            cell = contact[column]
            prepared = prepare(DEFAULT_FIELDS.get(field_class), cell)
            assert bool(prepared.stored) == bool(cell)
            assert (
                prepared.stored == ""
                or mask(DEFAULT_FIELDS.get(field_class), prepared.stored) != prepared.stored
            )
        assert prepare(DEFAULT_FIELDS.get("external_id"), contact[ID_COLUMN[shape]]).stored


@shapes
def test_phones_and_ibans_belong_to_the_contact_s_country(
    contacts: dict[Shape, list[dict[str, str]]], shape: Shape
) -> None:
    columns = {field_class: column for column, (field_class, _) in FIELDS[shape].items()}
    for contact in contacts[shape]:
        country = COUNTRIES[contact[COUNTRY_COLUMN[shape]]]
        if phone := contact[columns["phone"]]:
            code = phonenumbers.country_code_for_region(country)
            assert phonenumbers.parse(phone).country_code == code
        assert contact[columns["iban"]][:2] in ("", country)


@shapes
def test_ids_and_emails_are_unique(contacts: dict[Shape, list[dict[str, str]]], shape: Shape) -> None:
    assert len({contact[ID_COLUMN[shape]] for contact in contacts[shape]}) == COUNT
    emails = [contact["Email"].casefold() for contact in contacts[shape] if contact["Email"]]
    assert len(set(emails)) == len(emails)


@shapes
def test_every_optional_column_is_sometimes_empty(
    contacts: dict[Shape, list[dict[str, str]]], shape: Shape
) -> None:
    for column, (field_class, _) in FIELDS[shape].items():
        filled = sum(bool(contact[column]) for contact in contacts[shape])
        assert filled == COUNT if field_class == "name" else 0.3 * COUNT < filled < COUNT


def test_names_come_in_many_scripts(contacts: dict[Shape, list[dict[str, str]]]) -> None:
    scripts = {unicodedata.name(contact["Last Name"][0]).split()[0] for contact in contacts["hubspot"]}
    assert scripts >= {
        "LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC", "DEVANAGARI", "THAI", "HANGUL", "CJK",
    }  # fmt: skip


def test_salesforce_ids_survive_a_loss_of_case(contacts: dict[Shape, list[dict[str, str]]]) -> None:
    ids = [contact["Id"] for contact in contacts["salesforce"]]
    assert {len(identifier) for identifier in ids} == {18}
    assert len({identifier.upper() for identifier in ids}) == COUNT


@pytest.mark.parametrize(
    ("short_id", "suffix"),
    [
        ("001A0000006Vm9r", "IAC"),
        ("000000000000000", "AAA"),
        ("ABCDEabcdeAbCdE", "5AV"),
        ("aBaaaAAaaaaaaaA", "CDQ"),
    ],
)
def test_the_suffix_of_an_id_tells_its_capitals(short_id: str, suffix: str) -> None:
    assert case_suffix(short_id) == suffix


@shapes
def test_one_seed_gives_one_list(contacts: dict[Shape, list[dict[str, str]]], shape: Shape) -> None:
    assert list(generate(200, seed=7, shape=shape)) == contacts[shape][:200]
    assert list(generate(200, seed=8, shape=shape)) != contacts[shape][:200]


@shapes
def test_csv_gives_the_contacts_back(
    contacts: dict[Shape, list[dict[str, str]]], shape: Shape, tmp_path: Path
) -> None:
    path = tmp_path / "contacts.csv"
    write_csv(path, 300, shape=shape)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == contacts[shape][:300]


def test_the_command_writes_the_same_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "called.csv", 20, seed=3, shape="salesforce")
    arguments = ["--count", "20", "--seed", "3", "--shape", "salesforce", "--out", str(tmp_path / "run.csv")]
    subprocess.run([sys.executable, "-m", "benchmarks.contacts", *arguments], check=True)
    assert (tmp_path / "run.csv").read_bytes() == (tmp_path / "called.csv").read_bytes()
