"""Restore: old data, the current keyring, and everything that the ledger says has happened since.

    stage      the backup's values, a copy of the keyring, an empty index and the ledger, side by side
    reapply    see `reapplying`: one commit, in what is staged
    open       every customer and value that came back; the index is made from their sheets
    compare    what does not open must be exactly what the ledger says was destroyed
    swap       `store.swapping`: from here on there is only forward

Rules:
- Up to the swap nothing of the vault is touched, and a crash means: stage again.
- The ledger is the longest of those at hand, and must hold every other one, the backup's own included, and
  whatever else is known of it. One that is shorter or differs is refused: it would bring back what is gone.
- The mirror in the settings is asked first; the witness as soon as the keyring opens, which has the key that
  it knows the vault by. One that cannot be asked stops the restore.
- The keyring must be of the epoch that the ledger says is in use.
- The caller holds the supervisor's lock.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.config import Settings
from vault.core.backup import CA_FILE, DATA, LEDGER_PATH, ledger_keys
from vault.core.keycopies import KEYRING_KIND, PLANE
from vault.core.keyhistory import KEYS_FILE
from vault.core.offline import open_offline
from vault.core.reapplying import LedgerFacts, Reapplying
from vault.core.restorereport import RestoreReport, report_of
from vault.core.survivors import Survivors, open_survivors
from vault.crypto import hazmat
from vault.errors import (
    IntegrityFailedError,
    InvalidRequestError,
    KeyUnavailableError,
    VaultError,
    WitnessUnavailableError,
)
from vault.keys.unlock import EdkFile, unlock_copy
from vault.model.secret import Secret
from vault.store.bundle import Bundle
from vault.store.copying import PlaneCopy, adopt_values, copy_keyring
from vault.store.entries import EpochCurrent
from vault.store.environment import DATA_FILE
from vault.store.epochs import create_index, keyring_path
from vault.store.files import (
    CURRENT_FILE,
    FORMAT_FILE,
    INDEX,
    KEYRING,
    LEDGER,
    RESTORING_FILE,
    RUN,
    VALUES,
    Format,
    make_directory,
    read_current,
    write_current,
)
from vault.store.hashnotes import HashNotes
from vault.store.inspection import ERROR, inspect
from vault.store.ledger import Ledger
from vault.store.lineage import Known, copy_ledger, head_of, opened_ledger, require_whole
from vault.store.meta import Meta
from vault.store.searchnotes import SearchNotes
from vault.store.snapshot import VALUES_TABLES
from vault.store.staging import fill_new_index
from vault.store.store import Store
from vault.store.surrogatenotes import SurrogateNotes
from vault.store.swapping import begin_staging, begin_swap, discard_staging, finish_swap

_NOTES = "hashes"
_SURROGATES = "surrogates"
_SEARCH = "search"
_LAST_INCARNATION = 255


@dataclass(frozen=True, slots=True)
class Sources:
    """What to restore from. Without `keyring_copy` the vault's own keyring is taken."""

    backup: Path
    keyring_copy: Path | None = None
    ledger: Path | None = None  # a mirror of the ledger, where the vault's own is lost or behind
    known: Sequence[Known] = ()  # what a mirror or witness says of the ledger


