"""What every look-up does with a customer that the index leads to: open it, compare, ask the policy.

Rules:
- The index says where to look and nothing else: the sheet has to list the digest, and the value, opened, has
  to give the same one.
- A customer is told where the policy would reveal the value, plain or masked, for the purpose. Whoever is
  closed to the caller is left out as if there were nobody.
- A customer that is damaged fails the look-up: it is not to be missed.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from vault.core.directory import FIELD_CLASS, Directory
from vault.core.engine import Engine
from vault.core.fieldinput import search_content
from vault.core.opencustomer import OpenCustomer
from vault.core.references import customer_token, token_of
from vault.core.searchindex import Pair, digest_of, pairs_of
from vault.core.searchstate import stored_state
from vault.core.situations import situation_of
from vault.errors import (
    CustomerUnknownError,
    DeadlineExceededError,
    InvalidRequestError,
    SearchIncompleteError,
    ShreddedError,
    error_for,
)
from vault.fields.field_class import FieldClass
from vault.fields.searching import Compound
from vault.model.access import Reveal
from vault.model.consent import LawfulBasis
from vault.model.ids import CustomerNo
from vault.model.requests import Caller
from vault.model.search import Found, FoundValue
from vault.model.situation import Situation
from vault.policy.decision import DENIALS, Grants, Verdict
from vault.policy.reads import Reads
from vault.store.layout import HEADER, ValueHeader
from vault.store.snapshot import KeyringSnapshot, Snapshot

_MAX_READS: Final = 256
_REVEALED: Final = (Verdict.PLAIN, Verdict.MASKED)
# What does not depend on the customer, so that it can be said although nobody was found.
_OF_THE_CALLER: Final = (Verdict.PURPOSE_DENIED, Verdict.TRAINING_EXPIRED, Verdict.APPROVAL_REQUIRED)


class Wanted(NamedTuple):
    """A class, its number, and the digest that a value of it has to have."""

    field_class: FieldClass
    number: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Hit:
    """A customer that holds what is wanted: its name in the access log, and the numbers of the values."""

    number: CustomerNo
    locator: bytes
    situation: Situation
    values: Sequence[tuple[Wanted, int]]


class Look:
    """One look-up's view of the store, of one moment."""

    def __init__(
        self, engine: Engine, snapshot: Snapshot, keys: KeyringSnapshot, directory: Directory, caller: Caller
    ) -> None:
        self.snapshot = snapshot
        self.keys = keys
        self.directory = directory
        self._engine = engine
        self._deadline = caller.deadline_monotonic
        self._now_ms = max(time.time_ns() // 1_000_000, snapshot.meta.time_floor_ms)

    @property
    def now_ms(self) -> int:
        """The time to judge by."""
        return self._now_ms

    def number_of(self, field_class: str) -> int:
        """The number of a declared class."""
        return self.directory.numbers[FIELD_CLASS][field_class]

    def declared(self, entry: str) -> Compound:
        """The classes of an entry that may be looked up now; of a class, that class alone.

        Raises:
            InvalidRequestError: the configuration declares no such look-up.
            SearchIncompleteError: its index is still being built.
        """
        searchable = self._engine.book.search.searchable
        if entry in searchable.classes:
            found = Compound(entry, (entry,))
        else:
            compound = next((each for each in searchable.compounds if each.name == entry), None)
            if compound is None:
                raise InvalidRequestError("nothing is found by this field class", field="field_class")
            found = compound
        state = stored_state(self._engine.rows, self.snapshot)
        if state.ready.get(entry) != searchable.entries[entry]:
            total = self.snapshot.meta.next_customer_no - 1
            raise SearchIncompleteError(
                "the index of this look-up is still being built",
                entry=entry,
                done=str(state.after),
                total=str(total),
            )
        return found

    def hit(self, customer: bytes, wanted: Sequence[Wanted], purpose_no: int) -> Hit | None:
        """The customer (6 bytes), if it holds a value for everything wanted.

        Raises:
            DataLossError, IntegrityFailedError: it is damaged.
            DeadlineExceededError: the caller waits no longer.
        """
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise DeadlineExceededError("the deadline passed before the search came to its end")
        book, number = self._engine.book, CustomerNo(int.from_bytes(customer[1:], "big"))
        try:
            with book.open(self.snapshot, self.keys, number) as opened:
                values = []
                for each in wanted:
                    found = [value_no for value_no in opened.lines if self._holds(opened, value_no, each)]
                    if not found:
                        return None
                    values += [(each, value_no) for value_no in sorted(found)]
                situation = situation_of(opened, purpose_no, self._now_ms)
                return Hit(number, opened.dek.locator(book.key(number)), situation, values)
        except (ShreddedError, CustomerUnknownError):
            return None  # a row that a crash left over, or a shred since

    def pairs(self, customer: bytes) -> list[Pair]:
        """The digests in the sheet of a customer (6 bytes); none where it is gone.

        Raises:
            DataLossError, IntegrityFailedError: it is damaged.
        """
        number = CustomerNo(int.from_bytes(customer[1:], "big"))
        try:
            with self._engine.book.open(self.snapshot, self.keys, number) as opened:
                return pairs_of(opened.lines.values())
        except (ShreddedError, CustomerUnknownError):
            return []

    def _holds(self, customer: OpenCustomer, value_no: int, wanted: Wanted) -> bool:
        """Whether a value is what is wanted: by its line, and then by itself."""
        line, book = customer.lines[value_no], self._engine.book
        if line.field_class != wanted.number or line.index_hash != wanted.digest:
            return False
        record = self.snapshot.get(book.value_key(customer.number, value_no)) or b""
        if len(record) >= HEADER.size:
            expires_s = ValueHeader.unpack(record).expires_s
            if expires_s and expires_s * 1000 <= self._now_ms:
                return False
        stored = book.open_value(self.snapshot, customer, value_no)
        content = search_content(wanted.field_class, stored)
        return digest_of(wanted.field_class, content) == wanted.digest


class SearchPolicy:
    """Decides whom a look-up tells of. Its tables are its own: those of the hot path are not shared."""

    def __init__(self) -> None:
        self._reads: dict[tuple[str, str, LawfulBasis | None], tuple[Grants, Reads]] = {}
        self._turn = threading.Lock()

    def tells(self, look: Look, asked: "Asked", wanted: Sequence[int], situation: Situation) -> bool:
        """Whether values of all these classes are revealed of a customer in this situation."""
        return all(verdict in _REVEALED for verdict in self._verdicts(look, asked, wanted, situation))

    def require_any(self, look: Look, asked: "Asked", wanted: Sequence[int]) -> None:
        """Where nobody was told of: says so, if that is because of the caller and not of customers.

        Raises:
            DeniedError: the caller is granted nothing for the purpose.
        """
        for verdict in self._verdicts(look, asked, wanted, Situation()):
            if verdict in _OF_THE_CALLER:
                raise error_for(DENIALS[verdict])("nothing is found for this purpose")

    def _verdicts(self, look: Look, asked: "Asked", wanted: Sequence[int], situation: Situation) -> list[int]:
        key = (asked.grants.name, asked.purpose, asked.basis)
        with self._turn:
            grants, reads = self._reads.get(key, (None, None))
            if (
                reads is None
                or grants is not asked.grants
                or look.now_ms >= reads.valid_until_ms
                or reads.full
            ):
                reads = asked.grants.own_reads(asked.purpose, Reveal.BEST, asked.basis, look.now_ms)
                if len(self._reads) >= _MAX_READS:
                    self._reads.clear()
                self._reads[key] = asked.grants, reads
            table = reads.table(situation)
        return [table[number] for number in wanted]


class Asked(NamedTuple):
    """Who asks, why, on which basis, and in which domain the answer's tokens are."""

    grants: Grants
    purpose: str
    basis: LawfulBasis | None
    domain: int

    @property
    def shown_purpose(self) -> str:
        """The purpose for the access log: only one that has a number, for the text is the caller's."""
        return self.purpose if self.grants.purpose_id(self.purpose) else ""


def found_of(engine: Engine, domain: int, hit: Hit) -> Found:
    """A hit as the caller gets it: tokens."""
    return Found(
        customer_token(engine, domain, hit.number),
        [
            FoundValue(wanted.field_class.name, token_of(engine, domain, hit.number, value_no))
            for wanted, value_no in hit.values
        ],
    )
