"""Which key signs a ledger, from where on. GENESIS names the first, and the old key each new one.

    announcement   chain before 32 | signature 64 | body      of an entry SIGNING_KEY_CHANGED, see `frames`

Rules:
- The entry that names a key is signed with the key before; all after it are signed with the new one. So
  whoever trusts one key of a ledger can follow to the newest, with the announcements alone.
- Nobody follows from a key that he does not trust, and nobody goes back: a key that was followed by
  another signs nothing any more, another successor least of all.
"""

import base64
import bisect
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.entries import EntryType
from vault.store.frames import HEAD, SIGNATURE_BYTES, Frame, LedgerHead, signed_message
from vault.tlog.merkle import HASH_BYTES, leaf_hash

PUBLIC_KEY_BYTES: Final = 32
LEDGER_FILE: Final = "entries"

Verify = Callable[[bytes, bytes, bytes], None]
"""Public key, signature and message; raises IntegrityFailedError unless they belong together."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """The entry that names a key, and what shows who signed it."""

    before: bytes
    body: bytes
    signature: bytes

    @property
    def seq(self) -> int:
        """Number of the entry."""
        return int(HEAD.unpack_from(self.body)[2])

    @property
    def time_ms(self) -> int:
        """When it was made."""
        return int(HEAD.unpack_from(self.body)[3])

    @property
    def type(self) -> int:
        """GENESIS or SIGNING_KEY_CHANGED."""
        return self.body[1]

    @property
    def since_seq(self) -> int:
        """Number of the first entry that the key signs."""
        return self.seq if self.type == EntryType.GENESIS else self.seq + 1

    @property
    def public_key(self) -> bytes:
        """The key that it names, 32 bytes."""
        return self.body[-PUBLIC_KEY_BYTES:]

    def message(self, vault_id: bytes) -> bytes:
        """What the signature is over."""
        head = LedgerHead(self.seq - 1, self.before, 0).following(self.body, leaf_hash(self.body))
        return signed_message(vault_id, head)

    def encode(self) -> str:
        """As text, in base64."""
        return base64.b64encode(self.before + self.signature + self.body).decode()

    @classmethod
    def parse(cls, text: str) -> "Announcement":
        """Reads such a text; nothing is verified.

        Raises:
            InvalidRequestError: it is not of the form, or announces no key.
        """
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise InvalidRequestError("an announcement of a key is malformed") from error
        signature_at, body_at = HASH_BYTES, HASH_BYTES + SIGNATURE_BYTES
        found = naming(content[:signature_at], content[body_at:], content[signature_at:body_at])
        if found is None or found.type != EntryType.SIGNING_KEY_CHANGED:
            raise InvalidRequestError("an announcement of a key is malformed")
        return found


def naming(before: bytes, body: bytes, signature: bytes) -> Announcement | None:
    """An entry as the announcement of a key; None if it names none.

    Raises:
        IntegrityFailedError: it should name one, and is malformed.
    """
    if len(body) < HEAD.size:
        return None
    _, entry_type, seq, _ = HEAD.unpack_from(body)
    if entry_type == EntryType.GENESIS and seq == 1:
        size = 16 + PUBLIC_KEY_BYTES
    elif entry_type == EntryType.SIGNING_KEY_CHANGED and seq > 1:
        size = PUBLIC_KEY_BYTES
    else:
        return None
    if len(body) != HEAD.size + size:
        raise IntegrityFailedError(file=LEDGER_FILE)
    return Announcement(before, body, signature)


def follow(
    vault_id: bytes, first: bytes, announcements: Iterable[Announcement], verify: Verify
) -> list[bytes]:
    """The keys of a ledger in order: `first`, and those that follow from it.

    Raises:
        IntegrityFailedError: one of them is not announced by the key before it.
    """
    keys, reached = [first], 0
    for each in announcements:
        if each.seq <= reached or each.public_key in keys:
            raise IntegrityFailedError
        verify(keys[-1], each.signature, each.message(vault_id))
        reached = each.seq
        keys.append(each.public_key)
    return keys


class Signers:
    """The keys that a ledger names, as far as it was read."""

    def __init__(self, vault_id: bytes) -> None:
        self._vault_id = vault_id
        self._named: list[Announcement] = []
        self.trusted: Collection[bytes] | None = None
        """Keys known from elsewhere to be the ledger's; None believes the ledger which keys are its own."""

    def copy(self) -> "Signers":
        """The same keys, to go on from independently."""
        twin = Signers(self._vault_id)
        twin._named, twin.trusted = list(self._named), self.trusted
        return twin

    @property
    def named(self) -> Sequence[Announcement]:
        """What names each key, in order."""
        return self._named

    @property
    def newest(self) -> bytes:
        """The key that signs the next entry; empty before any entry names one."""
        return self._named[-1].public_key if self._named else b""

    def take(self, frame: Frame) -> None:
        """Takes the key that an entry names, if it does."""
        named = naming(frame.before.chain, frame.body, frame.signature)
        if named is not None:
            self._named.append(named)

    def cut(self, seq: int) -> None:
        """Forgets what entries from this number on have named."""
        while self._named and self._named[-1].seq >= seq:
            self._named.pop()

    def append(self, before: bytes, body: bytes, sign: Callable[[bytes], bytes]) -> bytes:
        """Takes a new entry, which may name a key; returns its signature, by `sign` of a public key."""
        named = naming(before, body, b"")
        if named is not None and named.type == EntryType.GENESIS:
            signature = sign(named.public_key)
        else:
            signature = sign(self.newest)
        if named is not None:
            self._named.append(Announcement(before, body, signature))
        return signature

    def verify(self, frame: Frame, verify: Verify) -> None:
        """Raises IntegrityFailedError unless the key that is the ledger's at this entry has signed it."""
        index = bisect.bisect_right(self._named, frame.after.seq, key=lambda each: each.since_seq) - 1
        if index < 0 and self.trusted is not None:
            raise IntegrityFailedError(file=LEDGER_FILE)
        self._require_trusted(index, verify)
        public_key = self._named[index].public_key if index >= 0 else b""
        verify(public_key, frame.signature, signed_message(self._vault_id, frame.after))

    def _require_trusted(self, index: int, verify: Verify) -> None:
        """Raises IntegrityFailedError unless a key is trusted, or follows from one that is."""
        while self.trusted is not None and self._named[index].public_key not in self.trusted:
            if index == 0:
                raise IntegrityFailedError(file=LEDGER_FILE)
            named, index = self._named[index], index - 1
            verify(self._named[index].public_key, named.signature, named.message(self._vault_id))
