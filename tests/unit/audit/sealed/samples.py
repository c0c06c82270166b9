"""A log that is sealed without a server: workers write, a sealer seals, and a witness may watch."""

from collections.abc import Sequence
from pathlib import Path

from tests.unit.audit.samples import NOW, VAULT_ID
from vault.audit.sealed.checkpoints import audit_key
from vault.audit.sealed.cosigning import Cosigning, Witness
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.publishing import Publisher
from vault.audit.sealed.sealer import Sealer
from vault.crypto import hazmat
from vault.tlog.notes import COSIGNATURE, Signature, VerifierKey
from vault.tlog.witness import AddCheckpoint
from vault.witness.state import WitnessState

SEED = bytes(range(0x80, 0xA0))
KEY = audit_key(VAULT_ID, hazmat.public_key(SEED))


def sign(message: bytes) -> bytes:
    return hazmat.sign(SEED, message)


class LocalWitness:
    """A real witness's state, asked without a network."""

    def __init__(self, directory: Path) -> None:
        self.state = (
            WitnessState.open(directory)
            if (directory / "key").exists()
            else WitnessState.create(directory, "w")
        )
        self.state.lock()
        self.key: VerifierKey = self.state.key
        assert self.key.type == COSIGNATURE

    def add_checkpoint(self, request: AddCheckpoint) -> Signature:
        return self.state.add(request, {KEY.name: [KEY]})

    def close(self) -> None:
        self.state.close()


def publisher(directory: Path, witness: Witness | None = None) -> Publisher:
    cosigning = Cosigning(witness) if witness is not None else None
    return Publisher(TreeFiles(directory / TREE), KEY, sign, cosigning)


def sealer(directory: Path, witness: Witness | None = None) -> Sealer:
    made = Sealer(directory, publisher(directory, witness), [KEY], lambda: NOW)
    made.open()
    return made


def seal(directory: Path, witness: Witness | None = None) -> int:
    """Seals all there is, as a new sealer; returns how many leaves came."""
    one = sealer(directory, witness)
    try:
        return one.seal()
    finally:
        one.close()


def sealed_seqs(directory: Path, worker: str = "") -> list[int]:
    """The seq of every sealed record, in the order of the leaves."""
    found = SealedLog.open(directory).records()
    return [each.record.seq for each in found if each.record and each.place.segment.startswith(worker)]


def entries_of(directory: Path) -> Sequence[bytes]:
    log = SealedLog.open(directory)
    return [log.entry(leaf) for leaf in range(log.size)]
