"""National identifiers: tax, insurance and identity card numbers of any country.

Their forms are too many and change too often to check more than: 4 to 32 letters and digits, with
spaces, hyphens, dots and slashes between them. Stored as written, compared without separators.
"""

from vault.fields.text import Prepared, UnfitError, plain_characters

_SEPARATORS = "-./‐‑–"


def prepare_national_id(text: str) -> Prepared:
    """Checks length and alphabet.

    Raises:
        UnfitError: One of them is wrong.
    """
    core = plain_characters(text, _SEPARATORS)
    if core and not core.isalnum():
        raise UnfitError("holds other characters than letters, digits and separators")
    if not 4 <= len(core) <= 32:
        raise UnfitError("does not have 4 to 32 letters and digits")
    return Prepared(text, core.casefold().encode())
