"""Makes up contacts of many countries and scripts, in the column shapes of two CRM exports.

    python -m benchmarks.contacts --count 10000 --shape salesforce --seed 7 --out contacts.csv

- One seed, one list of contacts: no clock, no global random state.
- Every cell is valid: phone numbers by the numbering plan of the contact's country, IBANs with true
  check digits where the country has IBANs, e-mail addresses at reserved domains (RFC 2606) and
  unique. Nobody is meant: names and streets are put together at random. The phone numbers may be
  somebody's all the same, as most countries reserve none for fiction: never dial them.
- Some cells are empty, as in real exports.

Faker needs up to a millisecond a contact, so its names and streets are drawn once into pools by
locale and combined.
"""

import argparse
import csv
import random
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, TextIO

import phonenumbers
from faker import Faker

from vault.fields.iban import check_digits

Shape = Literal["hubspot", "salesforce"]

POOL_SIZE = 80
PHONES_A_COUNTRY = 200
_EARLIEST_BIRTH = date(1940, 1, 1)
_BIRTH_DAYS = 66 * 365


@dataclass(frozen=True, slots=True)
class Place:
    """A locale of Faker, the country whose phones and IBANs go with it, and a domain in its script."""

    locale: str
    country: str
    country_name: str
    domain: str = "example.org"
    bban: str = ""  # account part of its IBANs: n digit, a capital; a number repeats what follows
    weight: int = 2


PLACES = (
    Place("en_US", "US", "United States", weight=6),
    Place("en_GB", "GB", "United Kingdom", bban="4a14n", weight=4),
    Place("de_DE", "DE", "Germany", "bücher.example", "18n", weight=4),
    Place("fr_FR", "FR", "France", "café.example", "23n", weight=4),
    Place("es_MX", "MX", "Mexico", "señal.example"),
    Place("pt_BR", "BR", "Brazil", "coração.example", "23n2a", weight=3),
    Place("sv_SE", "SE", "Sweden", "smörgås.example", "20n"),
    Place("pl_PL", "PL", "Poland", "łódka.example", "24n"),
    Place("tr_TR", "TR", "Türkiye", bban="22n"),
    Place("vi_VN", "VN", "Viet Nam"),
    Place("el_GR", "GR", "Greece", "παράδειγμα.example", "23n"),
    Place("ru_RU", "RU", "Russian Federation", "почта.example", "29n"),
    Place("uk_UA", "UA", "Ukraine", "пошта.example", "25n"),
    Place("ar_SA", "SA", "Saudi Arabia", "مثال.example", "20n"),
    Place("ar_SA", "EG", "Egypt", "مثال.example", "25n"),
    Place("he_IL", "IL", "Israel", "דואר.example", "19n"),
    Place("hi_IN", "IN", "India", "उदाहरण.example", weight=3),
    Place("th_TH", "TH", "Thailand", "ตัวอย่าง.example"),
    Place("ja_JP", "JP", "Japan", "例え.example", weight=3),
    Place("zh_CN", "CN", "China", "例子.example", weight=3),
    Place("ko_KR", "KR", "Korea, Republic of", "예제.example"),
)

# Which field class and label a column is; a column without one is the record's id or its country.
FIELDS: dict[Shape, dict[str, tuple[str, str]]] = {
    "hubspot": {
        "First Name": ("name", "first"),
        "Last Name": ("name", "last"),
        "Email": ("email", ""),
        "Phone Number": ("phone", ""),
        "Street Address": ("address", "street"),
        "City": ("address", "city"),
        "Date of birth": ("birth_date", ""),
        "IBAN": ("iban", ""),
    },
    "salesforce": {
        "FirstName": ("name", "first"),
        "LastName": ("name", "last"),
        "Email": ("email", ""),
        "Phone": ("phone", ""),
        "MailingStreet": ("address", "street"),
        "MailingCity": ("address", "city"),
        "Birthdate": ("birth_date", ""),
        "IBAN__c": ("iban", ""),
        "Description": ("note", ""),
    },
}
ID_COLUMN: dict[Shape, str] = {"hubspot": "Record ID", "salesforce": "Id"}
COUNTRY_COLUMN: dict[Shape, str] = {"hubspot": "Country/Region", "salesforce": "MailingCountry"}


@dataclass(frozen=True, slots=True)
class _Pool:
    """What one place's contacts are put together from."""

    place: Place
    first_names: list[str]
    last_names: list[str]
    streets: list[str]
    cities: list[str]
    notes: list[str]
    users: list[str]
    phones: list[str]


def generate(count: int, seed: int = 7, shape: Shape = "hubspot") -> Iterator[dict[str, str]]:
    """`count` contacts, one dictionary by column each; the same for the same arguments.

    A longer list begins with the shorter one of the same seed and shape.
    """
    rng = random.Random(f"contacts {seed}")
    pools = [_pool(place, rng) for place in PLACES]
    weights = [place.weight for place in PLACES]
    row = _hubspot_row if shape == "hubspot" else _salesforce_row
    for number in range(count):
        [pool] = rng.choices(pools, weights)
        yield row(number, pool, rng)


