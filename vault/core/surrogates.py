"""Surrogates: issued at random, remembered in the customer's sheet, looked up in the index.

    sheet    value, domain, text                    sealed under the customer's data key: what is true
    index    keyed hash of (domain, text) -> value  under a key of the epoch: where to look

Rules:
- No two values of a domain have the same surrogate, whatever their classes, so a text never means two things
  in one domain. A value has one surrogate in a domain, and beside it those that were brought from elsewhere.
- Rows of the index are not authenticated and may be left over from a crash: the sheet has to confirm them.
- A draw is tried `_TRIES` times, and where there are no more than `_ALL` surrogates, each of them once. Below
  half of the capacity it practically never fails; beyond about 95 % of it, the value gets none.
- A surrogate stays with its value: a correction keeps it, and of a deleted value it answers VALUE_DELETED. It
  goes with its customer; only then may the text be given out again. Where a legal hold delays the shred, only
  the values that are held keep theirs.
"""

import secrets
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final

from vault.core.again import look_again
from vault.core.book import Book
from vault.core.indexkeys import IndexKeys
from vault.core.opencustomer import OpenCustomer
from vault.crypto.tokens import block, is_token_text, place_block
from vault.errors import (
    CustomerUnknownError,
    DataLossError,
    IntegrityFailedError,
    InvalidRequestError,
    LimitExceededError,
    Reason,
    ShreddedError,
    SurrogatesExhaustedError,
    SurrogateTakenError,
    TokenMalformedError,
    TokenUnknownError,
)
from vault.fields.field_class import FieldClass
from vault.fields.space import Space
from vault.model.ids import CustomerNo, DomainId, Region, TokenParts
from vault.policy.decision import Grants
from vault.store.layout import split_value_key
from vault.store.session import WriteSession
from vault.store.sheet import MAX_SURROGATE_BYTES, SheetSurrogate
from vault.store.snapshot import KeyringSnapshot, Snapshot
from vault.store.store import Store

_ALL: Final = 256
_TRIES: Final = 128
_MOST: Final = 2**16 - 1  # of one customer, by the sheet's layout
_UNKNOWN: Final = place_block(0, 1)  # of no domain, so that it answers TOKEN_UNKNOWN


class Surrogates:
    """Issues and finds the surrogates of one vault."""

    def __init__(self, book: Book, index_keys: IndexKeys, region: Region, *, declared: bool) -> None:
        """`declared`: whether field classes have surrogates."""
        self._declared = declared
        self._book = book
        self._index_keys = index_keys
        self._region = region

    def in_use(self, keys: KeyringSnapshot) -> bool:
        """Whether a text that is no token may be a surrogate, or have been one."""
        return self._declared or keys.count_surrogates() > 0

    def drawn(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        field_class: FieldClass,
        domain: int,
        stored: bytes,
        value_no: int | None,
    ) -> bytes:
        """The surrogate that a value has in a domain, or one to `keep` for it; empty: its class has none.

        Args:
            session: which looks whether a text is free.
            customer: whose value it is.
            field_class: of the value.
            domain: in which the surrogate is to stand for it.
            stored: the value.
            value_no: of a value that is held; None for a new one.

        Raises:
            InvalidValueError: the value has no surrogate.
            SurrogatesExhaustedError: nearly all that it could have are given out.
        """
        if value_no is not None:
            for held in customer.surrogates:
                if (held.value_no, held.domain) == (value_no, domain):
                    return held.text
        rule = field_class.surrogate
        if rule is None:
            return b""
        text = stored.decode()
        return self._free(session, rule.space(field_class.name, text), domain, text, field_class.name)

    def brought(
        self, session: WriteSession, customer: OpenCustomer, domain: int, text: bytes, value_no: int | None
    ) -> None:
        """Checks that a surrogate from elsewhere may stand for a value; `value_no` is None for a new one.

        Raises:
            SurrogateTakenError: it stands for another value of the domain.
        """
        for held in customer.surrogates:
            if (held.domain, held.text) == (domain, text):
                if held.value_no == value_no:
                    return
                raise SurrogateTakenError("the surrogate stands for another value of this customer")
        row = session.surrogate(self._index_keys.surrogate_hash(session, domain, text))
        owner = None if row is None else self._confirmed(session, session, domain, text, row)
        # A row that this customer's own sheet does not know is left over from a crash.
        if owner is not None and owner.customer_no != customer.number:
            raise SurrogateTakenError("the surrogate stands for another value of this domain")

    def keep(
        self, session: WriteSession, customer: OpenCustomer, domain: int, text: bytes, value_no: int
    ) -> None:
        """Gives a value a surrogate that `drawn` or `brought` has found free.

        Raises:
            LimitExceededError: the customer has too many.
        """
        made = SheetSurrogate(value_no, domain, text)
        if made in customer.surrogates:
            return
        if len(customer.surrogates) >= _MOST:
            raise LimitExceededError("the customer has too many surrogates", limit="surrogates_ever")
        keyed_hash = self._index_keys.surrogate_hash(session, domain, text)
        session.surrogate_put(keyed_hash, self._book.value_key(customer.number, value_no))
        customer.surrogates = (*customer.surrogates, made)
        customer.changed = True

    def forget(self, session: WriteSession, customer: OpenCustomer, kept: Container[int]) -> bool:
        """Lets go of all surrogates but those of some values; returns whether there were any."""
        gone = [each for each in customer.surrogates if each.value_no not in kept]
        for keyed_hash in self.hashes(session, customer.number, gone):
            session.surrogate_delete(keyed_hash)
        if gone:
            customer.surrogates = tuple([each for each in customer.surrogates if each.value_no in kept])
            customer.changed = True
        return bool(gone)

    def hashes(
        self, session: WriteSession, number: CustomerNo, surrogates: Sequence[SheetSurrogate]
    ) -> list[bytes]:
        """The keys under which a customer's surrogates and tags stand in the index."""
        book, rows = self._book, self._index_keys
        return [rows.row(session, each, book.value_key(number, each.value_no))[0] for each in surrogates]

    def find(
        self,
        reader: Snapshot | WriteSession,
        keys: KeyringSnapshot | WriteSession,
        domains: Sequence[int],
        text: str,
    ) -> TokenParts | None:
        """The value that a text stands for in one of some domains; None if it is no surrogate there.

        Raises:
            InvalidRequestError: it is one in several of them.
            DataLossError, IntegrityFailedError: its customer is damaged.
        """
        encoded = text.encode(errors="replace")
        if not 0 < len(encoded) <= MAX_SURROGATE_BYTES:
            return None
        found = None
        for domain in domains:
            row = keys.surrogate(self._index_keys.surrogate_hash(keys, domain, encoded))
            parts = None if row is None else self._confirmed(reader, keys, domain, encoded, row)
            if parts is not None and found is not None:
                raise InvalidRequestError(
                    "the surrogate stands for values in several domains; say which", field="domain"
                )
            found = parts or found
        return found

    def require(
        self, snapshot: Snapshot, keys: KeyringSnapshot, domains: Sequence[int], text: str
    ) -> TokenParts:
        """As `find`, for a text that must be a surrogate.

        Raises:
            TokenMalformedError: the vault has no surrogates, so this should have been a token.
            TokenUnknownError: it is no surrogate in these domains.
        """
        if not self.in_use(keys):
            raise TokenMalformedError("not the text of a token")
        parts = self.find(snapshot, keys, domains, text)
        if parts is None:
            raise TokenUnknownError("no such token")
        return parts

    def _confirmed(
        self,
        reader: Snapshot | WriteSession,
        keys: KeyringSnapshot | WriteSession,
        domain: int,
        text: bytes,
        row: bytes,
    ) -> TokenParts | None:
        """What a row of the index points at, if the customer's sheet says the same."""
        region, number, value_no = split_value_key(row)
        if region != self._region:
            raise IntegrityFailedError
        try:
            with self._book.open(reader, keys, number) as customer:
                if SheetSurrogate(value_no, domain, text) not in customer.surrogates:
                    return None
        except (ShreddedError, CustomerUnknownError):
            return None  # left over from a crash
        return TokenParts(region, DomainId(domain), number, value_no)

    def _free(self, session: WriteSession, space: Space, domain: int, value: str, name: str) -> bytes:
        capacity = space.capacity
        start = secrets.randbelow(capacity)
        for turn in range(min(capacity, _ALL) if capacity <= _ALL else _TRIES):
            at = (start + turn) % capacity if capacity <= _ALL else secrets.randbelow(capacity)
            text = space.at(at)
            if text is None or text == value:
                continue
            encoded = text.encode()
            if session.surrogate(self._index_keys.surrogate_hash(session, domain, encoded)) is None:
                return encoded
        raise SurrogatesExhaustedError(
            f"nearly all of the {capacity} surrogates that this {name} could have are given out",
            field_class=name,
            capacity=str(capacity),
        )


