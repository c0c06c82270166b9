"""Answers of `BatchTokenize` as rows.

The result of a row without a refusal has one form, given how many cells were sent and how long tokens are:
one regular expression reads it whole (protobuf.dev/programming-guides/encoding). All other results are read
from the message, and so is every answer that holds anything else.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from customervault import _convert
from customervault._status import error_of_status
from customervault.errors import VaultError
from customervault.tables.source import Record
from customervault.tables.target import Outcome, PlainCells, Refusal, StoredField, StoredRow
from customervault.v1 import token_service_pb2

_EMPTY: Final = StoredField("empty")
_NOT_SENT: Final = "\0"  # in place of the outcome of a cell that was empty
_RESULT: Final = token_service_pb2.BatchTokenizeResponse.RESULTS_FIELD_NUMBER << 3 | 2  # tag
_LONGEST_TOKEN: Final = 100  # characters, so that a field's length takes one byte


class Answer:
    """A `BatchTokenizeResponse`, and the bytes in which it came."""

    __slots__ = ("content", "message")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.message = token_service_pb2.BatchTokenizeResponse.FromString(content)

    @classmethod
    def FromString(cls, content: bytes) -> "Answer":  # noqa: N802 - as of a message, for which it stands
        """Reads an answer.

        Raises:
            DecodeError: It is none.
        """
        return cls(content)

    def __repr__(self) -> str:
        return f"<answer of {len(self.content)} bytes>"


def stored_rows(answer: Answer, sent: Sequence[Record]) -> list[StoredRow]:
    """What became of the rows that were sent.

    Raises:
        ValueError: It answers another number of rows or fields.
    """
    results = answer.message.results
    plain = _plain_rows(answer.content, sent)
    return [row or _stored(record, result) for record, result, row in zip(sent, results, plain, strict=True)]


def _plain_rows(content: bytes, sent: Sequence[Record]) -> Iterator[StoredRow | None]:
    """For each row what became of it; None where the message has to say it."""
    text, at = content.decode("latin-1"), 0  # a character for each byte
    outcomes = dict[str, tuple[Outcome, ...]]()
    for record in sent:
        end = -1
        if at >= 0:
            begin, end = _result(content, at)
        at = end
        yield _plain(text, begin, end, record, outcomes) if end >= 0 else None


def _result(content: bytes, at: int) -> tuple[int, int]:
    """Where the result that stands next begins and ends; a negative end where something else does."""
    if at >= len(content) or content[at] != _RESULT:
        return at, -1
    size = shift = 0
    for begin in range(at + 1, min(at + 4, len(content))):
        size |= (content[begin] & 127) << shift
        shift += 7
        if content[begin] < 128:
            return begin + 1, begin + 1 + size
    return at, -1


def _plain(
    text: str, begin: int, end: int, record: Record, known: dict[str, tuple[Outcome, ...]]
) -> StoredRow | None:
    values = record.values
    sent = len(values) - values.count("")
    length = ord(text[begin + 1]) if begin + 1 < end else 0
    if not 0 < length <= _LONGEST_TOKEN:
        return None
    found = _form(sent, length).fullmatch(text, begin, end)
    if found is None:
        return None
    customer_token, created, *rest = found.groups()
    tokens, codes = rest[::2], "".join(rest[1::2])
    if not (customer_token.isascii() and "".join(tokens).isascii()):
        return None  # characters that take several bytes
    if sent != len(values):
        rest_tokens, rest_codes = iter(tokens), iter(codes)
        tokens = [next(rest_tokens) if value else "" for value in values]
        codes = "".join([next(rest_codes) if value else _NOT_SENT for value in values])
    outcomes = known.get(codes)
    if outcomes is None:
        outcomes = known[codes] = tuple(map(_outcome, codes))
    return StoredRow(customer_token, created is not None, plain=PlainCells(outcomes, tokens))


def _outcome(code: str) -> Outcome:
    return "empty" if code == _NOT_SENT else _convert.outcome(ord(code))


@lru_cache(maxsize=256)
def _form(cells: int, length: int) -> "re.Pattern[str]":
    """A result of so many cells that were stored, with tokens of a length."""
    token = rf"\n{re.escape(chr(length))}(.{{{length}}})"
    field = rf"\x1a{re.escape(chr(length + 4))}{token}\x10([\x01-\x03])"
    return re.compile(rf"{token}(\x10\x01)?" + field * cells, re.DOTALL)


def _stored(record: Record, answer: token_service_pb2.TokenizeEntryResult) -> StoredRow:
    if answer.HasField("error"):
        return StoredRow(refusal=_refusal(error_of_status(answer.error)))
    results = iter(answer.results)
    fields = []
    for value in record.values:
        if not value:
            fields.append(_EMPTY)
            continue
        result = next(results, None)
        if result is None:
            raise ValueError("fewer answers than there were fields")
        refusal = None
        if not (token := result.token) and result.HasField("error"):
            refusal = _refusal(error_of_status(result.error))
        fields.append(StoredField(_convert.outcome(result.outcome), token, refusal))
    if next(results, None) is not None:
        raise ValueError("more answers than there were fields")
    return StoredRow(answer.customer_token, answer.customer_created, fields)


def _refusal(error: VaultError) -> Refusal:
    return Refusal(error.reason, error.message)
