"""The parts of a vault that work on its stores needs: no threads, no caches, no access log."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.config import Settings
from vault.core.aliases import Aliases
from vault.core.book import Book
from vault.core.effects import Effects
from vault.core.following import followers_of
from vault.core.indexkeys import IndexKeys
from vault.core.keyhistory import require_unforked
from vault.core.recovery import Recovery
from vault.core.rows import Rows
from vault.core.searchindex import SearchIndex
from vault.core.secrets import VaultSecrets
from vault.crypto import hazmat
from vault.crypto.hazmat import GuardedMemory
from vault.crypto.slots import SlotPool
from vault.crypto.suites import suite_named
from vault.fields.config import load_field_classes
from vault.fields.searching import load_searchable
from vault.keys.keyrings import Keyrings
from vault.keys.opendek import SLOT_BYTES, DekOpener
from vault.model.ids import Epoch, Region
from vault.store.store import Store

_SLOTS = 16


@dataclass(frozen=True, slots=True)
class Offline:
    """An open vault at rest."""

    store: Store
    region: Region
    keyrings: Keyrings
    index_keys: IndexKeys
    secrets: VaultSecrets
    rows: Rows
    book: Book
    effects: Effects
    recovery: Recovery


@contextmanager
def open_offline(
    root: Path, settings: Settings, edk: GuardedMemory, *, staged: bool = False
) -> Iterator[Offline]:
    """Opens the vault in `root`, which other processes may have open, too; frees `edk` in the end.

    Args:
        root: the vault's directory.
        settings: of the vault.
        edk: key of the epoch in use.
        staged: it is not the vault yet: mirror and witness are asked whether its ledger is whole, and told of
            no further entry before it is opened as the vault.

    Raises:
        StorageFormatError, IntegrityFailedError: the stores cannot be opened.
        KeyUnavailableError: the key does not open this keyring.
        WitnessUnavailableError: the ledger's mirror or witness cannot be used.
        LedgerBehindError: one of them has seen more of the ledger, or another.
    """
    with ExitStack() as opened:
        opened.callback(edk.free)
        store = Store.open(root, low_water_bytes=0)
        opened.callback(store.close)
        keyrings = Keyrings(root, store.vault_id)
        opened.callback(keyrings.close)
        keyrings.add(Epoch(store.epoch), edk)
        index_keys = IndexKeys(keyrings)
        opened.callback(index_keys.close)
        with store.keyring() as keys:
            keyring = keyrings.at(keys.epoch)
            secrets = VaultSecrets({name: keyring.unwrap_secret(name, row) for name, row in keys.secrets()})
        opened.callback(secrets.close)
        store.trust(secrets.public_keys)
        store.sign, store.verify = secrets.sign_as, hazmat.verify
        require_unforked(store, secrets)
        followers = followers_of(settings.ledger, root, secrets)
        if followers is not None:
            store.follow(followers)
            if staged:
                store.unfollow()
        pool = SlotPool(SLOT_BYTES, _SLOTS * SLOT_BYTES, slab_slots=_SLOTS)
        opened.callback(pool.close)
        suite = suite_named(settings.storage.suite).number
        rows, region = Rows(secrets, store.vault_id), Region(store.region)
        searchable = load_searchable(settings.search, load_field_classes(settings.fields))
        book = Book(
            vault_id=store.vault_id,
            region=region,
            secrets=secrets,
            keyrings=keyrings,
            index_keys=index_keys,
            deks=DekOpener(keyrings, pool, suite),
            suite=suite,
            search=SearchIndex(searchable, rows, index_keys, region),
        )
        aliases = Aliases(book, index_keys, region)
        effects = Effects(book=book, rows=rows, aliases=aliases, region=region)
        recovery = Recovery(book, keyrings, rows, effects, region, settings.storage.request_id_hours)
        yield Offline(store, region, keyrings, index_keys, secrets, rows, book, effects, recovery)
