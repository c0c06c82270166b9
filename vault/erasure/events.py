"""What the ledger tells about keys, in the order of its entries.

Each event carries the number of its ledger entry (`seq`), which is all the time that the rule of
finality knows; clock times (milliseconds since 1970) are only reported, except where a root key's
end depends on them. Three groups, for three readers:

    about root keys     AttemptBegun, EpochEntered, AttemptAbandoned, DestructionRequested,
                        DestructionConfirmed, Restored, KeyringCopied,
                        KeyringVerified                                      -> `finality.Finality`
    about generations   NumbersReserved, GenerationCreated, GenerationShredded,
                        CustomerShredded                                     -> `spans.Spans`
    about values        ValuesErased, and those about generations            -> `partial.PartialErasures`

Each reader passes over the others' events, so all can be fed the whole ledger.
"""

from dataclasses import dataclass

from vault.model.assurance import Assurance
from vault.model.ids import CustomerNo, Epoch, Generation, Region


@dataclass(frozen=True, slots=True)
class Unit:
    """What becomes final: one generation of one customer's data key."""

    region: Region
    customer_no: CustomerNo
    generation: Generation


@dataclass(frozen=True, slots=True)
class AttemptBegun:
    """A new epoch is about to be made; recorded before its root key is."""

    seq: int
    epoch: Epoch
    attempt: int
    root_key_id: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class EpochEntered:
    """An attempt succeeded: its keyring is in use, and takes in every new key."""

    seq: int
    epoch: Epoch
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptAbandoned:
    """An attempt was given up, and no process can wrap a key in it any more."""

    seq: int
    epoch: Epoch
    attempt: int


@dataclass(frozen=True, slots=True)
class DestructionRequested:
    """The provider was told to destroy a root key, and has said when that will hold."""

    seq: int
    root_key_id: str
    time_ms: int
    holds_from_ms: int


@dataclass(frozen=True, slots=True)
class DestructionConfirmed:
    """The provider was asked at `time_ms`, and said that the root key is gone since `holds_from_ms`.

    Attributes:
        evidence: what the provider gave to show for it, such as the id of a request or a log entry.
        backups_ms: how long copies in the provider's own backups outlive the key; None if nobody can say.
        retention: the same in words, as the provider puts it.
    """

    seq: int
    root_key_id: str
    time_ms: int
    holds_from_ms: int
    assurance: Assurance
    evidence: str
    backups_ms: int | None
    retention: str = ""


@dataclass(frozen=True, slots=True)
class Restored:
    """A copy of a keyring was put in the place of the live one, and the ledger replayed onto it.

    Attributes:
        copied_seq: the last ledger entry when the copy was made; 0 if that is not known.
    """

    seq: int
    epoch: Epoch
    attempt: int
    copied_seq: int


@dataclass(frozen=True, slots=True)
class KeyringCopied:
    """A copy of an epoch's keyring was made. It dies with the epoch's root key, like every other copy."""

    seq: int
    epoch: Epoch
    attempt: int


@dataclass(frozen=True, slots=True)
class KeyringVerified:
    """Every key in a copy of an epoch's keyring was opened; `copied_seq` is the copy's own entry."""

    seq: int
    epoch: Epoch
    attempt: int
    copied_seq: int


KeyEvent = (
    AttemptBegun
    | EpochEntered
    | AttemptAbandoned
    | DestructionRequested
    | DestructionConfirmed
    | Restored
    | KeyringCopied
    | KeyringVerified
)


@dataclass(frozen=True, slots=True)
class NumbersReserved:
    """Customer numbers below `up_to` may be given out from here on."""

    seq: int
    region: Region
    up_to: int


@dataclass(frozen=True, slots=True)
class GenerationCreated:
    """A customer got a further generation of its key, in the place of `former`."""

    seq: int
    unit: Unit
    former: Generation
    time_ms: int


@dataclass(frozen=True, slots=True)
class GenerationShredded:
    """One generation was shredded; the customer lives on under another."""

    seq: int
    unit: Unit
    time_ms: int


@dataclass(frozen=True, slots=True)
class CustomerShredded:
    """All generations of a customer were shredded; `generations` are those that were still wrapped."""

    seq: int
    region: Region
    customer_no: CustomerNo
    time_ms: int
    generations: tuple[Generation, ...] = ()


@dataclass(frozen=True, slots=True)
class ValuesErased:
    """Values were deleted, or their former content corrected; their customers live on.

    Attributes:
        values: customer and value number.
    """

    seq: int
    region: Region
    values: tuple[tuple[CustomerNo, int], ...]
    corrected: bool
    time_ms: int


UnitEvent = NumbersReserved | GenerationCreated | GenerationShredded | CustomerShredded | ValuesErased
