"""Holds a vault that has come back against what it had acknowledged."""

import random
from collections.abc import Callable, Iterable

from customervault import Vault
from customervault.errors import CustomerUnknownError, ShreddedError, VaultError

from tests.scenarios.support.crash_kill.book import Book, Subject
from tests.scenarios.support.crash_kill.load import FIELDS, send

_BATCH_TOKENS = 1000
_REPEATED = 12


def verify(book: Book, connect: Callable[[], Vault], connections: int, chance: random.Random) -> None:
    """Asserts that nothing acknowledged is lost, nothing shredded is readable, and repetition is safe.

    Reads everything over each of so many fresh connections: each may reach another worker.
    """
    for _ in range(connections):
        with connect() as client:
            _expect_values(client, book.subjects)
    with connect() as client:
        pending = [subject for subject in book.subjects if subject.pending is not None]
        for subject in pending:
            _expect_whole_or_absent(client, subject)
            send(client, subject)
        book.count("requests left unanswered", len(pending))
        _expect_values(client, pending)
        created = [subject for subject in book.subjects if subject.created_by is not None]
        for subject in chance.sample(created, min(_REPEATED, len(created))):
            _expect_same_answer(client, subject)


def _expect_values(client: Vault, subjects: Iterable[Subject]) -> None:
    wanted = [(subject, name) for subject in subjects for name in subject.tokens]
    for start in range(0, len(wanted), _BATCH_TOKENS):
        part = wanted[start : start + _BATCH_TOKENS]
        values = client.detokenize([subject.tokens[name] for subject, name in part])
        for (subject, name), value in zip(part, values, strict=True):
            try:
                seen: str | None = value.get()
            except ShreddedError:
                seen = None
            except VaultError as error:
                raise AssertionError(f"{subject.external_id}.{name} gives {error.reason}") from error
            allowed = subject.may_read(name)
            assert seen in allowed, f"{subject.external_id}.{name} gives {seen!r}, not one of {allowed}"


def _expect_whole_or_absent(client: Vault, subject: Subject) -> None:
    """A request without an answer took effect wholly or not at all."""
    write = subject.pending
    assert write is not None
    if write.verb == "create":
        try:
            held = client.get_customer(external_id=subject.external_id).held
        except CustomerUnknownError:
            return
        classes = {value.field_class for value in held} - {"external_id"}
        assert classes == set(FIELDS), f"{subject.external_id} was created in part: {classes}"
    elif write.verb == "store":
        values = client.detokenize([subject.tokens[name] for name in write.fields])
        new = [value.get() == write.fields[name] for name, value in zip(write.fields, values, strict=True)]
        assert len(set(new)) == 1, f"{subject.external_id} was stored in part"


def _expect_same_answer(client: Vault, subject: Subject) -> None:
    """The request that created a customer gives the same tokens again, or raises nobody from the dead."""
    write = subject.created_by
    assert write is not None

    def repeat() -> dict[str, str]:
        made = client.tokenize(subject.external_id, write.fields, request_id=write.request_id)
        return {name: made.token(name) for name in write.fields}

    if subject.shredded_by is None:
        assert repeat() == subject.tokens, f"{subject.external_id} got other tokens for the same request"
        return
    try:
        repeat()
    except ShreddedError:
        pass
    else:
        raise AssertionError(f"{subject.external_id} was stored again after its shred")
    try:
        client.get_customer(external_id=subject.external_id)
    except CustomerUnknownError:
        pass
    else:
        raise AssertionError(f"{subject.external_id} is there again after its shred")
    _expect_values(client, [subject])
    if subject.shredded_by.shred_id:
        again = client.shred(
            token=next(iter(subject.tokens.values())), request_id=subject.shredded_by.request_id
        )
        assert again.shred_id == subject.shredded_by.shred_id, "another shred for the same request"
