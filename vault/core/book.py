"""Customers inside a write session: found, opened, changed and written back.

A customer is three things in `values/` (row, sheet, value records) and one in the keyring (DEK).
An `OpenCustomer` holds the row and the sheet while a use case works; `Book.save` writes them back with
a fresh MAC and a fresh seal. The DEK is open in guarded memory only within `Book.open` or
`Book.create`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from vault.core.indexkeys import IndexKeys
from vault.core.opencustomer import LAST_COUNTER, OpenCustomer
from vault.core.records import open_record, seal_record
from vault.core.searchindex import Pair, SearchIndex, pairs_of
from vault.core.secrets import VaultSecrets
from vault.crypto import hazmat
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.errors import (
    CustomerUnknownError,
    DataLossError,
    IntegrityFailedError,
    LimitExceededError,
    ShreddedError,
)
from vault.keys.keyrings import Keyrings
from vault.keys.opendek import DekOpener, OpenDek
from vault.model.consent import ConsentState
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Generation, Region, ValueNo
from vault.store.layout import (
    CustomerRow,
    RowFlag,
    RowState,
    ValueFlag,
    ValueHeader,
    customer_key,
    split_customer_key,
    tombstone,
    value_key,
)
from vault.store.layout import value_no as new_value_no
from vault.store.session import WriteSession
from vault.store.sheet import (
    SHEET_HEADER,
    SURROGATES_FORMAT,
    Sheet,
    SheetField,
    SheetSurrogate,
    external_id_of,
    indexed_part,
    sheet_aad,
)
from vault.store.snapshot import KeyringSnapshot, Snapshot, ValuesReader
from vault.store.terms import terms_digest, with_row_consent

# Stands for a row that is lost or unreadable, when its customer is shredded.
_LOST = CustomerRow(
    state=RowState.ACTIVE,
    dek_generation=0,
    row_version=0,
    next_counter=LAST_COUNTER,
    counter_incarnation=0,
)


class Book:
    """Opens and writes customers of one vault."""

    def __init__(
        self,
        *,
        vault_id: bytes,
        region: Region,
        secrets: VaultSecrets,
        keyrings: Keyrings,
        index_keys: IndexKeys,
        deks: DekOpener,
        suite: int,
        search: SearchIndex,
    ) -> None:
        self.vault_id = self._vault_id = vault_id
        self.region = self._region = region
        self._secrets = secrets
        self._keyrings = keyrings
        self._index_keys = index_keys
        self._deks = deks
        self._suite = suite
        self.search = search

    def lookup(self, index: WriteSession | KeyringSnapshot, external_id: bytes) -> CustomerNo | None:
        """The customer that the index gives for an external id, live or not."""
        return self.lookup_hashed(index, self._index_keys.external_hash(index, external_id))

    def lookup_hashed(self, index: WriteSession | KeyringSnapshot, hashed: bytes) -> CustomerNo | None:
        """As `lookup`, for the hash of an external id that `external_hash` made."""
        found = index.index_lookup(hashed)
        if found is None:
            return None
        region, number = split_customer_key(found)
        if region != self._region:
            raise IntegrityFailedError
        return number

    def external_hash(self, index: WriteSession | KeyringSnapshot, external_id: bytes) -> bytes:
        """The key (16 bytes) of an external id in the index."""
        return self._index_keys.external_hash(index, external_id)

    def row(self, reader: WriteSession | Snapshot, number: CustomerNo) -> CustomerRow | None:
        """A customer's row, not yet verified."""
        raw = reader.get(value_key(self._region, number, CUSTOMER_ROW))
        return None if raw is None else CustomerRow.unpack(raw)

    def live_row(self, reader: WriteSession | Snapshot, number: CustomerNo) -> CustomerRow:
        """The row of a customer that must exist and not be shredded.

        Raises:
            CustomerUnknownError, ShreddedError, IntegrityFailedError.
        """
        row = self.row(reader, number)
        if row is None:
            raise CustomerUnknownError("no such customer")
        if row.state == RowState.SHREDDED:
            self.verify_tombstone(number, row)
            raise ShreddedError("the customer was shredded")
        if row.state not in (RowState.ACTIVE, RowState.RESTRICTED):
            raise IntegrityFailedError
        return row

    @contextmanager
    def open(
        self,
        reader: WriteSession | Snapshot,
        keys: WriteSession | KeyringSnapshot,
        number: CustomerNo,
        external_id: bytes = b"",
    ) -> Iterator[OpenCustomer]:
        """Opens a live customer: key, verified row, sheet.

        `external_id` is what the caller named the customer by, if it did: rows of the index are not
        authenticated, so the sealed sheet has to confirm them.

        Raises:
            CustomerUnknownError, ShreddedError: there is nobody to open.
            DataLossError: the customer's key or sheet is missing.
            IntegrityFailedError: row or sheet fails its authentication, or it is somebody else.
        """
        with self._open_row(reader, keys, number) as (row, dek):
            sheet = self._open_sheet(reader, number, dek)
            if external_id and sheet.external_id != external_id:
                raise IntegrityFailedError
            if row.restrictions != terms_digest(sheet.terms, dek.row_mac):
                raise IntegrityFailedError
            yield OpenCustomer.of(number, row, sheet, dek)

    @contextmanager
    def _open_row(
        self, reader: WriteSession | Snapshot, keys: WriteSession | KeyringSnapshot, number: CustomerNo
    ) -> Iterator[tuple[CustomerRow, OpenDek]]:
        row = self.live_row(reader, number)
        generation = Generation(row.dek_generation)
        dek_row = keys.dek(self._region, number, generation)
        if dek_row is None:
            raise DataLossError("the key of a live customer is missing from the keyring")
        with self._deks.unwrap(dek_row, keys.epoch, self._region, number, generation) as dek:
            self.verify_row(number, row, dek.row_mac)
            yield row, dek

    def close_consent(
        self, session: WriteSession, number: CustomerNo, purpose: int, state: ConsentState
    ) -> None:
        """Ends a consent of a customer whose sheet cannot be opened, in the row alone.

        Raises:
            VaultError: the row cannot be opened either, or is nobody's.
        """
        with self._open_row(session, session, number) as (row, dek):
            closed = replace(row, consents=with_row_consent(row.consents, purpose, state))
            packed = closed.advanced(row.counter_incarnation, row.next_counter)
            key = value_key(self._region, number, CUSTOMER_ROW)
            session.put_value(key, packed + dek.row_mac(self._vault_id + key + packed))

    def admit(
        self,
        session: WriteSession,
        dek: OpenDek,
        external_id: bytes,
        hashed: bytes,
        jurisdiction: str,
        now_ms: int,
    ) -> OpenCustomer:
        """A new customer: number, DEK and index row are written; `save` writes the rest.

        `dek` is a new one, and `hashed` what `external_hash` gives.
        """
        number = CustomerNo(session.next_customer_no())
        generation = dek.generation
        wrapped = self._keyrings.at(session.epoch).wrap_dek(dek.pointer, self._region, number, generation)
        session.put_dek(self._region, number, generation, wrapped)
        session.index_put(hashed, customer_key(self._region, number))
        row = CustomerRow(
            state=RowState.ACTIVE,
            dek_generation=generation,
            row_version=0,
            next_counter=1,
            counter_incarnation=session.meta.incarnation,
            created_ms=now_ms,
            jurisdiction=jurisdiction,
        )
        counter = (row.counter_incarnation, row.next_counter)
        return OpenCustomer(number, row, external_id, {}, (), dek, counter, created=True, changed=True)

    def take_value_no(self, session: WriteSession, customer: OpenCustomer, limit: int) -> ValueNo:
        """The customer's next value number; numbers are never used again.

        Raises:
            LimitExceededError: the customer holds `limit` values, or has used up its numbers.
        """
        held = len(customer.lines)
        if held >= limit:
            raise LimitExceededError(
                f"a customer holds at most {limit} values", limit="fields_per_customer", size=str(held + 1)
            )
        incarnation = session.meta.incarnation
        return new_value_no(incarnation, customer.take_counter(incarnation))

    def put_value(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        value_no: int,
        field_class: int,
        plaintext: bytes,
        *,
        version: int = 1,
        flags: int = 0,
        expires_s: int = 0,
    ) -> None:
        """Seals and writes one value record of a customer; arguments as for `records.seal_record`."""
        key = value_key(self._region, customer.number, ValueNo(value_no))
        record = seal_record(
            customer.dek,
            self._suite,
            self._vault_id + key,
            field_class,
            plaintext,
            version=version,
            flags=flags,
            expires_s=expires_s,
        )
        session.put_value(key, record)

    def rectify(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        entry: SheetField,
        plaintext: bytes,
        fingerprint: bytes,
        digest: bytes = b"",
    ) -> int:
        """Replaces a value; number and token stay. Returns the record's new version.

        `digest` is what a search goes by, empty for a class that is not searchable.
        """
        version = self.version(session, customer.number, entry.value_no) + 1
        self.put_value(session, customer, entry.value_no, entry.field_class, plaintext, version=version)
        customer.put_entry(entry._replace(fingerprint=fingerprint, index_hash=digest))
        return version

    def bury(self, session: WriteSession, customer: OpenCustomer, entry: SheetField) -> None:
        """Turns a value into a tombstone and writes the customer back."""
        version = self.version(session, customer.number, entry.value_no) + 1
        self.put_value(
            session,
            customer,
            entry.value_no,
            entry.field_class,
            b"",
            version=version,
            flags=ValueFlag.DELETED,
        )
        customer.drop_entry(entry.value_no)
        self.save(session, customer)

    def open_value(self, reader: WriteSession | Snapshot, customer: OpenCustomer, value_no: int) -> bytes:
        """A value's plaintext, outside the hot path; empty for a deleted one.

        Raises:
            DataLossError: the record is missing.
            IntegrityFailedError: it fails its authentication.
        """
        key = value_key(self._region, customer.number, ValueNo(value_no))
        record = reader.get(key)
        if record is None:
            raise DataLossError("a value's record is missing from the store")
        return open_record(customer.dek, hazmat.Opener(len(record)), self._vault_id + key, record)

    def version(self, reader: WriteSession | Snapshot, number: CustomerNo, value_no: int) -> int:
        """The version of a value's record.

        Raises:
            DataLossError: the record is missing.
        """
        record = reader.get(value_key(self._region, number, ValueNo(value_no)))
        if record is None:
            raise DataLossError("a value's record is missing from the store")
        return ValueHeader.unpack(record).version

    def key(self, number: CustomerNo) -> bytes:
        """Region and number, 6 bytes: how a customer is named in keys and locators."""
        return customer_key(self._region, number)

    def value_key(self, number: CustomerNo, value_no: int) -> bytes:
        """Key of one of a customer's values, 9 bytes."""
        return value_key(self._region, number, ValueNo(value_no))

    def judge(self, session: WriteSession, number: CustomerNo) -> None:
        """Says, under the write lock, what a customer without a DEK is.

        Raises:
            ShreddedError: a shred was half way through when the caller looked.
            DataLossError: the key is missing although the customer lives.
        """
        row = self.live_row(session, number)
        if session.dek(self._region, number, Generation(row.dek_generation)) is None:
            raise DataLossError("the key of a live customer is missing from the keyring")

    def save(self, session: WriteSession, customer: OpenCustomer) -> None:
        """Writes row and sheet back, and has the index follow the sheet."""
        key = value_key(self._region, customer.number, CUSTOMER_ROW)
        row = customer.row
        if customer.terms or row.restrictions:
            row = replace(
                row,
                flags=RowFlag.SLOW_PATH if customer.terms.bears_on_reads else 0,
                restrictions=terms_digest(customer.terms, customer.dek.row_mac),
            )
        packed = row.advanced(*customer.counter)
        session.put_value(key, packed + customer.dek.row_mac(self._vault_id + key + packed))
        self.save_sheet(session, customer)

    def save_sheet(self, session: WriteSession, customer: OpenCustomer) -> None:
        """Writes the sheet back, freshly sealed."""
        key = customer_key(self._region, customer.number)
        sheet = customer.sheet
        head = SHEET_HEADER.pack(sheet.version, customer.dek.generation)
        aad = sheet_aad(self._vault_id, key, head)
        sealed = hazmat.seal(XCHACHA20_POLY1305, customer.dek.sheet_key, sheet.pack(), aad)
        session.put_sheet(key, head + sealed)
        lines = sheet.fields
        self.search.follow(session, customer.number, customer.before, lines, created=customer.created)
        customer.before = lines

    def searched(self, session: WriteSession, customer: OpenCustomer) -> list[bytes]:
        """The customer's rows of table `search`."""
        pairs = pairs_of(customer.lines.values())
        return self.search.rows_of(session, session, customer.number, pairs)

    def tombstone(self, reader: WriteSession, number: CustomerNo, ledger_seq: int) -> CustomerRow:
        """What a customer row becomes by a shred: nothing of the customer, the ledger's number of it."""
        try:
            row = self.row(reader, number)
        except IntegrityFailedError:
            row = None
        bare = tombstone(row or _LOST, ledger_seq)
        return bare.with_mac(self._secrets.row_mac(self._row_message(number, bare)))

    def is_shredded(self, reader: WriteSession | Snapshot, number: CustomerNo) -> bool:
        """Whether the customer's row is a genuine tombstone; a damaged one is none."""
        try:
            row = self.row(reader, number)
            if row is None or not row.shredded:
                return False
            self.verify_tombstone(number, row)
        except IntegrityFailedError:
            return False
        return True

    def verify_tombstone(self, number: CustomerNo, row: CustomerRow) -> None:
        """Raises IntegrityFailedError unless the tombstone is the vault's own."""
        self.verify_row(number, row, self._secrets.row_mac)

    def verify_row(self, number: CustomerNo, row: CustomerRow, row_mac: Callable[[bytes], bytes]) -> None:
        """Raises IntegrityFailedError unless the row's MAC is the one that `row_mac` makes."""
        if not hazmat.constant_time_equal(row_mac(self._row_message(number, row)), row.mac):
            raise IntegrityFailedError

    def _row_message(self, number: CustomerNo, row: CustomerRow) -> bytes:
        return self._vault_id + value_key(self._region, number, CUSTOMER_ROW) + row.authenticated()

    def indexed(
        self,
        reader: ValuesReader,
        number: CustomerNo,
        sheet_key: hazmat.KeyPointer,
        opener: hazmat.Opener,
    ) -> tuple[bytes, tuple[SheetSurrogate, ...], Sequence[Pair]]:
        """What the index holds of a customer, from its sheet: external id, surrogates, digests to search by.

        Raises:
            DataLossError, IntegrityFailedError: the sheet is missing or damaged.
        """
        version, plaintext = self._open_sheet_with(reader, number, sheet_key, opener)
        if version == SURROGATES_FORMAT:
            sheet = Sheet.unpack(plaintext, version)
            return sheet.external_id, sheet.surrogates, pairs_of(sheet.fields)
        if not self.search.searchable:
            return external_id_of(plaintext), (), ()
        external_id, pairs = indexed_part(plaintext)
        return external_id, (), pairs

    def past_locators(
        self,
        reader: ValuesReader,
        number: CustomerNo,
        sheet_key: hazmat.KeyPointer,
        opener: hazmat.Opener,
    ) -> tuple[bytes, ...]:
        """A customer's names in the access log under earlier generations of its key; raises as `indexed`."""
        version, plaintext = self._open_sheet_with(reader, number, sheet_key, opener)
        return Sheet.unpack(plaintext, version).past_locators

    def _open_sheet(self, reader: ValuesReader, number: CustomerNo, dek: OpenDek) -> Sheet:
        version, plaintext = self._open_sheet_with(reader, number, dek.sheet_key, hazmat.Opener())
        return Sheet.unpack(plaintext, version)

    def _open_sheet_with(
        self,
        reader: ValuesReader,
        number: CustomerNo,
        sheet_key: hazmat.KeyPointer,
        opener: hazmat.Opener,
    ) -> tuple[int, bytes]:
        key = customer_key(self._region, number)
        raw = reader.sheet(key)
        if raw is None:
            raise DataLossError("the sheet of a live customer is missing")
        aad = sheet_aad(self._vault_id, key, raw[:3])
        return raw[0], opener.open(XCHACHA20_POLY1305, sheet_key, raw[3:27], raw[27:], aad)
