"""The offline check: every invariant of the stores, and with the key every record.

Structure (without keys) comes from `store.inspection` and `audit.check`. With the epoch key each DEK
is unwrapped, each row, sheet, record and consent event is authenticated, and sheets, records and index
are held against each other, and so are consent events and what row and sheet say of them.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vault.audit import check as audit_check
from vault.config import Settings
from vault.core.aliases import Issued
from vault.core.book import Book
from vault.core.consents import ConsentLedger
from vault.core.indexkeys import IndexKeys
from vault.core.keyhistory import listed_keys, require_unforked
from vault.core.opencustomer import OpenCustomer
from vault.core.rows import Rows
from vault.core.searchindex import SearchIndex, pairs_of
from vault.core.secrets import VaultSecrets
from vault.crypto import hazmat
from vault.crypto.hazmat import GuardedMemory
from vault.crypto.slots import SlotPool
from vault.crypto.suites import suite_named
from vault.errors import IntegrityFailedError, KeyUnavailableError, VaultError
from vault.fields.config import load_field_classes
from vault.fields.searching import load_searchable
from vault.keys.keyrings import Keyrings
from vault.keys.opendek import SLOT_BYTES, DekOpener
from vault.model.ids import CustomerNo, Epoch, Region
from vault.store.aliases import Alias
from vault.store.inspection import inspect
from vault.store.layout import CustomerRow, ValueHeader, split_value_key
from vault.store.sheet import TAG_DOMAIN
from vault.store.snapshot import KeyringSnapshot, Snapshot
from vault.store.store import Store

_ADMIN_TABLES = ("names", "principals", "policies", "requests", "erasures", "operations", "search")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the check found. `detail` holds numbers, never personal data."""

    severity: str  # "error" or "note"
    code: str
    plane: str
    detail: str


def check(data_dir: Path, settings: Settings, edk: GuardedMemory | None) -> Iterator[Finding]:
    """Checks a vault that nobody serves. Findings of severity `note` are harmless.

    Raises:
        StorageFormatError, KeyUnavailableError: the vault cannot be opened at all.
    """
    try:
        store = Store.open(data_dir, read_only=True)
    except IntegrityFailedError as error:
        plane = error.details.get("plane") or error.details.get("file") or "stores"
        yield Finding("error", error.reason.value, plane, "too damaged to be opened")
        return
    try:
        public_keys = listed_keys(data_dir)
        if public_keys is None:
            yield Finding("error", "KEYS_DAMAGED", "public", "keys.json is missing or damaged")
            return
        store.trust(public_keys)
        store.verify = hazmat.verify
        for found in inspect(store):
            yield Finding(found.severity, found.code, found.plane, found.detail)
        audit_dir = Path(settings.audit.directory) if settings.audit.directory else data_dir / "audit"
        for problem in audit_check.check(audit_dir):
            severity = "note" if problem.known else "error"
            where = f"{problem.segment} at {problem.offset}"
            yield Finding(severity, "AUDIT", "audit", f"{where}: {problem.problem}")
        if edk is not None:
            yield from _check_records(store, data_dir, settings, edk, public_keys)
    finally:
        store.close()


def _check_records(
    store: Store, data_dir: Path, settings: Settings, edk: GuardedMemory, public_keys: Sequence[bytes]
) -> Iterator[Finding]:
    with ExitStack() as opened:
        snapshot = opened.enter_context(store.snapshot())
        keys = opened.enter_context(store.keyring())
        keyrings = Keyrings(data_dir, store.vault_id)
        opened.callback(keyrings.close)
        keyrings.add(Epoch(keys.epoch), edk)
        keyring = keyrings.at(keys.epoch)
        index_keys = IndexKeys(keyrings)
        opened.callback(index_keys.close)
        secrets = VaultSecrets({name: keyring.unwrap_secret(name, row) for name, row in keys.secrets()})
        opened.callback(secrets.close)
        if secrets.public_key not in public_keys:
            yield Finding(
                "error", "KEY_HISTORY_WRONG", "public", "the vault's public key is not in keys.json"
            )
        try:
            require_unforked(store, secrets)
        except (IntegrityFailedError, KeyUnavailableError):
            yield Finding("error", "LEDGER_FORKED", "ledger", "names other signing keys than the keyring")
        pool = SlotPool(SLOT_BYTES, 16 * SLOT_BYTES, slab_slots=16)
        opened.callback(pool.close)
        suite = suite_named(settings.storage.suite).number
        deks = DekOpener(keyrings, pool, suite)
        region = Region(store.region)
        rows = Rows(secrets, store.vault_id)
        searchable = load_searchable(settings.search, load_field_classes(settings.fields))
        book = Book(
            vault_id=store.vault_id,
            region=region,
            secrets=secrets,
            keyrings=keyrings,
            index_keys=index_keys,
            deks=deks,
            suite=suite,
            search=SearchIndex(searchable, rows, index_keys, region),
        )
        consents = ConsentLedger(book, rows)
        yield from _check_rows(snapshot, rows)
        listed = searched = 0
        for key, raw in snapshot.customers(None):
            number = split_value_key(key)[1]
            try:
                surrogates, rows_found = yield from _check_customer(
                    snapshot, keys, book, consents, index_keys, region, number, CustomerRow.unpack(raw)
                )
                listed += surrogates
                searched += rows_found
            except VaultError as error:
                yield Finding("error", error.reason.value, "values", f"customer {number}: {error}")
        left = keys.count_surrogates() - listed
        if left > 0:
            yield Finding("note", "INDEX_ORPHAN", "index", f"{left} surrogates or tags that no customer has")
        left = keys.count_search() - searched
        if left > 0:
            yield Finding("note", "INDEX_ORPHAN", "index", f"{left} search rows that no customer has")


