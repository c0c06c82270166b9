"""Verbs of `TokenService`.

Rules of splitting:
- A batch of entries holds at most `max_batch` fields and about 3 MiB, below gRPC's usual 4 MiB. One
  entry is never divided. Batches go one after the other: of two entries for one customer the later wins.
- A batch of tokens holds at most `max_batch`. Batches of one call may go at the same time; they read.
- Items answered REPLY_FULL are asked for again until a reply brings nothing new.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from customervault import _convert, results
from customervault._exchange import Exchange, Request, batches, request_id_of_batch, request_id_or_new
from customervault._status import error_of_status
from customervault.errors import InvalidRequestError, ReplyFullError, VaultError
from customervault.inputs import CustomerRef, Entry, Field, Fields, as_fields
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as api
from customervault.values import LawfulBasis, Reveal, RevealLevel, TokenForm, Values

_SERVICE = "/customervault.v1.TokenService/"
BATCH_BYTES = 3 * 1024 * 1024
BATCH_TOKENIZE = _SERVICE + "BatchTokenize"


def tokenize(
    customer: str | CustomerRef,
    fields: Fields,
    *,
    jurisdiction: str,
    domain: str,
    request_id: str | None,
    atomic: bool,
    form: TokenForm,
) -> Exchange[results.Tokenized]:
    """Store one customer's fields."""
    sent = as_fields(fields)
    message = api.TokenizeRequest(
        domain=domain,
        request_id=request_id_or_new(request_id),
        mode=_convert.batch_mode(atomic),
        form=_convert.token_form(form),
    )
    _convert.fill_entry(message.entry, Entry(customer, sent, jurisdiction), sent)
    reply: api.TokenizeResponse = yield Request(_SERVICE + "Tokenize", message, api.TokenizeResponse)
    answer = _convert.tokenized(reply.result, sent)
    if answer.error is not None:
        raise answer.error
    return answer


def tokenize_batches(
    entries: Iterable[Entry],
    *,
    domain: str,
    request_id: str | None,
    atomic: bool,
    form: TokenForm,
    max_batch: int,
) -> Iterator[Exchange[list[results.Tokenized]]]:
    """Store many customers' fields, one exchange per batch; an atomic call is never split."""
    base = request_id_or_new(request_id)
    mode, token_form = _convert.batch_mode(atomic), _convert.token_form(form)
    split = _entry_batches(entries, None if atomic else max_batch)
    for number, (message, sent) in enumerate(split):
        message.domain = domain
        message.request_id = request_id_of_batch(base, number)
        message.mode = mode
        message.form = token_form
        yield _tokenize_batch(message, sent)


_Batch = tuple[api.BatchTokenizeRequest, list[list[Field]]]
"""A request with its entries, and the fields of each."""


def _entry_batches(entries: Iterable[Entry], max_batch: int | None) -> Iterator[_Batch]:
    """Requests of whole entries; all of them in one where `max_batch` is None."""
    message, sent = api.BatchTokenizeRequest(), list[list[Field]]()
    values = size = 0
    for entry in entries:
        fields = as_fields(entry.fields)
        added = message.entries.add()
        _convert.fill_entry(added, entry, fields)
        entry_values, entry_bytes = max(1, len(fields)), added.ByteSize()
        values += entry_values
        size += entry_bytes
        if sent and max_batch is not None and (values > max_batch or size > BATCH_BYTES):
            following = api.BatchTokenizeRequest(entries=[added])
            del message.entries[-1]
            yield message, sent
            message, sent, values, size = following, [], entry_values, entry_bytes
        sent.append(fields)
    if sent:
        yield message, sent


def _tokenize_batch(
    message: api.BatchTokenizeRequest, sent: list[list[Field]]
) -> Exchange[list[results.Tokenized]]:
    reply: api.BatchTokenizeResponse = yield Request(BATCH_TOKENIZE, message, api.BatchTokenizeResponse)
    return [_convert.tokenized(result, fields) for result, fields in zip(reply.results, sent, strict=True)]


@dataclass(slots=True)
class _Revealed:
    """The answers of one batch of tokens, filled in as replies come."""

    texts: list[str]
    levels: list[RevealLevel | None]
    errors: dict[int, VaultError] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "<revealed batch>"


