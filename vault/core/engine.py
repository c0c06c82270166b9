"""What an open vault holds in one process, put together once and shared by the use cases."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from vault.audit.segments import SegmentWriter
from vault.config import Settings
from vault.core.aliases import Aliases
from vault.core.book import Book
from vault.core.budgets import Budgets
from vault.core.committer import Committer
from vault.core.consents import ConsentLedger
from vault.core.consuming import Consuming
from vault.core.directory import (
    FIELD_CLASS,
    Directory,
    DirectoryReader,
    changed,
    load_directory,
    number_names,
)
from vault.core.effects import Effects
from vault.core.following import followers_of
from vault.core.forgetting import Forgetting
from vault.core.indexkeys import IndexKeys
from vault.core.keyhistory import listed_keys, publish, require_unforked
from vault.core.newcomers import Sealer
from vault.core.newcomers_native import newcomer_sealer
from vault.core.pseudonyms import PseudonymKeys
from vault.core.recovery import Recovery
from vault.core.replay import Part, Request
from vault.core.rows import Rows
from vault.core.searchindex import SearchIndex
from vault.core.searchstate import declare_search
from vault.core.secrets import SecretRows, VaultSecrets
from vault.core.surrogates import Surrogates
from vault.core.trail import Trail
from vault.core.turn import Turn
from vault.crypto import hazmat
from vault.crypto.slots import SlotPool, lockable_bytes
from vault.crypto.suites import suite_named
from vault.errors import KeyUnavailableError
from vault.fields.config import load_field_classes
from vault.fields.field_class import FieldCatalog, FieldClass
from vault.fields.masking import mask
from vault.fields.searching import load_searchable
from vault.hotpath.answering import Answering
from vault.hotpath.dekcache import DekCache
from vault.hotpath.detokenize import HotPath
from vault.hotpath.loop import ReadLoop
from vault.hotpath.native import read_loop
from vault.keys.keyrings import Keyrings
from vault.keys.opendek import SLOT_BYTES, DekOpener
from vault.model.columns import PackedParts
from vault.model.ids import CustomerNo, Epoch, Region
from vault.store.files import BUDGETS, RUN
from vault.store.session import WriteSession
from vault.store.snapshot import Snapshot
from vault.store.store import Store

LEAVE_SECONDS: Final = 30.0
_WRITE_SLOTS_BYTES: Final = 1024 * SLOT_BYTES
_KEPT_FREE_BYTES: Final = 2**20  # of RLIMIT_MEMLOCK, for single allocations


EpochKeys = hazmat.GuardedMemory | Mapping[int, hazmat.GuardedMemory]
"""The EDK of the epoch in use, or EDKs by epoch, that one among them."""


@dataclass(slots=True)
class Engine:
    """The parts of an open vault. Close it with `close`."""

    data_dir: Path
    settings: Settings
    vault_id: bytes
    region: Region
    store: Store
    keyrings: Keyrings
    index_keys: IndexKeys
    secrets: VaultSecrets
    rows: Rows
    book: Book
    surrogates: Surrogates
    aliases: Aliases
    effects: Effects
    consents: ConsentLedger
    deks: DekOpener
    newcomers: Sealer
    write_slots: SlotPool
    catalog: FieldCatalog
    directories: DirectoryReader
    audit: SegmentWriter
    committer: Committer
    turn: Turn
    cache: DekCache
    loop: ReadLoop
    hot: HotPath
    answers: Answering
    pseudonym_keys: PseudonymKeys
    budgets: Budgets
    forgetting: Forgetting
    suite: int
    now_ms: Callable[[], int]
    closing: ExitStack

    def directory(self, reader: Snapshot | WriteSession) -> Directory:
        """Names, principals and policy as of a snapshot or session."""
        version = reader.meta.access_version
        if isinstance(reader, WriteSession) and reader.access_changed:
            # Not kept: if this session is given up, another may use the same version.
            return load_directory(self.rows, reader, version)
        return self.directories.at(reader, version)

    @property
    def audit_directory(self) -> Path:
        """Where the access log stands."""
        configured = self.settings.audit.directory
        return Path(configured) if configured else self.data_dir / "audit"

    def request(
        self,
        principal_id: int,
        request_id: str,
        method: str,
        body: Sequence[Part],
        packed: PackedParts | None = None,
    ) -> Request:
        """One write's request id with the fingerprint of its body, which `packed` may end.

        Raises:
            InvalidRequestError: the id is not a UUID.
        """
        return Request(
            rows=self.rows,
            secrets=self.secrets,
            principal_id=principal_id,
            request_id=request_id,
            method=method,
            body=body,
            now_s=self.now_ms() // 1000,
            hours=self.settings.storage.request_id_hours,
            packed=packed,
        )

    def field_class(self, directory: Directory, number: int) -> FieldClass | None:
        """The declared field class with this number, if configuration still declares it."""
        name = directory.names[FIELD_CLASS].get(number)
        return self.catalog.get(name) if name is not None and name in self.catalog else None

    def take_epoch(self, epoch: Epoch, edk: hazmat.GuardedMemory) -> None:
        """Holds the key of a further epoch, which may come into use from now on.

        Raises:
            KeyUnavailableError: the epoch is being destroyed.
        """
        self.keyrings.add(epoch, edk)

    def leave_epoch(self, epoch: Epoch) -> None:
        """Lets go of an epoch that is not in use any more: zeroes its key, and those of whoever was shredded.

        Raises:
            KeyUnavailableError: a read or write of that epoch does not come to its end.
        """
        self.forgetting.catch_up()
        self.committer.settle()  # the last group of the old epoch is over
        if not self.store.leave_former_epochs(LEAVE_SECONDS):
            raise KeyUnavailableError(f"something still reads epoch {epoch}")
        self.hot.drain()
        self.keyrings.drop(epoch)
        self.index_keys.drop(epoch)

    def close(self) -> None:
        """Ends the commit thread, syncs the access log, zeroes keys."""
        self.closing.close()


def open_engine(data_dir: Path, settings: Settings, edks: EpochKeys, process_name: str) -> Engine:
    """Opens a vault in this process. If that fails, nothing of it stays open and every EDK is freed.

    Raises:
        StorageFormatError: the stores are of another format.
        KeyUnavailableError: the EDK does not open this keyring.
        InvalidRequestError: the configuration is wrong; says where.
        WitnessUnavailableError: the ledger's mirror or witness cannot be used.
        LedgerBehindError: one of them has seen more of the ledger, or another.
    """
    with ExitStack() as opened:
        held = edks if isinstance(edks, Mapping) else {0: edks}
        for edk in held.values():
            opened.callback(edk.free)
        engine = _open_parts(data_dir, settings, held, process_name, opened)
        _declare_field_classes(engine)
        declare_search(engine.store, engine.rows, engine.committer, engine.book.search.searchable.entries)
        _publish_keys(engine)
        engine.budgets.now_ms = lambda: engine.now_ms()
        engine.closing = opened.pop_all()
        return engine


def _open_parts(
    data_dir: Path,
    settings: Settings,
    edks: Mapping[int, hazmat.GuardedMemory],
    process_name: str,
    closing: ExitStack,
) -> Engine:
    """Everything that `Engine` holds; `closing` learns how to close each part, the last one first."""
    hazmat.self_test()
    suite = suite_named(settings.storage.suite).number
    catalog = load_field_classes(settings.fields)
    searchable = load_searchable(settings.search, catalog)
    store = Store.open(
        data_dir,
        low_water_bytes=settings.storage.low_water_bytes,
        reserve_bytes=settings.storage.reserve_bytes,
    )
    closing.callback(store.close)
    keyrings = Keyrings(data_dir, store.vault_id)
    closing.callback(keyrings.close)
    for epoch, edk in edks.items():
        keyrings.add(Epoch(epoch or store.epoch), edk)
    index_keys = IndexKeys(keyrings)
    closing.callback(index_keys.close)
    secrets = VaultSecrets.read(SecretRows(store, keyrings))
    closing.callback(secrets.close)
    store.trust(secrets.public_keys)
    store.sign, store.verify = secrets.sign_as, hazmat.verify
    require_unforked(store, secrets)
    followers = followers_of(settings.ledger, data_dir, secrets)
    if followers is not None:
        store.follow(followers)
    rows = Rows(secrets, store.vault_id)
    write_slots, cache_bytes = SlotPool(SLOT_BYTES, _WRITE_SLOTS_BYTES), _cache_bytes(settings)
    closing.callback(write_slots.close)
    deks = DekOpener(keyrings, write_slots, suite)
    region = Region(store.region)
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
    aliases = Aliases(book, index_keys, region)
    effects = Effects(book=book, rows=rows, aliases=aliases, region=region)
    audit_dir = Path(settings.audit.directory) if settings.audit.directory else data_dir / "audit"
    audit = SegmentWriter(
        audit_dir,
        process_name,
        vault_id=store.vault_id,
        segment_bytes=settings.audit.segment_bytes,
        sync=cast(Literal["interval", "always"], settings.audit.sync),
        sync_interval_ms=settings.audit.sync_interval_ms,
    )
    closing.callback(audit.close)
    turn = Turn()
    recovery = Recovery(book, keyrings, rows, effects, region, settings.storage.request_id_hours)
    committer = Committer(store, recovery, settings.limits.waiting_writes, turn)
    closing.callback(committer.close)
    directories = DirectoryReader(rows, secrets.refresh)
    loop = read_loop(store, suite, region)
    closing.callback(loop.close)
    cache = DekCache(keyrings, cache_bytes, suite, loop.customers)
    masks = _Masks(catalog, directories)
    budgets = Budgets(data_dir / RUN / BUDGETS, Trail(audit))
    closing.callback(budgets.close)
    hot = HotPath(
        store=store,
        codec=secrets.codec,
        cache=cache,
        audit=audit,
        vault_id=store.vault_id,
        access_of=lambda snapshot, meta: directories.at(snapshot, meta.access_version).access,
        judge=_judge(committer, book),
        tombstone_mac=secrets.row_mac,
        mask=masks,
        consume=Consuming(committer, directories, rows, book, aliases, Trail(audit)),
        budgets=budgets,
        loop=loop,
        reply_bytes=settings.limits.reply_bytes,
    )
    closing.callback(hot.close)
    forgetting = Forgetting(store, hot)
    closing.callback(forgetting.close)
    return Engine(
        data_dir=data_dir,
        settings=settings,
        vault_id=store.vault_id,
        region=region,
        store=store,
        keyrings=keyrings,
        index_keys=index_keys,
        secrets=secrets,
        rows=rows,
        book=book,
        surrogates=Surrogates(
            book, index_keys, region, declared=any(each.surrogate is not None for each in catalog)
        ),
        aliases=aliases,
        effects=effects,
        consents=ConsentLedger(book, rows),
        deks=deks,
        newcomers=newcomer_sealer(suite, store.vault_id, region),
        write_slots=write_slots,
        catalog=catalog,
        directories=directories,
        audit=audit,
        committer=committer,
        turn=turn,
        cache=cache,
        loop=loop,
        hot=hot,
        answers=Answering(hot, budgets),
        pseudonym_keys=PseudonymKeys(secrets, store.vault_id),
        budgets=budgets,
        forgetting=forgetting,
        suite=suite,
        now_ms=lambda: time.time_ns() // 1_000_000,
        closing=closing,
    )


def _cache_bytes(settings: Settings) -> int:
    room = lockable_bytes() - _WRITE_SLOTS_BYTES - _KEPT_FREE_BYTES
    return max(min(settings.storage.dek_cache_bytes, room), 2**18)


def _judge(committer: Committer, book: Book) -> Callable[[bytes], None]:
    def judge(customer: bytes) -> None:
        number = CustomerNo(int.from_bytes(customer[1:], "big"))
        committer.submit(lambda session: book.judge(session, number), erase=True)

    return judge


class _Masks:
    """Masks by field class number, for the hot path."""

    def __init__(self, catalog: FieldCatalog, directories: DirectoryReader) -> None:
        self._catalog = catalog
        self._directories = directories
        self._by_number: dict[int, FieldClass] = {}
        self._lock = threading.Lock()

    def __call__(self, number: int, text: str) -> str:
        field_class = self._by_number.get(number)
        if field_class is None:
            newest = self._directories.newest
            name = newest.names[FIELD_CLASS].get(number, "") if newest is not None else ""
            if name not in self._catalog:
                return "•••"  # a class that configuration no longer declares: nothing is known of its form
            with self._lock:
                field_class = self._by_number[number] = self._catalog.get(name)
        return mask(field_class, text)


def _publish_keys(engine: Engine) -> None:
    """Adds keys to `public/keys.json` that the ledger names and a crash has kept out of it."""
    if listed_keys(engine.data_dir) != [each.public_key for each in engine.store.signers()]:
        engine.committer.submit(lambda _: publish(engine.data_dir, engine.vault_id, engine.store.signers()))


def _declare_field_classes(engine: Engine) -> None:
    """Gives numbers to the field classes that configuration declares and the vault has not seen."""
    with engine.store.snapshot() as snapshot:
        held = engine.directory(snapshot).numbers[FIELD_CLASS]
    if all(name in held for name in engine.catalog.names):
        return

    def job(session: WriteSession) -> None:
        held = engine.directory(session).numbers[FIELD_CLASS]
        if number_names(engine.rows, session, held, FIELD_CLASS, list(engine.catalog.names)):
            changed(engine.rows, session)

    engine.committer.submit(job)
