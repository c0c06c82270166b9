"""The canonical form of JSON (RFC 8785), of documents without fractions.

    UTF-8 | no white space | members sorted by the UTF-16 code units of their names
    numbers: integers of at most 53 bits, in decimal | strings: only what must be escaped is

One document has one such form, so what is signed can be made anew from what was read, and every
other writing of the same content (spaces, an escaped letter, a member twice) is told apart.
"""

import json
from typing import Final

from vault.errors import IntegrityFailedError

MAX_INTEGER: Final = 2**53 - 1

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None


def canonical(document: Json) -> bytes:
    """The canonical form.

    Raises:
        ValueError: a fraction, an integer beyond 53 bits, a lone surrogate, or no JSON at all.
    """
    return json.dumps(_sorted(document), separators=(",", ":"), ensure_ascii=False).encode()


def read_canonical(form: bytes) -> Json:
    """The document of a canonical form.

    Raises:
        IntegrityFailedError: the bytes are not the canonical form of a document.
    """
    try:
        document: Json = json.loads(form.decode())
        if canonical(document) == form:
            return document
    except (ValueError, RecursionError):
        pass  # the same answer as for another form
    raise IntegrityFailedError


def _sorted(document: object) -> object:
    match document:
        case None | bool() | str():
            return document
        case int() if -MAX_INTEGER <= document <= MAX_INTEGER:
            return document
        case list():
            return [_sorted(each) for each in document]
        case dict():
            names = sorted(document, key=lambda name: name.encode("utf-16-be"))
            return {name: _sorted(document[name]) for name in names}
    raise ValueError("no canonical form")