def detokenize_batches(
    tokens: Sequence[str] | str,
    *,
    purpose: str,
    reveal: Reveal,
    basis: LawfulBasis | None,
    domain: str,
    max_batch: int,
) -> list[Exchange[_Revealed]]:
    """Open tokens, one exchange per batch; `join` puts the answers together."""
    if reveal not in _convert.REVEALS:
        raise InvalidRequestError(f"reveal must be one of {', '.join(_convert.REVEALS)}")
    number = _convert.basis_number(basis)
    wanted = [tokens] if isinstance(tokens, str) else tokens
    return [_detokenize_batch(batch, purpose, reveal, number, domain) for batch in batches(wanted, max_batch)]


def _detokenize_batch(
    tokens: list[str],
    purpose: str,
    reveal: Reveal,
    basis: "common_pb2.LawfulBasis.ValueType",
    domain: str,
) -> Exchange[_Revealed]:
    revealed = _Revealed([""] * len(tokens), [None] * len(tokens))
    open_items: Sequence[int] = range(len(tokens))
    while open_items:
        message = api.DetokenizeRequest(
            tokens=[tokens[at] for at in open_items],
            purpose=purpose,
            reveal=_convert.REVEALS[reveal],
            lawful_basis=basis,
            domain=domain,
        )
        reply: api.DetokenizeResponse = yield Request(
            _SERVICE + "Detokenize", message, api.DetokenizeResponse
        )
        left = _take(revealed, open_items, reply)
        if len(left) == len(open_items):
            break
        open_items = left
    return revealed


def _take(revealed: _Revealed, asked: Sequence[int], reply: api.DetokenizeResponse) -> list[int]:
    """Put a reply's items in their places; the positions that did not fit into it."""
    failed = {item.index: error_of_status(item.status) for item in reply.errors}
    left = []
    for index, (at, text, level) in enumerate(zip(asked, reply.values, reply.reveals, strict=True)):
        error = failed.get(index)
        if error is None:
            revealed.texts[at] = text
            revealed.levels[at] = _convert.LEVELS[level]
            revealed.errors.pop(at, None)
        else:
            revealed.errors[at] = error
            if isinstance(error, ReplyFullError):
                left.append(at)
    return left


def join(parts: Sequence[_Revealed]) -> Values:
    """The answers of consecutive batches as one container."""
    texts: list[str] = []
    levels: list[RevealLevel | None] = []
    errors: dict[int, VaultError] = {}
    for part in parts:
        errors.update({len(texts) + at: error for at, error in part.errors.items()})
        texts += part.texts
        levels += part.levels
    return Values(texts, levels, errors)


def update(token: str, value: str, *, domain: str, request_id: str | None) -> Exchange[results.FieldOutcome]:
    """Rectify one value."""
    message = api.UpdateValueRequest(
        token=token, value=value, request_id=request_id_or_new(request_id), domain=domain
    )
    reply: api.UpdateValueResponse = yield Request(_SERVICE + "UpdateValue", message, api.UpdateValueResponse)
    return _convert.outcome(reply.outcome)


def delete(token: str, *, domain: str, request_id: str | None) -> Exchange[None]:
    """Delete one value."""
    message = api.DeleteValueRequest(token=token, request_id=request_id_or_new(request_id), domain=domain)
    yield Request(_SERVICE + "DeleteValue", message, api.DeleteValueResponse)


def translate_batches(
    tokens: Iterable[str], domain: str, *, source_domain: str, max_batch: int
) -> list[Exchange[list[results.Translation]]]:
    """Tokens of another domain, one exchange per batch."""
    return [_translate_batch(batch, domain, source_domain) for batch in batches(tokens, max_batch)]


def _translate_batch(
    tokens: list[str], domain: str, source_domain: str
) -> Exchange[list[results.Translation]]:
    message = api.TranslateTokensRequest(tokens=tokens, target_domain=domain, source_domain=source_domain)
    reply: api.TranslateTokensResponse = yield Request(
        _SERVICE + "TranslateTokens", message, api.TranslateTokensResponse
    )
    failed = {item.index: error_of_status(item.status) for item in reply.errors}
    return [results.Translation(token, failed.get(at)) for at, token in enumerate(reply.tokens)]


def inspect(token: str, *, domain: str) -> Exchange[results.TokenInfo]:
    """Describe a token."""
    message = api.InspectTokenRequest(token=token, domain=domain)
    reply: api.InspectTokenResponse = yield Request(
        _SERVICE + "InspectToken", message, api.InspectTokenResponse
    )
    return _convert.token_info(reply)
