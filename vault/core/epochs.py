"""A new epoch: every data key wrapped anew, the old epoch's root key destroyed. It makes erasures final.

    reseal    customers of whom a value was deleted or corrected get a new data key; replaced ones that no
              data backup needs are destroyed (`resealing`)
    begin     ledger: epoch, attempt, root key id; empty keyring and index; then the provider makes the key,
              and every process of the vault gets it
    copy      customers in key order, in pieces: keys unwrapped, checked, wrapped; index hash from the sheet
    verify    every copied row unwrapped again and its key check value compared with the old row's
    follow    customers that the ledger names, or whose numbers were given out, since the last look; again
              until fewer than `LAST_CUSTOMERS` are left
    swap      under the write lock: the last of them, the counts compared, ledger, `CURRENT`
    retire    every process lets go of the old key
    copies    so many copies of the new keyring are verified as `[keys] verified_copies` says
    destroy   the old keyring's files are removed, the provider destroys the root key; the ledger records
              what it says

Rules:
- Copying reads snapshots, a piece at a time; writers neither wait for it nor do anything for its sake.
  What changed meanwhile is known from the ledger (shreds, replaced generations), from the customer numbers
  (new ones), and from the index, which notes whose surrogates or search rows change.
- Before `CURRENT` is renamed, a crash means: give the attempt up, destroy its root key too, begin again.
  After it there is only forward. `resume` finds out which, and whoever runs rotations calls it first.
- Data keys end before the new epoch is announced, so that none of them is ever wrapped in it. Those that are
  kept are carried like those in use. What is deleted after that waits for the next rotation.
- Until the copies are verified, the old root key and keyring stay: with them, the loss of the new keyring's
  only file has not ended every value. Reads and writes go on; `resume` destroys them when it is time.
- Nothing here holds a key in `bytes`: keys go from slot to slot of guarded memory.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from vault.core.engine import Engine
from vault.core.epochhistory import History
from vault.core.finality import LedgerFinality
from vault.core.indexkeys import EXTERNAL_INDEX
from vault.core.resealing import Resealing
from vault.core.rewrapping import Rewrapping, next_customers
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, KeyUnavailableError, OverloadedError
from vault.keys.keyrings import held_alone
from vault.keys.provider import Assurance, Destruction
from vault.model.erasure import MissingCopies
from vault.model.ids import Epoch
from vault.store.entries import (
    EpochAbandoned,
    EpochIntent,
    GenerationReplaced,
    GenerationShredded,
    RootKeyEnded,
    RootKeyEnding,
    Shred,
)
from vault.store.epochs import keyring_path
from vault.store.layout import customer_key
from vault.store.meta import Meta
from vault.store.session import WriteSession
from vault.store.snapshot import KeyringReader, ValuesReader
from vault.store.staging import Changed, NextEpoch, discard_epoch

PIECE: Final = 2_000  # customers copied in one transaction
LAST_CUSTOMERS: Final = 1_000  # as many may be left for the swap, which holds the write lock
_ROUNDS: Final = 50  # of following; a vault that changes faster than it can be followed is not rotated


class Custodian(Protocol):
    """Has the key provider at hand, and hands epoch keys to the processes of the vault."""

    provider: str

    def create(self, epoch: Epoch, root_key_id: str) -> None:
        """Makes the epoch's key. When it returns, every process of the vault holds it, this one too."""

    def retire(self, epoch: Epoch) -> None:
        """Returns when no process of the vault holds the epoch's key any more, this one included."""

    def destroy(self, root_key_id: str, provider: str) -> tuple[Destruction, bool]:
        """Has a root key destroyed where it is, and says whether that provider shows it gone; idempotent."""


@dataclass(slots=True)
class Progress:
    """How far a rotation is; `done` of `total` customers in the step that is running."""

    epoch: Epoch
    step: str
    done: int = 0
    total: int = 0
    started_ms: int = 0


Report = Callable[[Progress], None]


