"""CRM users through the SDK, for locust: pages of contacts, single reads, and now and then a write.

    locust --headless -f benchmarks/locustfile.py --users 40 --spawn-rate 10 --run-time 1m

Connects by the `CVAULT_*` variables, as principal `dev` of a development vault. It touches only the
customers that it makes itself. A read that meets a customer shredded meanwhile is right to fail.
"""

import os
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from customervault import Entry, Field, Vault, VaultError
from customervault.results import Tokenized
from grpc.experimental import gevent as grpc_gevent
from locust import User, between, events, task

from benchmarks.contacts import FIELDS, ID_COLUMN, generate

CONTACTS_AT_START = int(os.environ.get("LOCUST_CONTACTS", "2000"))
PAGE_CONTACTS = 50
PURPOSE = "support"
SHREDDED = "SHREDDED"
_COLUMNS = FIELDS["hubspot"]
_ID_COLUMN = ID_COLUMN["hubspot"]

# Locust runs users as greenlets; without this a gRPC call would stop all of them.
grpc_gevent.init_gevent()


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer of this run; `email` is one of its tokens, or empty."""

    external_id: str
    tokens: Sequence[str]
    email: str


class Crm:
    """What all users of one locust process share: a client, and the contacts that live."""

    def __init__(self) -> None:
        self.vault = Vault(purpose=PURPOSE, channels=os.cpu_count() or 1, timeout=30)
        self.contacts: list[Contact] = []
        self._run = uuid.uuid4().hex[:12]
        self._made_up = generate(10**9, seed=int(self._run, 16))

    def new_entry(self) -> Entry:
        """A contact that the vault does not hold yet."""
        row = next(self._made_up)
        fields = [Field(name, row[column], label) for column, (name, label) in _COLUMNS.items()]
        return Entry(f"locust-{self._run}-{row[_ID_COLUMN]}", fields)

    def new_address(self) -> str:
        """An e-mail address that no contact has."""
        return f"{uuid.uuid4().hex}@example.org"

    def fill(self, count: int) -> None:
        """Stores the contacts that a run begins with."""
        entries = [self.new_entry() for _ in range(count)]
        for entry, stored in zip(entries, self.vault.tokenize_many(entries), strict=True):
            self.keep(entry, stored)

    def keep(self, entry: Entry, stored: Tokenized) -> None:
        """Lets users read and write a contact."""
        tokens = stored.tokens
        self.contacts.append(Contact(str(entry.customer), list(tokens.values()), tokens.get("email", "")))


_crm: Crm | None = None


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(**_: object) -> None:
    """Connects and stores the first contacts."""
    global _crm
    _crm = Crm()
    _crm.fill(CONTACTS_AT_START)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def end(**_: object) -> None:
    """Disconnects."""
    if _crm is not None:
        _crm.vault.close()


class CrmUser(User):
    """Somebody at a CRM's screen."""

    wait_time = between(0.05, 0.5)

    def on_start(self) -> None:
        """Joins the run."""
        assert _crm is not None
        self._crm = _crm

    @task(60)
    def read_page(self) -> None:
        """A page of a contact list."""
        contacts = random.sample(self._crm.contacts, min(PAGE_CONTACTS, len(self._crm.contacts)))
        self._read("detokenize page", [token for contact in contacts for token in contact.tokens])

    @task(25)
    def read_one(self) -> None:
        """One value."""
        self._read("detokenize one", [random.choice(random.choice(self._crm.contacts).tokens)])

    @task(8)
    def add_contact(self) -> None:
        """A new contact."""
        entry = self._crm.new_entry()
        with self._timed("tokenize contact"):
            self._crm.keep(entry, self._crm.vault.tokenize(entry.customer, entry.fields))

    @task(6)
    def correct(self) -> None:
        """A new e-mail address."""
        contact = random.choice(self._crm.contacts)
        if contact.email:
            with self._timed("update"):
                self._crm.vault.update(contact.email, self._crm.new_address())

    @task(1)
    def shred(self) -> None:
        """A customer who asked to be forgotten."""
        if len(self._crm.contacts) > PAGE_CONTACTS:
            contact = self._crm.contacts.pop(random.randrange(len(self._crm.contacts)))
            with self._timed("shred"):
                self._crm.vault.shred(external_id=contact.external_id)

    def _read(self, name: str, tokens: Sequence[str]) -> None:
        with self._timed(name):
            for error in self._crm.vault.detokenize(tokens).errors.values():
                if error.reason != SHREDDED:
                    raise error

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        failure: VaultError | None = None
        begun = time.perf_counter()
        try:
            yield
        except VaultError as error:
            failure = error if error.reason != SHREDDED else None
        milliseconds = (time.perf_counter() - begun) * 1000
        self.environment.events.request.fire(
            request_type="vault", name=name, response_time=milliseconds, response_length=0, exception=failure
        )
