"""Payment card numbers (ISO/IEC 7812-1): 13 to 19 digits, the last one by Luhn's formula.

Stored and compared: digits only.
"""

from vault.fields.text import Prepared, UnfitError, plain_characters

_DOUBLED = str.maketrans("0123456789", "0246813579")  # digit sums of the doubled digits


def prepare_card(text: str) -> Prepared:
    """Checks length and check digit; the issuer is not looked at.

    Raises:
        UnfitError: One of them is wrong.
    """
    number = plain_characters(text, "-")
    if not (number.isascii() and number.isdigit()):
        raise UnfitError("holds other characters than digits")
    if not 13 <= len(number) <= 19:
        raise UnfitError("does not have 13 to 19 digits")
    if sum(map(int, number[::-2] + number[-2::-2].translate(_DOUBLED))) % 10:
        raise UnfitError("Luhn check fails")
    return Prepared(number, number.encode())
