"""The loop in Python: the reference for the compiled one, and what runs where there is no compiler."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from vault.audit.records import MASKED, PLAIN
from vault.crypto.hazmat import Opener, pointer_at
from vault.crypto.suites import SUITES
from vault.hotpath.known import MOST_USES, Known, PortableCustomers
from vault.hotpath.loop import (
    BLOCK_BYTES,
    DENIAL_CODES,
    EXPIRED,
    REPLY_FULL,
    TOKEN_UNKNOWN,
    Found,
    Groups,
    Helper,
)
from vault.policy.reads import Reads
from vault.store.layout import HEADER, HEADER_BYTES, ROW_VALUE_NO, ValueFlag
from vault.store.snapshot import Snapshot

_MOST_ITEMS: Final = 65_535


def _nothing(_key: bytes) -> None:
    """What is read between two batches."""


@dataclass(frozen=True, slots=True)
class PortableFound:
    """`Found`, made piece by piece."""

    texts: Sequence[str]
    outcomes: bytes
    classes: bytes
    groups: Groups
    missed: Sequence[int]
    taken: int

    @property
    def grouped(self) -> bytes:
        """The groups, joined."""
        return self.groups.data

    def __repr__(self) -> str:
        return f"<{len(self.outcomes)} secrets>"


class PortableLoop:
    """`ReadLoop` in Python."""

    def __init__(self, suite: int, vault_id: bytes, region: int) -> None:
        self.customers = PortableCustomers()
        self.lookups = 0
        self._suite = suite
        self._vault_id = vault_id
        self._region = region
        self._nonce_end = HEADER_BYTES + SUITES[suite].nonce_bytes
        self._least = self._nonce_end + SUITES[suite].tag_bytes
        self._opener = Opener()
        self._open_one = self._opener.open_fast(suite)
        self._get: Callable[[bytes], bytes | None] = _nothing

    def begin(self, snapshot: Snapshot) -> bool:
        """As `ReadLoop.begin`; never too late."""
        self._get = snapshot.get
        return True

    def read(
        self, blocks: bytes, domains: Collection[int], reads: Reads, room: int, now_ms: int, helper: Helper
    ) -> Found:
        """As `ReadLoop.read`."""
        get = self._get
        texts, outcomes, classes = list[str](), bytearray(), bytearray()
        groups, heads, missed = bytearray(), list[int](), list[int]()
        count = taken = failed = 0
        current, levels, known = b"", b"", None
        for number, at in enumerate(range(0, len(blocks), BLOCK_BYTES)):
            field_class, text = 0, ""
            region, domain = blocks[at], blocks[at + 1]
            if region != self._region or domain not in domains:
                outcome = TOKEN_UNKNOWN
                missed.append(number)
            else:
                key = blocks[at : at + 1] + blocks[at + 2 : at + 10]
                if key[:6] != current:
                    current, count = key[:6], _MOST_ITEMS
                    failed = self._admitted(current, helper, reads, now_ms)
                    known = self.customers.find(current) if not failed else None
                    if known is not None:
                        levels = known.levels(reads)
                if known is None:
                    outcome = failed
                    missed.append(number)
                else:
                    if count == _MOST_ITEMS:
                        heads.append(len(groups))
                        groups += known.locator + bytes(2)
                        count = 0
                    record = get(key) or b""
                    self.lookups += 1
                    usual = self._usual(known, key, record, levels, now_ms, full=taken >= room)
                    if usual is None:
                        usual = helper.unusual(known, key, levels, full=taken >= room)
                    field_class, outcome, text = usual
                    told = helper.masked(field_class, text) if outcome == MASKED else text
                    taken += len(told.encode())
                    groups += key[6:] + bytes((field_class, outcome))
                    count += 1
                    groups[heads[-1] + 16 : heads[-1] + 18] = count.to_bytes(2, "big")
            texts.append(text)
            outcomes.append(outcome)
            classes.append(field_class)
        return PortableFound(
            texts, bytes(outcomes), bytes(classes), Groups(bytes(groups), heads), missed, taken
        )

    def end(self) -> None:
        """As `ReadLoop.end`."""
        self._get = _nothing
        self._opener.wipe()

    def close(self) -> None:
        """As `ReadLoop.close`."""
        self.end()

    def _admitted(self, customer: bytes, helper: Helper, reads: Reads, now_ms: int) -> int:
        """Makes sure that a customer is known as its row says now: 0, or the code of the reason why not."""
        find = self.customers.find
        self.lookups += 1
        known, row = find(customer), self._get(customer + ROW_VALUE_NO)
        if known is None or known.row != row:
            code = helper.admit(customer)
            known = find(customer)
            if code or known is None:
                return code
        known.uses = min(known.uses + 1, MOST_USES)
        if known.by_terms and (known.serial != reads.serial or 0 < known.until_ms <= now_ms):
            helper.judge(customer)
        return 0

    def _usual(
        self, known: Known, key: bytes, record: bytes, levels: bytes, now_ms: int, *, full: bool
    ) -> tuple[int, int, str] | None:
        """Field class, outcome and text of a record, or None if it is not a usual one."""
        if len(record) < HEADER_BYTES or key[6:] == ROW_VALUE_NO:
            return None
        suite, field_class, flags, _, generation, expires_s = HEADER.unpack_from(record)
        if flags & ValueFlag.ALIAS:
            return None
        outcome = levels[field_class]
        if outcome not in (PLAIN, MASKED):
            return field_class, DENIAL_CODES[outcome], ""
        if full:
            return field_class, REPLY_FULL, ""
        if (
            len(record) < self._least
            or suite != self._suite
            or flags & ~ValueFlag.SURROGATE
            or generation != known.generation
        ):
            return None
        aad = self._vault_id + key + record[:HEADER_BYTES]
        plain = self._open_one(
            pointer_at(known.address), record[HEADER_BYTES : self._nonce_end], record[self._nonce_end :], aad
        )
        if plain is None:
            return None
        if expires_s and expires_s * 1000 <= now_ms:
            return field_class, EXPIRED, ""
        return field_class, outcome, plain.decode()