def write_csv(path: Path, count: int, seed: int = 7, shape: Shape = "hubspot") -> None:
    """Writes `generate`'s contacts to `path` as CSV (RFC 4180) in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        _write(file, generate(count, seed, shape))


def _write(file: TextIO, rows: Iterator[dict[str, str]]) -> None:
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
        writer.writerow(row)


def _pool(place: Place, rng: random.Random) -> _Pool:
    fake = Faker(place.locale)
    fake.seed_instance(rng.getrandbits(64))
    return _Pool(
        place,
        first_names=[fake.first_name() for _ in range(POOL_SIZE)],
        last_names=[fake.last_name() for _ in range(POOL_SIZE)],
        streets=[fake.street_address() for _ in range(POOL_SIZE)],
        cities=[fake.city() for _ in range(POOL_SIZE)],
        notes=[fake.sentence() for _ in range(POOL_SIZE)],
        users=[fake.user_name() for _ in range(POOL_SIZE)],
        phones=_phones(place.country, rng),
    )


def _phones(country: str, rng: random.Random) -> list[str]:
    """Valid mobile numbers of `country`, made from its example by changing the last digits."""
    example = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    assert example is not None
    digits = phonenumbers.national_significant_number(example)
    styles = (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    phones: list[str] = []
    while len(phones) < PHONES_A_COUNTRY:
        varied = digits[:-6] + f"{rng.randrange(10**6):06}"
        number = phonenumbers.parse(f"+{example.country_code}{varied}")
        if phonenumbers.is_valid_number(number):
            phones.append(phonenumbers.format_number(number, rng.choice(styles)))
    return phones


def _hubspot_row(number: int, pool: _Pool, rng: random.Random) -> dict[str, str]:
    return {
        "Record ID": str(51_000_000_001 + 17 * number),
        "First Name": rng.choice(pool.first_names),
        "Last Name": rng.choice(pool.last_names),
        "Email": _sometimes(rng, 0.97, _email(number, pool, rng)),
        "Phone Number": _sometimes(rng, 0.94, rng.choice(pool.phones)),
        "Street Address": _sometimes(rng, 0.9, rng.choice(pool.streets)),
        "City": _sometimes(rng, 0.95, rng.choice(pool.cities)),
        "Country/Region": pool.place.country_name,
        "Date of birth": _sometimes(rng, 0.7, _birth_date(rng)),
        "IBAN": _sometimes(rng, 0.8, _iban(pool.place, rng)),
    }


def _salesforce_row(number: int, pool: _Pool, rng: random.Random) -> dict[str, str]:
    street = rng.choice(pool.streets)
    if rng.random() < 0.1:
        street = f"{rng.choice(pool.last_names)}\n{street}"  # care of somebody, on a line of its own
    return {
        "Id": _salesforce_id(number),
        "FirstName": rng.choice(pool.first_names),
        "LastName": rng.choice(pool.last_names),
        "Email": _sometimes(rng, 0.97, _email(number, pool, rng)),
        "Phone": _sometimes(rng, 0.94, rng.choice(pool.phones)),
        "MailingStreet": _sometimes(rng, 0.9, street),
        "MailingCity": _sometimes(rng, 0.95, rng.choice(pool.cities)),
        "MailingCountry": pool.place.country_name,
        "Birthdate": _sometimes(rng, 0.7, _birth_date(rng)),
        "IBAN__c": _sometimes(rng, 0.8, _iban(pool.place, rng)),
        "Description": _sometimes(rng, 0.5, rng.choice(pool.notes)),
    }


def _sometimes(rng: random.Random, probability: float, cell: str) -> str:
    return cell if rng.random() < probability else ""


def _email(number: int, pool: _Pool, rng: random.Random) -> str:
    domain = (
        pool.place.domain
        if rng.random() < 0.1
        else rng.choice(("example.com", "example.net", "mail.example"))
    )
    return f"{rng.choice(pool.users)}.{number}@{domain}"


def _birth_date(rng: random.Random) -> str:
    return (_EARLIEST_BIRTH + timedelta(days=rng.randrange(_BIRTH_DAYS))).isoformat()


def _iban(place: Place, rng: random.Random) -> str:
    if not place.bban:
        return ""
    account = ""
    repeat = ""
    for character in place.bban:
        if character.isdigit():
            repeat += character
            continue
        account += "".join(
            rng.choices(string.digits if character == "n" else string.ascii_uppercase, k=int(repeat))
        )
        repeat = ""
    return f"{place.country}{check_digits(place.country, account)}{account}"


def _salesforce_id(number: int) -> str:
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    digits = ""
    for _ in range(7):
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    short = f"0035g000{digits}"
    return short + case_suffix(short)


def case_suffix(short_id: str) -> str:
    """The three characters that make a Salesforce id of 15, in which case matters, safe from its loss.

    Each tells which of five characters are capitals, the first being the lowest bit.
    """
    fives = (short_id[start : start + 5] for start in (0, 5, 10))
    cases = (sum(five[bit].isupper() << bit for bit in range(5)) for five in fives)
    return "".join((string.ascii_uppercase + "012345")[case] for case in cases)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Made-up contacts in the column shape of a CRM export, as CSV."
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--shape", choices=sorted(FIELDS), default="hubspot")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="file to write; standard output if left out")
    options = parser.parse_args()
    if options.out is None:
        _write(sys.stdout, generate(options.count, options.seed, options.shape))
    else:
        write_csv(options.out, options.count, options.seed, options.shape)


if __name__ == "__main__":
    main()