class Restore:
    """One restore into a vault's directory, which may be empty but for settings and root keys."""

    def __init__(
        self,
        data_dir: Path,
        settings: Settings,
        sources: Sources,
        *,
        after_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._sources = sources
        self._after_step = after_step
        self._names: list[str] = []

    def stage(self, passphrase: Secret | None) -> RestoreReport:
        """Does everything up to the swap, beside the vault, and tells what the swap will bring.

        Raises:
            InvalidRequestError: ledger, keyring and backup do not fit together; says how.
            IntegrityFailedError: one of them is damaged.
            KeyUnavailableError: the keyring's epoch key cannot be opened.
            WitnessUnavailableError: mirror or witness cannot be asked.
            LedgerBehindError: the witness has seen more of the ledger, or another.
        """
        data_dir = self._data_dir
        if (data_dir / RESTORING_FILE).exists():
            raise InvalidRequestError("an earlier restore was interrupted; finish it first")
        backup = Bundle.read(self._sources.backup, DATA)
        if (data_dir / FORMAT_FILE).exists() and Format.read(data_dir).vault_id != backup.vault_id:
            raise InvalidRequestError("the backup is of another vault than the one in the data directory")
        try:
            return self._stage(backup, begin_staging(data_dir), passphrase)
        except BaseException:
            discard_staging(data_dir)
            raise

    def _stage(self, backup: Bundle, staged: Path, passphrase: Secret | None) -> RestoreReport:
        for name in backup.files:
            backup.copy_file(name, staged / name)
        facts = self._stage_ledger(backup, staged)
        current = self._stage_keyring(backup, staged, facts)
        self._after_step("staged")

        def adopt(meta: Meta) -> None:
            meta.epoch = current.epoch
            # Any number below may have been given out after the copy.
            meta.next_customer_no = meta.reserved_until = max(meta.reserved_until, facts.reserved_until)

        copied = adopt_values(staged / VALUES, backup.vault_id, adopt)
        edk = unlock_copy(
            self._data_dir,
            passphrase,
            vault_id=backup.vault_id,
            keyring_dir=keyring_path(staged, current.epoch),
        )
        with (
            HashNotes(staged.parent / _NOTES) as notes,
            SurrogateNotes(staged.parent / _SURROGATES) as surrogates,
            SearchNotes(staged.parent / _SEARCH) as search,
        ):
            with open_offline(staged, self._settings, edk, staged=True) as vault:
                with vault.store.write("erase") as session:
                    done = Reapplying(vault, session, facts).run()
                self._after_step("reapplied")
                found = open_survivors(vault, notes, surrogates, search)
            fill_new_index(staged, current.epoch, vault.region, notes, (surrogates, search))
        self._after_step("indexed")
        findings = _findings(staged, found)
        self._prepare_swap(staged, current.epoch)
        ledger_seq = facts.last.seq if facts.last is not None else 0
        return report_of(backup.path.name, current.epoch, copied.applied, ledger_seq, done, found, findings)

    def put_in_place(self, report: RestoreReport) -> None:
        """Swaps what was staged for what is there; a crash from here on is finished by `finish_restore`."""
        begin_swap(self._data_dir, self._names, report.as_json())
        self._after_step("marked")
        finish_restore(self._data_dir, self._after_step)

    def discard(self) -> None:
        """Removes what was staged, unless its swap has begun."""
        if not (self._data_dir / RESTORING_FILE).exists():
            discard_staging(self._data_dir)

    def _stage_ledger(self, backup: Bundle, staged: Path) -> LedgerFacts:
        """Puts the ledger that holds all others in place of the backup's."""
        keys = ledger_keys(self._data_dir if (self._data_dir / KEYS_FILE).exists() else backup.path)
        live, given = self._data_dir / LEDGER_PATH, self._sources.ledger
        if given is not None and given.is_dir():
            given = given / LEDGER_PATH if (given / LEDGER_PATH).exists() else given / LEDGER_PATH.name
        at_hand = [each for each in (live, given) if each is not None and each.exists()]
        if not at_hand:
            raise InvalidRequestError(
                "there is no ledger but the backup's own, which knows nothing of what happened after it: "
                "name a newer copy with --ledger, or the backup's own if there is none"
            )
        known = [*self._sources.known, *self._known(backup), *self._known_to_mirror(backup, keys)]
        best, chosen = None, at_hand[0]
        for path in at_hand:
            with opened_ledger(path, backup.vault_id, hazmat.verify, keys) as ledger:
                if best is None or ledger.last.seq > best.seq:
                    best, chosen = head_of(ledger, str(path)), path
                known.append(head_of(ledger, str(path)))
        for bundle in filter(None, (backup, self._keyring_copy(backup))):
            with opened_ledger(bundle.path / LEDGER_PATH, backup.vault_id, hazmat.verify, keys) as ledger:
                known.append(head_of(ledger, str(bundle.path)))
        with opened_ledger(chosen, backup.vault_id, hazmat.verify, keys) as ledger:
            require_whole(ledger, known)
            facts = _facts(ledger)
            (staged / LEDGER_PATH).unlink()
            copy_ledger(chosen, ledger, staged / LEDGER_PATH)
        return facts

    def _known(self, backup: Bundle) -> Iterator[Known]:
        """What the vault's own values know of the ledger, if they can still be read."""
        yield Known(int(backup.facts["applied"]), None, "the backup")
        try:
            with PlaneCopy(self._data_dir / VALUES, VALUES_TABLES) as values:
                yield Known(values.meta(backup.vault_id).applied, None, "the vault's present data")
        except VaultError:
            return  # damaged or gone, which may be the reason for the restore

    def _known_to_mirror(self, backup: Bundle, keys: Sequence[bytes]) -> Iterator[Known]:
        """What the mirror holds that the settings name.

        Raises:
            WitnessUnavailableError: it is not there: its disk may not be mounted, and so nobody knows.
        """
        if not self._settings.ledger.mirror:
            return
        path = Path(self._settings.ledger.mirror) / LEDGER_PATH.name
        if not path.exists():
            raise WitnessUnavailableError("the ledger's mirror is missing in its directory")
        with opened_ledger(path, backup.vault_id, hazmat.verify, keys) as ledger:
            yield head_of(ledger, "the ledger's mirror")

    def _keyring_copy(self, backup: Bundle) -> Bundle | None:
        if self._sources.keyring_copy is None:
            return None
        copy = Bundle.read(self._sources.keyring_copy, KEYRING_KIND)
        if copy.vault_id != backup.vault_id:
            raise InvalidRequestError("the copy of the keyring is another vault's")
        return copy

    def _stage_keyring(self, backup: Bundle, staged: Path, facts: LedgerFacts) -> EdkFile:
        """Copies the keyring of the epoch in use, makes an empty index, and says what opens them."""
        copy = self._keyring_copy(backup)
        current = EdkFile.read(copy.path / PLANE) if copy is not None else self._own_keyring()
        unfinished = copy is None and facts.last is not None and isinstance(facts.last.payload, EpochCurrent)
        if current.epoch != facts.epoch and not (unfinished and current.epoch < facts.epoch):
            raise InvalidRequestError(
                f"the keyring is of epoch {current.epoch}, but by the ledger epoch {facts.epoch} is in use"
            )
        create_index(staged, current.epoch)
        target = keyring_path(staged, current.epoch)
        if copy is not None:
            copy.copy_file(f"{PLANE}/{DATA_FILE}", target / DATA_FILE)
        else:
            copy_keyring(self._data_dir, current.epoch, target)
        current.write(target)
        make_directory(staged / RUN)
        write_current(staged, current.epoch)
        return current

    def _own_keyring(self) -> EdkFile:
        try:
            return EdkFile.read(keyring_path(self._data_dir, read_current(self._data_dir)))
        except (IntegrityFailedError, KeyUnavailableError):
            raise InvalidRequestError(
                "the data directory has no keyring; name a copy of it with --keyring"
            ) from None

    def _prepare_swap(self, staged: Path, epoch: int) -> None:
        """Says what comes into place; `FORMAT` last, which makes it a vault."""
        for lock in staged.rglob("lock.mdb"):
            lock.unlink()
        (keyring_path(staged, epoch) / "LOCK").unlink(missing_ok=True)
        for notes in (_NOTES, _SURROGATES, _SEARCH):
            (staged.parent / notes).unlink()
        public = [str(name) for name in (KEYS_FILE, CA_FILE) if not (self._data_dir / name).exists()]
        self._names = [
            VALUES, f"{KEYRING}/{epoch}", f"{INDEX}/{epoch}", LEDGER, CURRENT_FILE, *public, FORMAT_FILE,
        ]  # fmt: skip
        for name in (RUN, KEYRING, INDEX, "public", "tls", "audit"):
            make_directory(self._data_dir / name)


def finish_restore(
    data_dir: Path, after_step: Callable[[str], None] = lambda _: None
) -> RestoreReport | None:
    """Finishes a restore that was interrupted in its swap; None if there is none."""
    content = finish_swap(data_dir, after_step)
    return RestoreReport.from_json(content) if content is not None else None


def _facts(ledger: Ledger) -> LedgerFacts:
    facts = LedgerFacts.of(ledger.entries())
    if facts.restores >= _LAST_INCARNATION:
        raise InvalidRequestError("the vault was restored too often: value numbers have no room for more")
    return facts


def _findings(staged: Path, found: Survivors) -> list[str]:
    """What the offline check says of the restored stores, without what is known of damaged customers."""
    with _read_only(staged) as store:
        return [
            f"{each.code} {each.detail}"
            for each in inspect(store)
            if each.severity == ERROR and each.customer_no not in found.damaged
        ]


@contextmanager
def _read_only(root: Path) -> Iterator[Store]:
    store = Store.open(root, read_only=True)
    try:
        yield store
    finally:
        store.close()