class Lookup:
    """Finds the surrogates among one call's tokens for the hot path, which knows tokens only.

    Attributes:
        reasons: why texts that are surrogates cannot be opened, by their index.
    """

    reasons: dict[int, Reason]

    def __init__(
        self, store: Store, surrogates: Surrogates, domains: Callable[[Snapshot], Sequence[int]]
    ) -> None:
        """Looks in the domains that `domains` gives; it is asked only if there is something to look for."""
        self._store = store
        self._surrogates = surrogates
        self._domains = domains
        self.reasons = {}

    def __call__(self, texts: Sequence[tuple[int, str]]) -> Mapping[int, bytes]:
        """What texts that are not tokens stand for; nothing, in a vault without surrogates."""
        found: dict[int, bytes] = {}
        with self._store.snapshot() as snapshot, self._store.keyring() as keys:
            if not self._surrogates.in_use(keys):
                return found
            domains = self._domains(snapshot)
            for index, text in texts:
                try:
                    try:
                        parts = self._surrogates.find(snapshot, keys, domains, text)
                    except DataLossError:
                        parts = self._newly(domains, text)
                except (DataLossError, IntegrityFailedError) as error:
                    self.reasons[index] = error.reason
                else:
                    found[index] = _UNKNOWN if parts is None else _block(parts)
        return found

    @look_again
    def _newly(self, domains: Sequence[int], text: str) -> TokenParts | None:
        with self._store.snapshot() as snapshot, self._store.keyring() as keys:
            return self._surrogates.find(snapshot, keys, domains, text)


def domains_of(grants: Grants, domain: str) -> list[int]:
    """The domain of that name, or without a name all of the caller's.

    Raises:
        DomainDeniedError: the caller is not in it.
    """
    return [grants.domain(domain)] if domain else sorted(grants.domains)


def check_brought(text: str) -> bytes:
    """A surrogate from elsewhere as it is kept: UTF-8.

    Raises:
        InvalidRequestError: it is empty or too long, holds what cannot be printed, or could be a token.
    """
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        encoded = b""
    if not 0 < len(encoded) <= MAX_SURROGATE_BYTES or not text.isprintable() or text != text.strip():
        raise InvalidRequestError(
            f"a surrogate is 1 to {MAX_SURROGATE_BYTES} bytes of printable text without spaces at its ends",
            field="surrogate",
        )
    if is_token_text(text):
        raise InvalidRequestError("a surrogate has another form than this vault's tokens", field="surrogate")
    return encoded


def _block(parts: TokenParts) -> bytes:
    return block(parts.region, parts.domain, parts.customer_no, parts.value_no)
