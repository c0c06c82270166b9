"""Opens a batch of tokens.

A batch, in order:
1. All tokens are deciphered in one call. A guess fails the 48-bit check here: no read of the store.
2. One read transaction, begun after the request arrived. Its first read is the meta row, which
   carries epoch and access version: a changed policy or a revoked principal takes effect here.
3. The loop (`loop`) goes through the tokens: it reads and compares each customer's row, which a shred, a
   consent, an objection, a restriction rewrites; looks up the decision; reads and opens the record.
4. The customers count against the principal's budgets; a batch that goes beyond one is refused whole.
5. One audit record, accepted by the kernel before any value is returned. If that fails, none is.
   Where tokens for a single use are among those revealed, their use is written first, and the batch begins
   anew.

Rules:
- Batches of one process run one after the other (`_turn`): slots of the DEK cache need no pins.
- Nothing here writes to the store but through `Consume`, outside the turn, and nothing reads the keyring
  while the cache is warm.
- The associated data of a record is vault id | key | header, so a record moved to another customer,
  field or vault does not open.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, NamedTuple, TypeVar

from vault.audit.records import (
    BREAK_GLASS,
    MASKED,
    PLAIN,
    ReadAction,
    encode_read,
    reason_code,
    reason_of,
    unknown_counts,
)
from vault.audit.segments import SegmentWriter
from vault.crypto.hazmat import Opener
from vault.crypto.tokens import NO_BLOCK, TokenCodec
from vault.errors import DeadlineExceededError, OverloadedError, Reason, VaultError
from vault.hotpath.admitting import Admission, Judge, StaleSnapshotError
from vault.hotpath.batch import Batch, Budgets, Foreign
from vault.hotpath.dekcache import DekCache
from vault.hotpath.issued import Follower, UnusedError
from vault.hotpath.loop import BLOCK_BYTES, Found, ReadLoop
from vault.hotpath.unusual import BatchHelper, Tools
from vault.model.access import Denial, Reveal
from vault.model.consent import LawfulBasis
from vault.model.requests import Caller, Revealed
from vault.policy.decision import AccessTable
from vault.policy.reads import Reads
from vault.store.meta import Meta
from vault.store.snapshot import Snapshot
from vault.store.store import Store

_ATTEMPTS: Final = 4
_MOMENTS: Final = 100  # commits that may come between two steps before a batch gives up
_GRANTED: Final = bytes((PLAIN, MASKED))

AccessOf = Callable[[Snapshot, Meta], AccessTable]
"""The decisions as of a snapshot, whose meta row is at hand."""
Masks = Callable[[int, str], str]
Consume = Callable[[Caller, frozenset[bytes]], frozenset[bytes]]
"""Writes down the use of aliases (value keys, 9 bytes); returns those whose use is durably the caller's."""
Answer = TypeVar("Answer")


class _OtherTokenKeysError(Exception):
    """The token keys were changed after the tokens were deciphered: do it again."""


