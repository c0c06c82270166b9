"""International bank account numbers (ISO 13616), check digits by ISO 7064 MOD 97-10.

Stored and compared: capitals and digits without spaces.
"""

import string

from vault.fields.text import Prepared, UnfitError, plain_characters

# Total length by country. Source: SWIFT IBAN Registry, release 103.
LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25,
    "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip

_NUMBERS = {ord(letter): str(number) for number, letter in enumerate(string.ascii_uppercase, start=10)}


def prepare_iban(text: str) -> Prepared:
    """Checks country, length and check digits.

    Raises:
        UnfitError: One of them is wrong.
    """
    iban = plain_characters(text, "-.").upper()
    if not (iban.isascii() and iban.isalnum()):
        raise UnfitError("holds other characters than letters and digits")
    length = LENGTHS.get(iban[:2])
    if length is None:
        raise UnfitError("does not begin with a country that has IBANs")
    if len(iban) != length:
        raise UnfitError(f"has {len(iban)} characters, its country's have {length}")
    if not iban[2:4].isdigit() or check_digits(iban[:2], iban[4:]) != iban[2:4]:
        raise UnfitError("check digits do not match")
    return Prepared(iban, iban.encode())


def check_digits(country: str, account: str) -> str:
    """The two check digits of `account` (the BBAN; capitals and digits) in `country`: "02" to "98"."""
    return f"{98 - int(f'{account}{country}00'.translate(_NUMBERS)) % 97:02}"