def _surrogates_missing(
    keys: KeyringSnapshot, index_keys: IndexKeys, book: Book, customer: OpenCustomer
) -> int:
    """How many of a customer's surrogates the index does not lead to their values."""
    return sum(
        keys.surrogate(keyed_hash) != value
        for keyed_hash, value in (
            index_keys.row(keys, each, book.value_key(customer.number, each.value_no))
            for each in customer.surrogates
        )
    )


def _check_rows(snapshot: Snapshot, rows: Rows) -> Iterator[Finding]:
    for table in _ADMIN_TABLES:
        for key, row in snapshot.rows(table):
            try:
                rows.open(table, key, row)
            except VaultError as error:
                yield Finding("error", error.reason.value, "values", f"a row of {table}: {error}")


def _check_customer(
    snapshot: Snapshot,
    keys: KeyringSnapshot,
    book: Book,
    consents: ConsentLedger,
    index_keys: IndexKeys,
    region: Region,
    number: CustomerNo,
    row: CustomerRow,
) -> Generator[Finding, None, tuple[int, int]]:
    """Findings about one customer; returns how many rows of surrogates and of search the index has of it."""
    if row.shredded:
        book.verify_tombstone(number, row)
        return 0, 0
    with book.open(snapshot, keys, number) as customer:
        index = keys.index_lookup(index_keys.external_hash(keys, customer.sheet.external_id))
        if index != book.key(number):
            yield Finding(
                "error", "INDEX_WRONG", "index", f"customer {number}: its external id is not in the index"
            )
        missing = _surrogates_missing(keys, index_keys, book, customer)
        if missing:
            text = f"customer {number}: {missing} surrogates or tags are not in the index"
            yield Finding("error", "INDEX_WRONG", "index", text)
        rows = book.search.rows_of(snapshot, keys, number, pairs_of(customer.sheet.fields))
        found = sum([row in keys.search_rows(row) for row in rows])
        if found < len(rows):
            text = f"customer {number}: {len(rows) - found} search rows are not in the index"
            yield Finding("error", "INDEX_WRONG", "index", text)
        try:
            consents.standings(snapshot, customer)
        except VaultError:
            yield Finding("error", "CONSENTS_WRONG", "values", f"customer {number}: its consent events")
        listed = {entry.value_no for entry in customer.sheet.fields}
        values, issued = frozenset(listed), list[Issued]()
        for key, record in snapshot.scan_customer(region, number):
            value_no = split_value_key(key)[2]
            if value_no == 0:
                continue
            header = ValueHeader.unpack(record)
            plaintext = book.open_value(snapshot, customer, value_no)
            if header.alias:
                issued.append(Issued(value_no, header, Alias.unpack(plaintext)))
                continue
            if header.deleted:
                if value_no in listed:
                    yield Finding(
                        "error", "SHEET_WRONG", "values", f"customer {number}: a deleted value is listed"
                    )
                continue
            if value_no not in listed:
                yield Finding(
                    "error", "SHEET_WRONG", "values", f"customer {number}: value {value_no} is not listed"
                )
            listed.discard(value_no)
        if listed:
            yield Finding(
                "error", "VALUE_LOST", "values", f"customer {number}: {len(listed)} listed values are missing"
            )
        yield from _check_issued(customer, values, issued)
        return len(customer.surrogates) - missing, found


def _check_issued(
    customer: OpenCustomer, values: frozenset[int], issued: Sequence[Issued]
) -> Iterator[Finding]:
    """What is said by aliases and tags, held against the values and against each other."""
    live = {each.value_no for each in issued if not each.removed}
    for each in issued:
        if not each.removed and each.alias.target not in values:
            # After a restore that had to leave a corrected value out, this is as it should be.
            text = f"customer {customer.number}: issued token {each.value_no} leads to no value"
            yield Finding("note", "ALIAS_DANGLING", "values", text)
    if any(each.domain == TAG_DOMAIN and each.value_no not in live for each in customer.surrogates):
        yield Finding(
            "error", "SHEET_WRONG", "values", f"customer {customer.number}: tags of no issued token"
        )
