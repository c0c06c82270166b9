"""The mirror and the witness of a vault's ledger, as `[ledger]` in its settings names them."""

from pathlib import Path

from vault.config import LedgerSettings
from vault.core.secrets import VaultSecrets
from vault.errors import InvalidRequestError
from vault.store.following import Followers
from vault.store.mirror import Mirror
from vault.store.witnessing import Witnessing
from vault.tlog.notes import VerifierKey
from vault.witness.client import WitnessClient


def followers_of(settings: LedgerSettings, data_dir: Path, secrets: VaultSecrets) -> Followers | None:
    """Mirror and witness, not asked yet; None where neither is configured.

    Raises:
        InvalidRequestError: a setting is not usable; says which.
    """
    if bool(settings.witness) != bool(settings.witness_key):
        raise InvalidRequestError("ledger.witness and ledger.witness_key belong together")
    mirror = Mirror(data_dir, Path(settings.mirror)) if settings.mirror else None
    witnessing = None
    if settings.witness:
        client = WitnessClient(settings.witness, VerifierKey.parse(settings.witness_key))
        witnessing = Witnessing(client, secrets.sign_as)
    return Followers(mirror, witnessing) if mirror or witnessing else None
