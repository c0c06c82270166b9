"""Aliases in the stores: written, opened, ended, and the tags of theirs that stand in the sheet.

An alias is a record of its customer (`store.aliases`), so it is sealed, re-sealed, backed up and shredded as
values are. Its tags stand in the customer's sheet and are found by the index, as surrogates are.

Rules:
- A customer has at most `MOST_LIVE` aliases that are not removed, and aliases never take the last
  `_KEPT_FOR_VALUES` of its value numbers.
- The ledger says that an alias was used or revoked before anything else does. An expiry needs no entry: it is
  in the record, and the time passes in a restored vault, too.
- What was used is kept for `KEPT_USED_S`, so that one can look it up, and then removed.
- With a value its aliases end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vault.core.book import Book
from vault.core.indexkeys import IndexKeys
from vault.core.opencustomer import OpenCustomer
from vault.errors import (
    DataLossError,
    ExpiredError,
    IntegrityFailedError,
    InvalidRequestError,
    LimitExceededError,
    TokenRevokedError,
    TokenUsedError,
    ValueDeletedError,
    VaultError,
)
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Region, ValueNo
from vault.store.aliases import Alias, AliasState
from vault.store.entries import TokensEnded
from vault.store.layout import ValueFlag, ValueHeader, value_key
from vault.store.layout import value_no as new_value_no
from vault.store.session import WriteSession
from vault.store.sheet import TAG_DOMAIN, SheetSurrogate
from vault.store.snapshot import Snapshot

MOST_LIVE: Final = 256
KEPT_USED_S: Final = 30 * 86_400
_KEPT_FOR_VALUES: Final = 4096
_COUNTERS: Final = 2**16


@dataclass(frozen=True, slots=True)
class Issued:
    """An alias as it stands in the store."""

    value_no: int
    header: ValueHeader
    alias: Alias

    @property
    def removed(self) -> bool:
        """Whether nothing but its end is left."""
        return self.header.deleted


class Aliases:
    """The aliases of one vault."""

    def __init__(self, book: Book, index_keys: IndexKeys, region: Region) -> None:
        self._book = book
        self._index_keys = index_keys
        self._region = region

    def open(self, reader: WriteSession | Snapshot, customer: OpenCustomer, value_no: int) -> Issued | None:
        """The alias of that number; None where the number is a value's.

        Raises:
            DataLossError: no record has the number.
            IntegrityFailedError: the record fails its authentication, or is no alias.
        """
        record = reader.get(self._book.value_key(customer.number, value_no))
        if record is None:
            raise DataLossError("a genuine token's record is missing from the store")
        header = ValueHeader.unpack(record)
        if not header.alias:
            return None
        plaintext = self._book.open_value(reader, customer, value_no)
        return Issued(value_no, header, Alias.unpack(plaintext))

    def require(self, reader: WriteSession | Snapshot, customer: OpenCustomer, value_no: int) -> Issued:
        """As `open`, for a number that must be an alias's.

        Raises:
            InvalidRequestError: it is a value's, or the customer's own.
        """
        issued = self.open(reader, customer, value_no) if value_no != CUSTOMER_ROW else None
        if issued is None:
            raise InvalidRequestError(
                "this is no issued token; it has neither an end nor tags of its own", field="token"
            )
        return issued

    def all(self, reader: WriteSession | Snapshot, customer: OpenCustomer) -> list[Issued]:
        """A customer's aliases that are not removed, oldest first.

        Raises:
            IntegrityFailedError: one fails its authentication.
        """
        return [
            found
            for value_no in self._numbers(reader, customer)
            if (found := self.open(reader, customer, value_no))
        ]

    def _numbers(self, reader: WriteSession | Snapshot, customer: OpenCustomer) -> list[int]:
        return [
            int.from_bytes(key[6:], "big")
            for key, record in reader.scan_customer(self._region, customer.number)
            if key[6:] != CUSTOMER_ROW.to_bytes(3, "big") and _is_live(ValueHeader.unpack(record))
        ]

    def tags(self, customer: OpenCustomer, value_no: int) -> tuple[bytes, ...]:
        """The tags of an alias."""
        place = (value_no, TAG_DOMAIN)
        return tuple([each.text for each in customer.surrogates if (each.value_no, each.domain) == place])

    def add(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        field_class: int,
        alias: Alias,
        tags: Sequence[bytes],
    ) -> ValueNo:
        """Writes a new alias, for which there is room (`require_room`); the caller saves the customer."""
        incarnation = session.meta.incarnation
        value_no = new_value_no(incarnation, customer.take_counter(incarnation))
        self._put(session, customer, value_no, field_class, alias, removed_from_s=alias.expires_s)
        for tag in tags:
            line = SheetSurrogate(value_no, TAG_DOMAIN, tag)
            session.surrogate_put(*self._row(session, customer.number, line))
            customer.surrogates = (*customer.surrogates, line)
        customer.changed = True
        return value_no

    def require_room(self, session: WriteSession, customer: OpenCustomer) -> None:
        """Raises LimitExceededError where the customer has too many aliases, or its value numbers run low."""
        if len(self._numbers(session, customer)) >= MOST_LIVE:
            raise LimitExceededError(
                f"a customer has at most {MOST_LIVE} issued tokens at a time", limit="issued_tokens"
            )
        incarnation = session.meta.incarnation
        taken = customer.counter[1] if customer.counter[0] == incarnation else 1
        if taken >= _COUNTERS - _KEPT_FOR_VALUES:
            raise LimitExceededError(
                "the customer's numbers for issued tokens are used up", limit="issued_tokens_ever"
            )

    def use(self, session: WriteSession, customer: OpenCustomer, issued: Issued, now_ms: int) -> None:
        """Marks an alias as used; it goes on being listed for a while."""
        alias = issued.alias.ended(AliasState.USED, now_ms)
        header = issued.header
        self._put(
            session,
            customer,
            issued.value_no,
            header.field_class,
            alias,
            version=header.version + 1,
            removed_from_s=alias.ended_ms // 1000 + KEPT_USED_S,
        )

    def remove(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        issued: Issued,
        state: AliasState,
        now_ms: int,
    ) -> None:
        """Leaves of an alias its end and nothing else; the caller saves the customer."""
        header = issued.header
        self._put(
            session,
            customer,
            issued.value_no,
            header.field_class,
            issued.alias.ended(state, now_ms),
            version=header.version + 1,
            removed=True,
        )
        gone = [
            each
            for each in customer.surrogates
            if (each.value_no, each.domain) == (issued.value_no, TAG_DOMAIN)
        ]
        for line in gone:
            session.surrogate_delete(self._row(session, customer.number, line)[0])
        if gone:
            session.note_index_change(self._book.key(customer.number))
            customer.surrogates = tuple([each for each in customer.surrogates if each not in gone])
        customer.changed = True

    def remove_those_of(
        self, session: WriteSession, customer: OpenCustomer, target: int, now_ms: int
    ) -> None:
        """Removes the aliases of a value that is being deleted; damaged ones stay, and do not open."""
        for value_no in self._numbers(session, customer):
            try:
                issued = self.open(session, customer, value_no)
            except IntegrityFailedError:
                continue
            if issued is not None and issued.alias.target == target:
                self.remove(session, customer, issued, AliasState.TARGET_DELETED, now_ms)

    def end(self, session: WriteSession, entry: TokensEnded, now_ms: int) -> None:
        """Does what an entry of the ledger says; nothing, where it is done or nobody is to be opened."""
        for number, value_no in entry.values:
            try:
                with self._book.open(session, session, CustomerNo(number)) as customer:
                    issued = self.open(session, customer, value_no)
                    if issued is not None and not issued.removed:
                        self._end(session, customer, issued, entry.how, now_ms)
            except (IntegrityFailedError, DataLossError):
                # What cannot be opened now may be readable later: without its record it is not.
                key = value_key(self._region, number, ValueNo(value_no))
                record = session.get(key)
                if record is not None and ValueHeader.unpack(record).alias:
                    session.delete_value(key)
            except VaultError:
                continue  # gone altogether

    def _end(
        self, session: WriteSession, customer: OpenCustomer, issued: Issued, how: AliasState, now_ms: int
    ) -> None:
        if how is not AliasState.USED:
            self.remove(session, customer, issued, how, now_ms)
            self._book.save(session, customer)
        elif issued.alias.state is AliasState.LIVE:
            self.use(session, customer, issued, now_ms)

    def _put(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        value_no: int,
        field_class: int,
        alias: Alias,
        *,
        version: int = 1,
        removed: bool = False,
        removed_from_s: int = 0,
    ) -> None:
        flags = ValueFlag.ALIAS | ValueFlag.DELETED if removed else ValueFlag.ALIAS
        self._book.put_value(
            session,
            customer,
            value_no,
            field_class,
            alias.pack(),
            version=version,
            flags=flags,
            expires_s=removed_from_s,
        )

    def _row(self, session: WriteSession, number: CustomerNo, line: SheetSurrogate) -> tuple[bytes, bytes]:
        return self._index_keys.row(session, line, self._book.value_key(number, line.value_no))


def refuse_alias(reader: WriteSession | Snapshot, key: bytes) -> None:
    """Raises InvalidRequestError where the record at a value key is an alias: it stands for reads only."""
    record = reader.get(key)
    if record is not None and key[6:] != bytes(3) and ValueHeader.unpack(record).alias:
        raise InvalidRequestError(
            "this is an issued token; it reads a value and does nothing else", field="token"
        )


def require_not_ended(alias: Alias, now_ms: int) -> None:
    """Raises the error that says how an alias ended, unless it is live.

    Raises:
        TokenUsedError, TokenRevokedError, ExpiredError, ValueDeletedError.
    """
    match alias.state:
        case AliasState.USED:
            raise TokenUsedError("the token was for one use, and was used")
        case AliasState.REVOKED:
            raise TokenRevokedError("the token was revoked")
        case AliasState.TARGET_DELETED:
            raise ValueDeletedError("the value was deleted")
    if alias.state is AliasState.EXPIRED or alias.expired(now_ms):
        raise ExpiredError("the token's time has passed")


def _is_live(header: ValueHeader) -> bool:
    return header.alias and not header.deleted