class EpochRotation:
    """Rotates the epoch of one open vault. One process a vault runs it, one rotation at a time.

    Attributes:
        waits_for: copies without which former root keys could not be destroyed when last looked at.
    """

    waits_for: MissingCopies | None

    def __init__(
        self,
        engine: Engine,
        custodian: Custodian,
        *,
        report: Report = lambda _: None,
        after_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._custodian = custodian
        self._report = report
        self._after_step = after_step
        self._finality = LedgerFinality(engine.store)
        self.waits_for = None

    def rotate(self) -> Epoch:
        """Goes through all steps; returns the epoch that is in use now.

        It ends before the last step where copies of the new keyring are wanted first: see `waits_for`.

        Raises:
            KeyUnavailableError: the provider failed. Before the swap nothing has changed; after it, `resume`
                goes on.
            IntegrityFailedError: a key or a count is not what it should be; the old epoch stays in use.
        """
        self.resume()
        engine = self._engine
        epoch = Epoch(engine.store.epoch + 1)
        attempt = self._next_attempt(epoch)
        root_key_id = f"root-{epoch}-{attempt}-{hazmat.random_bytes(4).hex()}"
        progress = Progress(epoch, "reseal", started_ms=engine.now_ms())
        self._reseal(progress)
        progress.step, progress.done, progress.total = "begin", 0, 0
        self._report(progress)
        self._append(EpochIntent(epoch, attempt, root_key_id, self._custodian.provider))
        self._after_step("intent")
        staged = NextEpoch.create(engine.data_dir, epoch)
        try:
            self._after_step("staged")
            self._custodian.create(epoch, root_key_id)
            self._after_step("created")
            _Copy(engine, staged, progress, self._report, self._after_step).run()
        except BaseException:
            staged.close()
            raise
        self._after_step("swapped")
        progress.step, progress.done, progress.total = "retire", 0, 0
        self._report(progress)
        self.resume()
        progress.step = "done" if self.waits_for is None else "copies"
        self._report(progress)
        return epoch

    def _reseal(self, progress: Progress) -> None:
        """Replaces the data keys that open what was deleted or corrected."""

        def report(done: int, total: int) -> None:
            progress.done, progress.total = done, total
            self._report(progress)

        self._report(progress)
        Resealing(self._engine).all_waiting(report, self._after_step)
        self._after_step("resealed")

    def resume(self) -> None:
        """Ends what an earlier rotation left: attempts given up, former epochs not yet destroyed.

        Former epochs are kept as long as copies of the keyring in use are missing: see `waits_for`.

        Raises:
            KeyUnavailableError: the provider cannot be used now; call again later.
        """
        self._engine.committer.settle()  # an entry that a crash left
        history = self._history()
        self.waits_for = None
        for intent in history.intents:
            if intent.root_key_id in history.ended or history.is_current(intent):
                continue
            if history.was_entered(intent):
                self._end(intent, history)
            else:
                self._abandon(intent, history)

    def missing_copies(self) -> MissingCopies | None:
        """Verified copies of the keyring in use that `[keys] verified_copies` wants and nobody has made."""
        wanted = self._engine.settings.keys.verified_copies
        return self._finality.known().rule.missing_copies(wanted) if wanted else None

    def _abandon(self, intent: EpochIntent, history: History) -> None:
        if intent.epoch > self._engine.store.epoch:
            self._custodian.retire(Epoch(intent.epoch))
            discard_epoch(self._engine.data_dir, intent.epoch)
        if (intent.epoch, intent.attempt) not in history.abandoned:
            self._append(EpochAbandoned(intent.epoch, intent.attempt))
        self._after_step("abandoned")
        self._destroy(intent, history)

    def _end(self, former: EpochIntent, history: History) -> None:
        """Lets go of a former epoch everywhere, removes its files, destroys its root key."""
        root = self._engine.data_dir
        self._custodian.retire(Epoch(former.epoch))
        self._after_step("retired")
        if former.root_key_id not in history.ending:
            missing = self.missing_copies()
            if missing is not None:
                self.waits_for = missing
                self._after_step("waiting")
                return
        if keyring_path(root, former.epoch).exists():
            with held_alone(root, Epoch(former.epoch)):
                discard_epoch(root, former.epoch)
        discard_epoch(root, former.epoch)  # the index of one whose keyring was removed before a crash
        self._after_step("removed")
        self._destroy(former, self._history())
        self._after_step("destroyed")

    def _destroy(self, intent: EpochIntent, history: History) -> None:
        root_key_id = intent.root_key_id
        done, gone = self._custodian.destroy(root_key_id, intent.provider)
        assurance, holds_from_ms = done.assurance, done.effective_ms
        if holds_from_ms is None:
            if history.was_entered(intent):
                raise KeyUnavailableError(f"{intent.provider} shows no trace of root key {root_key_id}")
            # Given up, perhaps before the provider had made it: nothing proves that there is none.
            gone, assurance, holds_from_ms = True, Assurance.BEST_EFFORT, self._engine.now_ms()
        if gone:
            said = assurance.value, done.evidence, done.retention, done.backups_ms
            self._append(RootKeyEnded(root_key_id, holds_from_ms, *said), not_before_ms=holds_from_ms)
        elif root_key_id not in history.ending:
            self._append(RootKeyEnding(root_key_id, holds_from_ms))

    def _next_attempt(self, epoch: int) -> int:
        return max([each.attempt for each in self._history().intents if each.epoch == epoch], default=0) + 1

    def _history(self) -> History:
        return History.of(self._engine.store.ledger())

    def _append(
        self, entry: EpochIntent | EpochAbandoned | RootKeyEnding | RootKeyEnded, *, not_before_ms: int = 0
    ) -> None:
        def job(session: WriteSession) -> None:
            # The clock may have been set back since; a confirmation is never dated before what it confirms.
            session.now_ms = max(session.now_ms, not_before_ms)
            session.append(entry)

        self._engine.committer.submit(job, erase=True)


class _Copy:
    """Copies, verifies, follows, swaps."""

    def __init__(
        self,
        engine: Engine,
        staged: NextEpoch,
        progress: Progress,
        report: Report,
        after_step: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._staged = staged
        self._progress = progress
        self._report = report
        self._after_step = after_step
        self._old, self._new = engine.keyrings.at(engine.store.epoch), engine.keyrings.at(staged.epoch)
        self._rewrapping = Rewrapping(engine.book, self._old, self._new)
        # Up to where changes were followed: ledger, customer numbers, commits of `values`.
        self._seen_seq = self._seen_number = self._seen_commit = 0

    def run(self) -> None:
        """Everything up to the swap, the swap included."""
        try:
            self._note_where_it_began()
            self._copy_secrets()
            self._copy_customers()
            self._after_step("copied")
            self._step("index", self._staged.counts()[0])
            self._staged.fill_index(self._engine.region)
            self._verify()
            self._after_step("verified")
            self._follow()
            self._after_step("followed")
            self._step("swap", 0)
            self._engine.committer.submit(self._swap, erase=True, alone=True)
        finally:
            self._rewrapping.free()

    def _note_where_it_began(self) -> None:
        with self._engine.store.snapshot() as snapshot:
            self._see(snapshot.meta)

    def _copy_secrets(self) -> None:
        rows = []
        with self._engine.store.keyring() as keys:
            for name, row in keys.secrets():
                secret = self._old.unwrap_secret(name, row)
                if name == EXTERNAL_INDEX:
                    secret = hazmat.random_bytes(32)  # an index key never outlives its epoch
                    self._rewrapping.use_index_key(secret)
                rows.append((name, self._new.wrap_secret(name, secret)))
                if self._new.unwrap_secret(*rows[-1]) != secret:
                    raise IntegrityFailedError
        self._staged.put_secrets(rows)

    def _copy_customers(self) -> None:
        engine, after = self._engine, 0
        with engine.store.keyring() as keys:
            self._step("copy", keys.count_deks())
        while True:
            with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
                self._require_epoch(keys)
                customers = next_customers(keys, engine.region, after, PIECE)
                changed = [self._rewrapping.carried(snapshot, *each) for each in customers.items()]
            if not customers:
                return
            self._staged.put_deks([row for _, rows, _, _, _ in changed for row in rows])
            self._staged.note_surrogates([row for _, _, _, rows, _ in changed for row in rows])
            self._staged.note_search([row for *_, rows in changed for row in rows])
            hashes = {int.from_bytes(customer[1:], "big"): hashed for customer, _, hashed, _, _ in changed}
            first, after = min(hashes), max(hashes)
            self._staged.note_hashes(first, [hashes.get(number, b"") for number in range(first, after + 1)])
            self._progress.done += sum(len(rows) for _, rows, *_ in changed)
            self._report(self._progress)

    def _verify(self) -> None:
        """Opens every row of the new keyring, and compares it with the old one's key check value."""
        engine, start = self._engine, b""
        self._step("verify", self._staged.counts()[0])
        while rows := self._staged.deks(start, PIECE):
            with engine.store.keyring() as keys:
                self._require_epoch(keys)
                for key, row in rows:
                    self._rewrapping.verify(keys, key, row)
            start = rows[-1][0] + b"\0"
            self._progress.done += len(rows)
            self._report(self._progress)

    def _follow(self) -> None:
        """Brings the copy up to date until little is left."""
        engine = self._engine
        for _ in range(_ROUNDS):
            with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
                self._require_epoch(keys)
                meta = snapshot.meta
                numbers = self._changed_until(keys, meta.applied, meta.next_customer_no)
                self._step("follow", len(numbers))
                if len(numbers) < LAST_CUSTOMERS:
                    return
                changed = self._carried(snapshot, keys, numbers)
            self._staged.replace_customers(changed)
            self._see(meta)
        raise OverloadedError("the vault changes faster than its keys can be copied; try again later")

    def _carried(self, reader: ValuesReader, keys: KeyringReader, numbers: Iterable[int]) -> list[Changed]:
        customers = [customer_key(self._engine.region, number) for number in numbers]
        return [self._rewrapping.carried(reader, each, keys.deks_of(each)) for each in customers]

    def _see(self, meta: Meta) -> None:
        self._seen_seq, self._seen_number = meta.applied, meta.next_customer_no
        self._seen_commit = meta.transaction

    def _changed_until(self, keys: KeyringReader, seq: int, next_number: int) -> list[int]:
        """Customers with other keys, surrogates or search rows than when they were copied, up to a moment.

        The index commits before `values`, so what `keys` shows may be of a commit that is still to be seen:
        it is looked at once more the next time.
        """
        numbers = set(range(self._seen_number, next_number))
        numbers |= {int.from_bytes(customer[1:], "big") for customer in keys.index_changes(self._seen_commit)}
        for entry in self._engine.store.ledger(self._seen_seq):
            if entry.seq > seq:
                break
            match entry.payload:
                case (
                    Shred(customer_no=number)
                    | GenerationReplaced(customer_no=number)
                    | GenerationShredded(customer_no=number)
                ):
                    numbers.add(number)
        return sorted(numbers)

    def _swap(self, session: WriteSession) -> None:
        """Under the write lock: the last customers, the counts, and the new epoch is in use."""
        self._require_epoch(session)
        numbers = self._changed_until(session, 2**64, session.meta.next_customer_no)
        changed = self._carried(session, session, numbers)
        self._staged.replace_customers(changed)
        for key, row in self._staged.deks_of([customer for customer, *_ in changed]):
            self._rewrapping.verify(session, key, row)
        if self._staged.counts() != (session.count_deks(), session.count_index()):
            raise IntegrityFailedError
        # A process may have an environment open only once, and the next session opens this one.
        self._staged.finish()
        session.enter_epoch(self._staged.epoch)

    def _require_epoch(self, keys: KeyringReader) -> None:
        if keys.epoch != self._old.epoch:
            raise IntegrityFailedError

    def _step(self, name: str, total: int) -> None:
        self._progress.step, self._progress.done, self._progress.total = name, 0, total
        self._report(self._progress)