class HotPath:
    """Detokenizes for one process."""

    def __init__(
        self,
        *,
        store: Store,
        codec: TokenCodec,
        cache: DekCache,
        audit: SegmentWriter,
        vault_id: bytes,
        access_of: AccessOf,
        judge: Judge,
        tombstone_mac: Callable[[bytes], bytes],
        mask: Masks,
        consume: Consume,
        budgets: Budgets,
        loop: ReadLoop,
        reply_bytes: int,
    ) -> None:
        self._store = store
        self._codec = codec
        self._cache = cache
        self._audit = audit
        self._access_of = access_of
        self._mask = mask
        self._consume = consume
        self._budgets = budgets
        self.reply_bytes = reply_bytes
        self._loop = loop
        opener = Opener()
        admission = Admission(cache, opener, vault_id, judge, tombstone_mac)
        self._tools = Tools(store, cache, admission, opener, vault_id, mask)
        self._turn = threading.Lock()
        self._moment = _Moment(store, loop)

    def detokenize(
        self,
        caller: Caller,
        tokens: Sequence[str],
        purpose: str,
        wanted: Reveal,
        action: ReadAction = ReadAction.DETOKENIZE,
        basis: LawfulBasis | None = None,
        foreign: Foreign | None = None,
    ) -> Revealed:
        """Opens tokens for a purpose; values come back in their order, denials with their index.

        `foreign` finds what texts stand for that are no tokens. Without a `basis` the read stands on the
        purpose's first one in each customer's jurisdiction.

        Raises:
            UnauthenticatedError: the principal is not registered.
            SuspendedError: the principal is revoked.
            AuditUnavailableError: the access could not be recorded; nothing is revealed.
            BudgetExceededError: the batch goes beyond a budget of the principal; nothing is revealed.
            OverloadedError: keys or single-use tokens of the batch change too fast.
            DeadlineExceededError: the caller's deadline passed before its turn.
        """
        return self.in_turn(
            caller,
            tokens,
            foreign,
            lambda batch: self._detokenize(batch, purpose, wanted, basis, action),
            uses=True,
        )

    def in_turn(
        self,
        caller: Caller,
        tokens: Sequence[str],
        foreign: Foreign | None,
        work: Callable[[Batch], Answer],
        *,
        uses: bool = False,
    ) -> Answer:
        """What `work` makes of tokens, deciphered, when it is this batch's turn; it may be called again.

        With `uses`, tokens for a single use are followed, and `work` has to call `Follower.require_used`
        before anything is recorded or told. Without, they are refused and stay as they are.

        Raises:
            OverloadedError, DeadlineExceededError: as `detokenize`.
        """
        used: frozenset[bytes] | None = frozenset() if uses else None
        for _ in range(_ATTEMPTS):
            mark, blocks = self._codec.mark, self._codec.decipher_batch(tokens, foreign)
            known = foreign.reasons if foreign is not None else {}
            try:
                return self._turned(caller, tokens, (mark, blocks), known, used, work)
            except _OtherTokenKeysError:
                continue
            except UnusedError as unused:
                keys = unused.keys
            used = (used or frozenset()) | self._consume(caller, keys)
        raise OverloadedError("tokens of this batch are being used elsewhere")

    def forget(self, customer: bytes) -> None:
        """Zeroes the cached DEK of a customer (6 bytes), as after a shred elsewhere."""
        with self._turn:
            self._cache.evict(customer)

    def drain(self) -> None:
        """Returns when the batches that had begun are done."""
        with self._turn:
            return

    def close(self) -> None:
        """Zeroes the cache."""
        with self._turn:
            self._cache.close()

    def _turned(
        self,
        caller: Caller,
        tokens: Sequence[str],
        deciphered: tuple[object, bytes],
        known: Mapping[int, Reason],
        used: frozenset[bytes] | None,
        work: Callable[[Batch], Answer],
    ) -> Answer:
        mark, blocks = deciphered
        with self._turn:
            if caller.deadline_monotonic is not None and time.monotonic() > caller.deadline_monotonic:
                raise DeadlineExceededError("the deadline passed before the read began")
            for _ in range(_ATTEMPTS):
                with self._moment as snapshot:
                    meta = snapshot.meta
                    grants = self._access_of(snapshot, meta).principal(caller.principal)
                    if self._codec.mark is not mark:
                        raise _OtherTokenKeysError
                    now_ms = max(time.time_ns() // 1_000_000, meta.time_floor_ms)
                    issued = Follower(grants.id, grants.domains, now_ms, used)
                    try:
                        return work(Batch(grants, tokens, blocks, known, now_ms, snapshot, issued))
                    except StaleSnapshotError:
                        continue
            raise OverloadedError("the keys of these customers change too fast to be read")

    def _detokenize(
        self, batch: Batch, purpose: str, wanted: Reveal, basis: LawfulBasis | None, action: ReadAction
    ) -> Revealed:
        grants = batch.grants
        reads = grants.reads(purpose, wanted, basis, batch.now_ms)
        opened = self.open(batch, None, reads, self.reply_bytes)
        if grants.budgets:
            groups = opened.found.groups
            self._budgets.charge(grants, purpose, groups.locators(), groups)
        batch.issued.require_used()
        missed = opened.missed_codes() if opened.found.missed else ()
        self.record(batch, purpose, basis, action, opened.found.grouped, missed)
        return self._revealed(opened)

    def record(
        self,
        batch: Batch,
        purpose: str,
        basis: LawfulBasis | None,
        action: ReadAction,
        groups: bytes,
        missed: Sequence[int],
    ) -> None:
        """Writes the access record of a batch.

        `groups` are joined; `missed` are codes of the reasons of tokens without a customer.
        """
        grants = batch.grants
        self._audit.append(
            encode_read(
                self._audit.next_seq(),
                time.time_ns() // 1_000_000,
                grants.id,
                action | BREAK_GLASS if grants.breaks_glass(purpose) else action,
                grants.purpose_id(purpose),
                groups,
                _unknown(missed) if missed else b"",
                basis,
            )
        )

    def open(self, batch: Batch, indexes: Sequence[int] | None, reads: Reads, room: int) -> "Opened":
        """Opens what `reads` lets be opened, of all tokens of a batch or of those with these indexes.

        Values that are to be masked come back as they are.

        Args:
            batch: of which they are.
            indexes: ascending; None for all.
            reads: the decisions.
            room: bytes that the values may take.
        """
        blocks = batch.blocks
        if indexes is not None and len(indexes) < len(batch.tokens):
            blocks = b"".join([blocks[BLOCK_BYTES * at : BLOCK_BYTES * (at + 1)] for at in indexes])
        helper = BatchHelper(self._tools, reads, batch.snapshot, batch.issued, batch.now_ms)
        try:
            found = self._loop.read(blocks, batch.grants.domains, reads, room, batch.now_ms, helper)
        finally:
            helper.close()
        outcomes = found.outcomes
        if found.missed:
            told = bytearray(outcomes)
            for at in found.missed:
                if blocks[BLOCK_BYTES * at : BLOCK_BYTES * (at + 1)] == NO_BLOCK:
                    index = at if indexes is None else indexes[at]
                    told[at] = self._undeciphered(index, batch.tokens[index], batch.known)
            outcomes = bytes(told)
        return Opened(found, outcomes)

    def _undeciphered(self, index: int, token: str, known: Mapping[int, Reason]) -> int:
        if index in known:
            return reason_code(known[index])
        try:
            self._codec.decode(token)
        except VaultError as error:
            return reason_code(error.reason)
        return reason_code(Reason.INTERNAL)

    def _revealed(self, opened: "Opened") -> Revealed:
        """The answer, in the order of the tokens."""
        found, outcomes = opened.found, opened.outcomes
        texts = found.texts
        if MASKED in outcomes:
            texts = [
                self._mask(found.classes[at], text) if outcomes[at] == MASKED else text
                for at, text in enumerate(texts)
            ]
        if not outcomes.translate(None, _GRANTED):
            return Revealed(texts, outcomes, [])
        denials = [
            Denial(index, told_of(code)) for index, code in enumerate(outcomes) if code not in _GRANTED
        ]
        return Revealed(texts, bytes(code if code in _GRANTED else 0 for code in outcomes), denials)


class _Moment:
    """A snapshot, and the loop begun at the same one. A context that is entered again and again."""

    __slots__ = ("_loop", "_snapshot", "_store")

    def __init__(self, store: Store, loop: ReadLoop) -> None:
        self._store = store
        self._loop = loop

    def __enter__(self) -> Snapshot:
        for _ in range(_MOMENTS):
            self._snapshot = self._store.snapshot().__enter__()
            try:
                if self._loop.begin(self._snapshot):
                    return self._snapshot
            except BaseException:
                self._snapshot.__exit__(None, None, None)
                raise
            self._snapshot.__exit__(None, None, None)
        raise OverloadedError("the store changes too fast to be read")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.end()
        self._snapshot.__exit__(kind, error, trace)


class Opened(NamedTuple):
    """What was opened; `outcomes` are those of `found`, and why tokens were none."""

    found: Found
    outcomes: bytes

    def missed_codes(self) -> list[int]:
        """Reason codes of the tokens without a customer."""
        return [self.outcomes[at] for at in self.found.missed] if self.found.missed else []


def _unknown(codes: Sequence[int]) -> bytes:
    """Denials without a customer's name, as in the access record."""
    return unknown_counts({_reason(code): count for code, count in Counter(codes).items()})


def _reason(code: int) -> Reason:
    return reason_of(code) or Reason.INTERNAL


def told_of(code: int) -> Reason:
    """What a caller is told: that a token is bound to somebody else is for the access log."""
    reason = _reason(code)
    return Reason.TOKEN_UNKNOWN if reason is Reason.TOKEN_BOUND else reason
