"""What tokenize answers: as it is remembered for a request, and as the caller gets it.

An answer is remembered as numbers, never as tokens or texts of a customer:

    {"error": reason}                                         the entry was refused
    {"customer": number, "created": bool, "fields": [[outcome, value]]}

where `value` is a value's number, the reason of a refusal, or nothing. Tokens are enciphered anew each time.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from vault.core.fieldinput import PreparedEntry
from vault.errors import Reason, VaultError, error_for
from vault.model.ids import CUSTOMER_ROW
from vault.model.requests import EntryResult, FieldResult, Outcome, StoredEntry

Answer = dict[str, Any]
# Plain numbers: making an enum member costs more than the rest of an answer.
STORED: Final = frozenset(map(int, (Outcome.CREATED, Outcome.UNCHANGED, Outcome.UPDATED)))
EMPTY: Final = int(Outcome.EMPTY)


class Stored(NamedTuple):
    """Numbers of an answer's values, the customer row's first; outcomes, where all fields were stored."""

    value_nos: tuple[int, ...]
    outcomes: tuple[int, ...] | None


class StoredFields:
    """What the answers of a batch say of fields, worked out once for answers that share it."""

    def __init__(self, answers: list[Answer]) -> None:
        self._held = answers  # so that no other list gets the id of one of theirs
        self._known: dict[int, Stored] = {}

    def of(self, answer: Answer) -> Stored:
        """What the answer of a customer says."""
        fields = answer["fields"]
        known = self._known.get(id(fields))
        if known is None:
            values = [value for outcome, value in fields if outcome in STORED]
            outcomes = tuple(outcome for outcome, _ in fields) if len(values) == len(fields) else None
            known = self._known[id(fields)] = Stored((CUSTOMER_ROW, *values), outcomes)
        return known


def result_of(
    answer: Answer, entry: PreparedEntry, stored: StoredFields, tokens: Iterator[str]
) -> EntryResult | StoredEntry:
    """What the caller gets; takes the answer's tokens from `tokens`."""
    if "error" in answer:
        return EntryResult(error=_error(answer["error"], entry.error))
    customer_token = next(tokens)
    outcomes = stored.of(answer).outcomes
    if outcomes is not None and not entry.surrogates:
        return StoredEntry(customer_token, answer["created"], outcomes, list(islice(tokens, len(outcomes))))
    results = []
    for (outcome, value), made in zip(answer["fields"], entry.fields, strict=True):
        if outcome in STORED:
            token = next(tokens)
            results.append(FieldResult(Outcome(outcome), made.surrogate or token))
        elif outcome == EMPTY:
            results.append(FieldResult(Outcome.EMPTY))
        else:
            results.append(FieldResult(Outcome.REFUSED, error=_error(value, made.error)))
    return EntryResult(customer_token, answer["created"], results)


def packed_answers(answers: list[Answer]) -> str:
    """The answers as JSON, with what many of them say of fields written out once."""
    known: dict[int, str] = {}
    parts = []
    for answer in answers:
        if "customer" not in answer:
            parts.append(_json(answer))
            continue
        fields = known.get(id(answer["fields"]))
        if fields is None:
            fields = known[id(answer["fields"])] = _json(answer["fields"])
        created = "true" if answer["created"] else "false"
        parts.append(f'{{"customer":{answer["customer"]},"created":{created},"fields":{fields}}}')
    return f"[{','.join(parts)}]"


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


def _error(reason: str, known: VaultError | None) -> VaultError:
    """The error of this call if it is the same one, else one that carries the remembered reason."""
    if known is not None and known.reason == reason:
        return known
    error_class = error_for(Reason(reason))
    try:
        return error_class("refused, as when this request was first made")
    except TypeError:
        return error_class()  # type: ignore[call-arg]  # the one that takes no message
