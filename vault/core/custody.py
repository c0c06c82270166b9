"""Keeps the keys of a vault that one process alone has open."""

from vault.config import Settings
from vault.core.engine import Engine
from vault.keys.provider import Destruction
from vault.keys.root_keys import describe_root_key, destroy_root_key
from vault.keys.unlock import create_epoch_key
from vault.model.ids import Epoch
from vault.model.secret import Secret


class OwnCustodian:
    """A `Custodian` without other processes to hand keys to."""

    def __init__(self, engine: Engine, settings: Settings, passphrase: Secret | None) -> None:
        self._engine = engine
        self._settings = settings
        self._passphrase = passphrase
        self.provider = settings.keys.provider

    def create(self, epoch: Epoch, root_key_id: str) -> None:
        """Makes the epoch's key in the provider's child, and takes it."""
        engine = self._engine
        edk = create_epoch_key(
            engine.data_dir, self._settings, self._passphrase,
            vault_id=engine.vault_id, epoch=epoch, root_key_id=root_key_id,
        )  # fmt: skip
        engine.take_epoch(epoch, edk)

    def retire(self, epoch: Epoch) -> None:
        """Lets go of it here."""
        self._engine.leave_epoch(epoch)

    def destroy(self, root_key_id: str, provider: str) -> tuple[Destruction, bool]:
        """Destroys, and asks again."""
        where = self._engine.data_dir, self._passphrase
        done = destroy_root_key(*where, provider=provider, root_key_id=root_key_id)
        return done, done.holds(describe_root_key(*where, provider=provider, root_key_id=root_key_id))
