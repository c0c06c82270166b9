"""Writers and readers that go on while processes die.

Rules:
- A request that got no answer stays pending, and is sent again with the same id before anything else is
  done to that customer.
- A writer reads what it has written over other connections, and customers that other writers have shredded.
- Any answer but those that a dying server explains is noted as a problem.
"""

import random
import threading
from collections.abc import Callable

from customervault import Vault
from customervault.errors import (
    DeadlineExceededError,
    ShreddedError,
    UnavailableError,
    VaultError,
)

from tests.scenarios.support.crash_kill.book import Book, Subject, Write

FIELDS = ("email", "name", "note")
_UNANSWERED = (UnavailableError, DeadlineExceededError)
_PAUSE_SECONDS = 0.02
_RECENT = 200
_WEIGHTS = {"create": 30, "store": 15, "update": 15, "rotate": 3, "shred": 12, "read": 25}


def send(client: Vault, subject: Subject) -> None:
    """Sends a customer's pending request and notes the answer.

    Raises:
        VaultError: as the client does; the request is still pending.
    """
    write = subject.pending
    assert write is not None
    token = next(iter(subject.tokens.values()), "")
    match write.verb:
        case "create" | "store":
            stored = client.tokenize(subject.external_id, write.fields, request_id=write.request_id)
            given = {name: stored.token(name) for name in write.fields}
            assert all(subject.tokens.get(name, token) == token for name, token in given.items())
            subject.tokens.update(given)
        case "update":
            ((name, value),) = write.fields.items()
            client.update(subject.tokens[name], value, request_id=write.request_id)
        case "rotate":
            client.rotate_dek(token=token, request_id=write.request_id)
        case "shred":
            write.shred_id = client.shred(token=token, request_id=write.request_id).shred_id
    subject.acknowledge()


def read(client: Vault, subject: Subject) -> str:
    """Reads a customer's values; returns what is wrong with them, or nothing."""
    names = list(subject.tokens)
    allowed = [subject.may_read(name) for name in names]
    values = client.detokenize([subject.tokens[name] for name in names])
    for name, value, may_be in zip(names, values, allowed, strict=True):
        try:
            seen: str | None = value.get()
        except ShreddedError:
            seen = None
        except VaultError as error:
            return f"{subject.external_id}.{name} gives {error.reason}"
        if seen not in may_be:
            return f"{subject.external_id}.{name} gives {seen!r}, not one of {may_be}"
    return ""


class Writer:
    """One thread's work on customers of its own."""

    def __init__(self, number: int, book: Book) -> None:
        self._name = f"writer-{number}"
        self._book = book
        self._chance = random.Random(number)
        self._mine: list[Subject] = []

    def work(self, client: Vault, stopping: threading.Event) -> None:
        """Until told to stop; what is then pending stays so."""
        while not stopping.is_set():
            try:
                self._one(client)
            except _UNANSWERED:
                stopping.wait(_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the campaign reports it, whatever it is
                self._book.complain(f"{self._name}: {type(error).__name__}: {error}")
                return

    def _one(self, client: Vault) -> None:
        for subject in self._mine:
            if subject.pending is not None:
                send(client, subject)
                self._book.count("requests repeated")
                return
        verb = self._chance.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
        if verb == "read":
            self._read(client)
            return
        subject, write = self._think_of(verb)
        subject.pending = write
        send(client, subject)
        self._book.count(write.verb)

    def _think_of(self, verb: str) -> tuple[Subject, Write]:
        alive = [each for each in self._mine[-_RECENT:] if each.shredded_by is None]
        if verb != "create" and alive:
            chosen = self._chance.sample(FIELDS, {"store": 2, "update": 1}.get(verb, 0))
            return self._chance.choice(alive), Write(verb, {name: self._value(name) for name in chosen})
        subject = Subject(f"{self._name}-{len(self._mine) + 1}")
        self._mine.append(subject)
        self._book.add(subject)
        return subject, Write("create", {name: self._value(name) for name in FIELDS})

    def _read(self, client: Vault) -> None:
        gone = [each for each in self._book.subjects[-_RECENT:] if each.shredded_by is not None]
        for subjects in (self._mine[-_RECENT:], gone):
            if subjects:
                problem = read(client, self._chance.choice(subjects))
                self._book.count("read")
                if problem:
                    self._book.complain(problem)

    def _value(self, field_class: str) -> str:
        unique = f"{self._name}-{self._chance.randrange(10**9)}"
        return f"{unique}@example.org" if field_class == "email" else f"Person {unique}"


class Load:
    """All writers, working while the block runs."""

    def __init__(self, book: Book, writers: int, connect: Callable[[], Vault]) -> None:
        self._connect = connect
        self._writers = [Writer(number, book) for number in range(writers)]
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    def __enter__(self) -> "Load":
        self._stopping.clear()
        self._threads = [threading.Thread(target=self._run, args=(writer,)) for writer in self._writers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Lets every writer end what it is doing."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, writer: Writer) -> None:
        with self._connect() as client:
            writer.work(client, self._stopping)
