"""Opens everything that a restore brought back, and notes what the index is to say of it."""

from dataclasses import dataclass, field

from vault.core.consents import ConsentLedger
from vault.core.offline import Offline
from vault.core.opencustomer import OpenCustomer
from vault.core.searchindex import pairs_of
from vault.errors import VaultError
from vault.model.ids import CUSTOMER_ROW, CustomerNo
from vault.store.hashnotes import HashNotes
from vault.store.layout import CustomerRow, ValueHeader, split_value_key
from vault.store.searchnotes import SearchNotes
from vault.store.snapshot import Snapshot
from vault.store.surrogatenotes import SurrogateNotes


@dataclass(slots=True)
class Survivors:
    """What opens, and what does not although its key is there. Customers by number."""

    customers: int = 0
    values: int = 0
    tombstones: int = 0  # of shredded customers
    damaged: list[int] = field(default_factory=list)


def open_survivors(
    vault: Offline, notes: HashNotes, surrogates: SurrogateNotes, search: SearchNotes
) -> Survivors:
    """Opens every customer's row, sheet, values and consent events."""
    found, consents = Survivors(), ConsentLedger(vault.book, vault.rows)
    with vault.store.snapshot() as snapshot, vault.store.keyring() as keys:
        for key, raw in snapshot.customers():
            number = CustomerNo(split_value_key(key)[1])
            try:
                row = CustomerRow.unpack(raw)
                if row.shredded:
                    vault.book.verify_tombstone(number, row)
                    found.tombstones += 1
                    continue
                with vault.book.open(snapshot, keys, number) as customer:
                    hashed = vault.index_keys.external_hash(keys, customer.external_id)
                    notes.note(number, [hashed])
                    surrogates.note(
                        [
                            vault.index_keys.row(keys, each, vault.book.value_key(number, each.value_no))
                            for each in customer.surrogates
                        ]
                    )
                    pairs = pairs_of(customer.sheet.fields)
                    search.note_keys(vault.book.search.rows_of(snapshot, keys, number, pairs))
                    consents.standings(snapshot, customer)
                    found.values += _open_values(vault, snapshot, customer)
                    found.customers += 1
            except VaultError:
                found.damaged.append(number)
    return found


def _open_values(vault: Offline, snapshot: Snapshot, customer: OpenCustomer) -> int:
    """Opens every record of a customer; returns how many are values: no tombstones, no aliases."""
    opened = 0
    for key, record in snapshot.scan_customer(vault.region, customer.number):
        value_no = split_value_key(key)[2]
        if value_no != CUSTOMER_ROW:
            vault.book.open_value(snapshot, customer, value_no)
            header = ValueHeader.unpack(record)
            opened += not (header.deleted or header.alias)
    return opened
