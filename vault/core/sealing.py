"""The sealed access log of an open vault: who signs it, what is removed from it, and where it lies."""

from pathlib import Path

from vault.audit.sealed.checkpoints import TiledLog, audit_key
from vault.audit.sealed.cosigning import Cosigning
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.publishing import Publisher
from vault.audit.sealed.retention import Truncation, first_held, removable, remove_entries, truncate
from vault.audit.sealed.sealer import Sealer
from vault.config import Settings
from vault.core.engine import Engine
from vault.core.trail import Trail
from vault.tlog.notes import VerifierKey
from vault.witness.client import WitnessClient

_DAY_MS = 86_400_000


def audit_directory(settings: Settings, data_dir: Path) -> Path:
    """Where the segments and the sealed log are."""
    return Path(settings.audit.directory) if settings.audit.directory else data_dir / "audit"


class Sealing:
    """The sealer of one vault, and the retention of what it has sealed. For one thread."""

    def __init__(self, engine: Engine) -> None:
        """Opens nothing yet.

        Raises:
            InvalidRequestError: the witness's address or key is not usable.
        """
        self._engine = engine
        self._trail = Trail(engine.audit)
        self._key = audit_key(engine.vault_id, engine.secrets.public_key)
        self.directory = audit_directory(engine.settings, engine.data_dir)
        ledger = engine.settings.ledger
        cosigning = None
        if ledger.witness and ledger.witness_key:
            client = WitnessClient(ledger.witness, VerifierKey.parse(ledger.witness_key))
            cosigning = Cosigning(client)
        self.files = TreeFiles(self.directory / TREE)
        self._publisher = Publisher(self.files, self._key, engine.secrets.sign, cosigning)
        self.sealer = Sealer(self.directory, self._publisher, [self._key], engine.now_ms)

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
        truncate(
            files, Truncation(self._key.name, first, size, root, now_ms), self._key, self._engine.secrets.sign
        )
        return first - before

    def close(self) -> None:
        """Lets go of the directory and the witness."""
        self.sealer.close()
        self._publisher.close()
