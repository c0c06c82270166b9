"""How a witness comes to know a vault's later signing keys: from the key that it was given.

    keys/<origin hash>   a line for each announcement that it has followed, see `vault.store.signers`
    request              origin | newline | announcements, a line each, the oldest first

Rules:
- The operator gives the first key. Each further one counts when the ledger's entry that names it is signed
  with a key that the witness knows; a key that nobody announced is never taken, least of all on first sight.
- A key that was followed by another signs no larger ledger and names no other successor: that is a fork.
  So is an announcement within what the witness has cosigned under the key before.
- What is kept needs no secret: it is verified again, from the operator's key, whenever it is read.
- A vault's access log (`…/audit`) is signed with the ledger's key, and announces none. A witness that knows
  both goes over with the ledger. The sizes of the two have nothing in common: the newest key signs any size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.signers import Announcement
from vault.tlog.notes import ED25519, VerifierKey
from vault.tlog.witness import CheckpointRefusedError, Refusal

MAX_ANNOUNCEMENTS: Final = 500
_ORIGIN_START: Final = "customervault/"
_ORIGIN_END: Final = "/ledger"
_ACCESS_LOG_END: Final = "/audit"
_ANY_SIZE: Final = 2**63


@dataclass(frozen=True, slots=True)
class AddKeys:
    """A request: the log of this origin has announced these keys."""

    origin: str
    announcements: tuple[Announcement, ...]

    def encode(self) -> bytes:
        """The body of the HTTP request."""
        return "".join(
            f"{line}\n" for line in (self.origin, *map(Announcement.encode, self.announcements))
        ).encode()

    @classmethod
    def parse(cls, body: bytes) -> "AddKeys":
        """Reads the body of the HTTP request.

        Raises:
            CheckpointRefusedError: it is malformed.
        """
        try:
            origin, *lines, last = body.decode().split("\n")
            if last or len(lines) > MAX_ANNOUNCEMENTS:
                raise CheckpointRefusedError(Refusal.MALFORMED)
            return cls(origin, tuple(map(Announcement.parse, lines)))
        except (ValueError, InvalidRequestError, IntegrityFailedError) as error:
            raise CheckpointRefusedError(Refusal.MALFORMED) from error


class Successors:
    """The keys of one log: those that the operator gave, and those that follow from them."""

    def __init__(self, origin: str, given: Sequence[VerifierKey], kept: Iterable[Announcement] = ()) -> None:
        """Follows what is kept.

        Raises:
            IntegrityFailedError: it does not follow from the keys given.
        """
        self._origin = origin
        self._given = [key.public_key for key in given]
        self._followed_at: dict[bytes, int] = {}
        self.announcements: list[Announcement] = []
        for each in self._unknown(list(kept)):
            try:
                self._follow(each)
            except CheckpointRefusedError as error:
                raise IntegrityFailedError(file="keys") from error

    def keys(self, size: int) -> list[VerifierKey]:
        """The keys that may sign a checkpoint of this size."""
        announced = [each.public_key for each in self.announcements if each.seq <= size]
        known = [*self._given, *announced]
        signing = [key for key in known if self._followed_at.get(key, size + 1) > size]
        return [VerifierKey(self._origin, ED25519, key) for key in signing]

    def add(self, announcements: Sequence[Announcement], cosigned_size: int) -> bool:
        """Follows announcements; returns whether one of them was new.

        Args:
            announcements: of the log, the oldest first; known ones may be among them.
            cosigned_size: of the largest checkpoint that the witness has cosigned.

        Raises:
            CheckpointRefusedError: NOT_SIGNED by a key known, or INCONSISTENT with what is known. Nothing
                was taken then.
        """
        new = [each for each in self._unknown(announcements) if each not in self.announcements]
        before, followed_at = list(self.announcements), dict(self._followed_at)
        try:
            for each in new:
                self._follow(each, cosigned_size)
        except CheckpointRefusedError:
            self.announcements, self._followed_at = before, followed_at
            raise
        return bool(new)

    def _unknown(self, announcements: Sequence[Announcement]) -> Sequence[Announcement]:
        """Those after the last one that names a key which the operator gave."""
        start = 0
        for index, each in enumerate(announcements):
            if each.public_key in self._given:
                start = index + 1
        return announcements[start:]

    def _follow(self, announcement: Announcement, cosigned_size: int = 0) -> None:
        known = [*self._given, *(each.public_key for each in self.announcements)]
        signer = next((key for key in known if self._signed(announcement, key)), None)
        if signer is None:
            raise CheckpointRefusedError(Refusal.NOT_SIGNED)
        if (
            signer in self._followed_at
            or announcement.public_key in known
            or announcement.seq <= cosigned_size
        ):
            raise CheckpointRefusedError(Refusal.INCONSISTENT)
        self._followed_at[signer] = announcement.seq
        self.announcements.append(announcement)

    def _signed(self, announcement: Announcement, key: bytes) -> bool:
        try:
            hazmat.verify(key, announcement.signature, announcement.message(_vault_id(self._origin)))
        except IntegrityFailedError:
            return False
        return True


def ledger_beside(origin: str) -> str | None:
    """The origin of the ledger beside an access log; None if the origin is no access log's."""
    if not origin.endswith(_ACCESS_LOG_END):
        return None
    return origin.removesuffix(_ACCESS_LOG_END) + _ORIGIN_END


def access_log_keys(
    origin: str, given: Sequence[VerifierKey], ledger: str, announcements: Sequence[Announcement]
) -> Sequence[VerifierKey]:
    """The keys that may sign an access log now.

    Args:
        origin: of the access log.
        given: its keys that the operator gave.
        ledger: origin of the same vault's ledger.
        announcements: what the ledger has announced, as far as the witness has followed it.
    """
    try:
        successors = Successors(ledger, given, announcements)
    except IntegrityFailedError:
        return given  # the keys announced follow from others
    return [VerifierKey(origin, ED25519, key.public_key) for key in successors.keys(_ANY_SIZE)]


def _vault_id(origin: str) -> bytes:
    """Of the vault whose ledger has this origin.

    Raises:
        CheckpointRefusedError: it is no vault's.
    """
    middle = origin.removeprefix(_ORIGIN_START).removesuffix(_ORIGIN_END)
    try:
        vault_id = bytes.fromhex(middle)
    except ValueError as error:
        raise CheckpointRefusedError(Refusal.UNKNOWN_LOG) from error
    if origin != f"{_ORIGIN_START}{vault_id.hex()}{_ORIGIN_END}":
        raise CheckpointRefusedError(Refusal.UNKNOWN_LOG)
    return vault_id
