"""Dates of birth: `YYYY-MM-DD` (ISO 8601), or a CRM export's midnight of that day.

A time other than midnight is refused: it is a date shifted by somebody's time zone, and nobody can
say which.
"""

import re
from datetime import UTC, date, datetime, timedelta

from vault.fields.text import Prepared, UnfitError, plain_characters

_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ](.*))?\Z")
_MIDNIGHT = re.compile(r"00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?\Z")
_EARLIEST = date(1870, 1, 1)  # nobody born before is known to have lived past 1990
_EASTERNMOST = timedelta(hours=14)  # where today begins first


def prepare_birth_date(text: str) -> Prepared:
    """Checks form, calendar and plausibility.

    Raises:
        UnfitError: Not a date of somebody who may be alive.
    """
    match = _DATE.match(text) or _DATE.match(plain_characters(text, ""))
    if match is None:
        raise UnfitError("not a date of the form YYYY-MM-DD")
    written, time = match.groups()
    if time is not None and not _MIDNIGHT.match(time):
        raise UnfitError("has a time of day")
    try:
        day = date.fromisoformat(written)
    except ValueError:
        day = None
    if day is None:
        raise UnfitError("not a date")
    if day < _EARLIEST:
        raise UnfitError(f"before {_EARLIEST.year}")
    if day > (datetime.now(UTC) + _EASTERNMOST).date():
        raise UnfitError("in the future")
    return Prepared(written, written.encode())
