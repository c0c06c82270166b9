"""The sealed access log of an open vault: who signs it, and what is removed from it.

The key that signs the ledger signs it, too; what former keys have signed stays valid. The ledger says which
keys those are. When it names another, whoever seals begins again with a new `Sealing`.
"""

from collections.abc import Callable
from functools import partial

from vault.audit.sealed.checkpoints import TiledLog, audit_key
from vault.audit.sealed.cosigning import Cosigning
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.publishing import Publisher
from vault.audit.sealed.retention import Truncation, first_held, removable, remove_entries, truncate
from vault.audit.sealed.sealer import Sealer
from vault.core.engine import Engine
from vault.core.trail import Trail
from vault.tlog.notes import VerifierKey
from vault.witness.client import WitnessClient

_DAY_MS = 86_400_000


def audit_keys(engine: Engine) -> list[VerifierKey]:
    """Every key that has signed or signs the vault's access log, the newest last.

    Raises:
        IntegrityFailedError: the ledger is damaged.
    """
    return [audit_key(engine.vault_id, each.public_key) for each in engine.store.signers()]


class Sealing:
    """The sealer of one vault, and the retention of what it has sealed. For one thread."""

    def __init__(self, engine: Engine, pace: Callable[[], None] = at_once) -> None:
        """Opens nothing yet; the sealer calls `pace` between small pieces of its work.

        Raises:
            InvalidRequestError: the witness's address or key is not usable.
            IntegrityFailedError: the ledger is damaged.
        """
        self._engine = engine
        self._trail = Trail(engine.audit)
        keys = audit_keys(engine)
        self._key = keys[-1]
        self._sign = partial(engine.secrets.sign_as, self._key.public_key)
        self.directory = engine.audit_directory
        ledger = engine.settings.ledger
        cosigning = None
        if ledger.witness and ledger.witness_key:
            client = WitnessClient(ledger.witness, VerifierKey.parse(ledger.witness_key))
            cosigning = Cosigning(client)
        self.files = TreeFiles(self.directory / TREE)
        self._publisher = Publisher(self.files, self._key, self._sign, cosigning)
        self.sealer = Sealer(self.directory, self._publisher, keys, engine.now_ms, pace)

    @property
    def is_current(self) -> bool:
        """Whether the key that it signs with still is the vault's.

        Raises:
            IntegrityFailedError: the ledger is damaged.
        """
        return audit_keys(self._engine)[-1] == self._key

    def remove_old(self) -> int:
        """Removes sealed entries older than the settings say; returns how many leaves that were.

        Raises:
            AuditUnavailableError: the act cannot be recorded: then nothing is removed.
            OSError: the disk refuses; the next call finishes.
        """
        days, files, size = self._engine.settings.audit.retain_days, self.files, self.sealer.state.size
        before = first_held(files.root)
        remove_entries(files, before)  # what a crash left of the last time
        if not days:
            return 0
        now_ms = self._engine.now_ms()
        first = removable(files, size, now_ms - days * _DAY_MS)
        if first <= before:
            return 0
        self._trail.local("RemoveAuditEntries", first_held=first, removed=first - before, retain_days=days)
        root = TiledLog(files, size).root()
        truncate(files, Truncation(self._key.name, first, size, root, now_ms), self._key, self._sign)
        return first - before

    def close(self) -> None:
        """Lets go of the directory and the witness."""
        self.sealer.close()
        self._publisher.close()
