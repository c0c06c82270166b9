"""What the loop leaves alone: missing and damaged records, tombstones, other suites, issued tokens.

A record of another generation than its customer's does not open at all: re-sealing moves all of a customer's
records in the one commit that changes the row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vault.audit.records import MASKED, PLAIN, reason_code
from vault.crypto.hazmat import Opener
from vault.crypto.suites import suite_of_record
from vault.errors import IntegrityFailedError, Reason
from vault.hotpath.admitting import Admission, BatchKeys
from vault.hotpath.dekcache import DekCache
from vault.hotpath.issued import Follower
from vault.hotpath.known import Known
from vault.hotpath.loop import DENIAL_CODES, EXPIRED, REPLY_FULL
from vault.hotpath.situations import judge_terms
from vault.policy.reads import Reads
from vault.store.aliases import Alias
from vault.store.layout import HEADER, ROW_VALUE_NO, ValueFlag
from vault.store.snapshot import Snapshot
from vault.store.store import Store

_INTEGRITY_FAILED: Final = reason_code(Reason.INTEGRITY_FAILED)

Item = tuple[int, int, str]
"""Field class, outcome and text."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What one process opens the unusual with."""

    store: Store
    cache: DekCache
    admission: Admission
    opener: Opener
    vault_id: bytes
    mask: Callable[[int, str], str]


class BatchHelper:
    """`Helper` of one batch."""

    __slots__ = ("_issued", "_keys", "_now_ms", "_reads", "_snapshot", "_tools")

    def __init__(self, tools: Tools, reads: Reads, snapshot: Snapshot, issued: Follower, now_ms: int) -> None:
        self._tools = tools
        self._keys: BatchKeys | None = None
        self._reads = reads
        self._snapshot = snapshot
        self._issued = issued
        self._now_ms = now_ms

    def admit(self, customer: bytes) -> int:
        """As `Helper.admit`."""
        if self._keys is None:
            self._keys = BatchKeys(self._tools.store)
        return self._tools.admission.admit(customer, self._snapshot, self._keys)

    def close(self) -> None:
        """Gives back what was opened for the batch."""
        if self._keys is not None:
            self._keys.close()

    def judge(self, customer: bytes) -> None:
        """As `Helper.judge`."""
        cache = self._tools.cache
        known = cache.find(customer)
        if known is not None:
            judge_terms(known, cache.terms[customer], self._reads, self._now_ms)
            cache.keep(customer, known)

    def unusual(self, known: Known, key: bytes, levels: bytes, *, full: bool) -> Item:
        """As `Helper.unusual`."""
        record = self._snapshot.get(key) or b""
        if key[6:] == ROW_VALUE_NO:  # the token of the customer itself, which holds no value
            return 0, reason_code(Reason.INVALID_REQUEST), ""
        if not record:
            return 0, reason_code(Reason.DATA_LOSS), ""
        if len(record) < HEADER.size:
            return 0, _INTEGRITY_FAILED, ""
        if HEADER.unpack_from(record)[2] & ValueFlag.ALIAS:
            return self._follow(known, key, record, levels, full=full)
        return self._value(known, key, record, levels, full=full)

    def masked(self, field_class: int, text: str) -> str:
        """As `Helper.masked`."""
        return self._tools.mask(field_class, text)

    def _value(self, known: Known, key: bytes, record: bytes, levels: bytes, *, full: bool) -> Item:
        _, field_class, flags, _, _, expires_s = HEADER.unpack_from(record)
        outcome = levels[field_class]
        if outcome not in (PLAIN, MASKED):
            return field_class, DENIAL_CODES[outcome], ""
        if full:
            return field_class, REPLY_FULL, ""
        plain = self._open(known, key, record)
        if plain is None:
            return field_class, _INTEGRITY_FAILED, ""
        if flags & ValueFlag.DELETED:
            return field_class, reason_code(Reason.VALUE_DELETED), ""
        if expires_s and expires_s * 1000 <= self._now_ms:
            return field_class, EXPIRED, ""
        return field_class, outcome, plain.decode()

    def _follow(self, known: Known, key: bytes, record: bytes, levels: bytes, *, full: bool) -> Item:
        """An issued token's item: that of the value it leads to, unless it does not lead there any more."""
        _, field_class, flags, _, _, _ = HEADER.unpack_from(record)
        try:
            alias = Alias.unpack(self._open(known, key, record) or b"")
        except IntegrityFailedError:
            return field_class, _INTEGRITY_FAILED, ""
        refused = self._issued.refusal(key, alias, bool(flags & ValueFlag.DELETED))
        if refused is not None:
            return field_class, reason_code(refused), ""
        target = key[:6] + alias.target.to_bytes(3, "big")
        found = self._snapshot.get(target) or b""
        if len(found) >= HEADER.size and HEADER.unpack_from(found)[2] & ValueFlag.ALIAS:
            return field_class, _INTEGRITY_FAILED, ""  # an alias leads to a value and nowhere else
        field_class, outcome, text = self.unusual(known, target, levels, full=full)
        if outcome in (PLAIN, MASKED):
            self._issued.followed(key, alias)
        return field_class, outcome, text

    def _open(self, known: Known, key: bytes, record: bytes) -> bytes | None:
        """Opens a record of any suite; None where it does not open."""
        tools = self._tools
        try:
            suite = suite_of_record(record[0])
            if HEADER.unpack_from(record)[4] != known.generation:
                return None
            end, aad = HEADER.size + suite.nonce_bytes, tools.vault_id + key + record[: HEADER.size]
            nonce, ciphertext = record[HEADER.size : end], record[end:]
            return tools.cache.open(known, tools.opener, suite.number, nonce, ciphertext, aad)
        except IntegrityFailedError:
            return None
