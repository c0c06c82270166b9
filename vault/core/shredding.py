"""Shred: ends customers by destroying their keys.

Rules:
- One lock, one acknowledgement: ledger entry, key rows, index row, tombstone. After the
  acknowledgement no worker can serve the customer, because every read looks at the customer row.
- The salt of the commitment goes to the requester. The vault keeps none; with a request id it is
  made from that id, so that a retry of the same request gets the same one.
- The access log being unwritable does not stop a single shred: its ledger entry stands in. A bulk
  shred is refused then.
- More customers than the policy's threshold take another principal's approval, spent in the same commit.
- A customer whose records are damaged can still be shredded.
- What a legal hold keeps stays: such a shred is accepted, closes the customer, destroys the rest, and is done
  by itself when the hold ends (`erasing`). Until then it has no certificate.
- The certificate is made after the commit, since it proves that the ledger holds the entry. A retry gets
  the newest one. An answer can be without: a reply that would grow too large leaves the last ones out.
"""

import hashlib
import secrets as randomness
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from vault.core.approvals import Approval, covering, spend
from vault.core.certifying import Certifying, Shredded, effective
from vault.core.engine import Engine
from vault.core.erasing import Erasing
from vault.core.erasures import ERASURES, read_erasure
from vault.core.fieldinput import check_limit
from vault.core.holding import held_by_ledger, kept_values
from vault.core.references import external_id_bytes, named_id, require
from vault.core.replay import Part, Request
from vault.core.searchindex import Pair, pairs_of
from vault.core.trail import Trail
from vault.erasure.commitment import commitment
from vault.errors import (
    AlreadyShreddedError,
    BatchAbortedError,
    CustomerUnknownError,
    DataLossError,
    HeldError,
    IntegrityFailedError,
    Reason,
    VaultError,
    error_for,
)
from vault.model.access import Action
from vault.model.controls import ApprovalAct
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Generation
from vault.model.requests import Caller, Certificate, CustomerRef, Erasure, ShredResult
from vault.policy.decision import Grants
from vault.store.entries import EntryType, ErasureWaits, Shred
from vault.store.layout import split_value_key
from vault.store.session import WriteSession
from vault.store.sheet import SheetSurrogate
from vault.store.snapshot import KeyringSnapshot, Snapshot


@dataclass(frozen=True, slots=True)
class _Target:
    """A customer that is about to go."""

    number: CustomerNo
    values: int
    generations: tuple[Generation, ...]
    external_id: bytes | None  # None when the sheet cannot be opened
    locator: bytes | None
    kept: int = 0  # values under a legal hold
    surrogates: tuple[SheetSurrogate, ...] = ()
    searched: Sequence[Pair] = ()


class Shredding:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail, certifying: Certifying) -> None:
        self._engine = engine
        self._effects = engine.effects
        self._trail = trail
        self._erasing = Erasing(engine, trail)
        self._certifying = certifying

    def shred(
        self,
        caller: Caller,
        refs: Sequence[CustomerRef],
        *,
        request_id: str,
        validate_only: bool,
        atomic: bool,
        approval_id: str = "",
    ) -> list[ShredResult]:
        """Shreds customers in one durable commit, or counts what would go.

        Raises:
            DeniedError: the caller may not shred.
            ApprovalRequiredError: there are more than the policy lets one principal shred alone.
            BatchAbortedError: `atomic`, and a customer could not be shredded; none was.
        """
        engine = self._engine
        check_limit("shred_batch", len(refs), engine.settings.limits.shred_batch)
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            grants.require(Action.SHRED)
            if validate_only:
                return [self._preview(snapshot, keys, grants, ref) for ref in refs]
        request = self._request(grants, refs, request_id, atomic)

        def job(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            engine.directory(session).access.principal(caller.principal).require(Action.SHRED)
            approval = self._approved(session, grants, refs, approval_id)
            answers = self._shred_all(session, grants, refs, request, atomic)
            if approval is not None:
                spend(engine, session, approval)
            request.remember(session, answers)
            return answers

        answers = engine.committer.submit(job, erase=True, deadline=caller.deadline_monotonic)
        for answer in answers:
            if "customer" in answer:
                engine.hot.forget(engine.book.key(CustomerNo(answer["customer"])))
        self._go_on(answers)
        return self._results(answers, request)

    def _request(self, grants: Grants, refs: Sequence[CustomerRef], request_id: str, atomic: bool) -> Request:
        body: list[Part] = [bytes([atomic])]
        for ref in refs:
            body += [ref.external_id, (ref.token or "").lower()]
        return self._engine.request(grants.id, request_id, "Shred", body)

    def _approved(
        self, session: WriteSession, grants: Grants, refs: Sequence[CustomerRef], approval_id: str
    ) -> Approval | None:
        """The approval that so many customers at once take; None where they take none."""
        engine = self._engine
        limit = engine.directory(session).access.policy.controls.approvals.shred_customers
        if limit is None or len(refs) <= max(limit, 1):
            return None
        numbers: set[int] = set()
        for ref in refs:
            with suppress(VaultError):  # whom it does not find it does not shred either
                numbers.add(require(engine, grants, session, ref))
        return covering(engine, session, grants, approval_id, ApprovalAct.SHRED, numbers)

    def _preview(
        self, snapshot: Snapshot, keys: KeyringSnapshot, grants: Grants, ref: CustomerRef
    ) -> ShredResult:
        try:
            target = self._target(snapshot, keys, grants, ref)
        except VaultError as error:
            return ShredResult(error=error)
        count = 0 if target.kept else len(target.generations)
        return ShredResult(target.values - target.kept, count, held_values=target.kept)

    def _shred_all(
        self,
        session: WriteSession,
        grants: Grants,
        refs: Sequence[CustomerRef],
        request: Request,
        atomic: bool,
    ) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        targets: list[tuple[int, _Target]] = []
        taken: set[int] = set()
        for position, ref in enumerate(refs):
            finished = self._finished(session, request, position)
            if finished is not None:
                answers.append(finished)
                continue
            try:
                target = self._target(session, session, grants, ref)
                if target.number in taken:
                    raise AlreadyShreddedError("the customer stands twice in this request")
                taken.add(target.number)
                targets.append((position, target))
                answers.append({})
            except VaultError as error:
                if atomic:
                    raise BatchAbortedError(
                        f"customer {position} cannot be shredded: {error}",
                        index=str(position),
                        cause=error.reason,
                    ) from error
                answers.append({"error": error.reason.value})
        self._record(grants, targets)
        for position, target in targets:
            answers[position] = self._shred_one(session, grants, refs[position], position, target, request)
        return answers

    def _finished(self, session: WriteSession, request: Request, position: int) -> dict[str, Any] | None:
        """The answer for a customer whom an earlier try of this request shredded before it died.

        It could not remember its answer, but the ledger had the entry, and recovery did the rest.
        """
        shred_id = request.derived(position)
        if shred_id is None or self._engine.rows.get(session, ERASURES, shred_id) is None:
            return None
        return {"shred_id": shred_id.hex()}

    def _record(self, grants: Grants, targets: list[tuple[int, _Target]]) -> None:
        locators = [target.locator for _, target in targets if target.locator is not None]
        record = self._trail.act if len(targets) > 1 else self._trail.taking
        record(grants, "ShredCustomer", locators=locators, customers=len(targets))

    def _shred_one(
        self,
        session: WriteSession,
        grants: Grants,
        ref: CustomerRef,
        position: int,
        target: _Target,
        request: Request,
    ) -> dict[str, Any]:
        engine = self._engine
        external_id = target.external_id
        if external_id is None:
            external_id = external_id_bytes(ref.external_id) if ref.external_id is not None else b""
        shred_id = request.derived(position) or randomness.token_bytes(16)
        salt = _salt(request, shred_id)
        entry = Shred(
            shred_id=shred_id,
            region=engine.region,
            customer_no=target.number,
            generations=target.generations,
            values=target.values,
            commitment=commitment(external_id, salt),
            principal_id=grants.id,
        )
        if target.kept:
            gone = target.generations if target.kept < target.values else ()
            self._erasing.begin(session, ErasureWaits.of(entry, gone))
        else:
            self._destroy(session, entry, target)
        answer: dict[str, Any] = {"customer": target.number, "shred_id": shred_id.hex()}
        if request.salt_seed is None:
            answer["salt"] = salt.hex()  # not remembered: without a request id nothing is
        return answer

    def _destroy(self, session: WriteSession, entry: Shred, target: _Target) -> None:
        engine, external_id = self._engine, target.external_id
        seq = session.append(entry)
        hashed = engine.index_keys.external_hash(session, external_id) if external_id is not None else None
        surrogates = engine.surrogates.hashes(session, target.number, target.surrogates)
        search = engine.book.search.rows_of(session, session, target.number, target.searched)
        time_ms = session.entry_time_ms(seq)
        self._effects.shred(session, seq, time_ms, entry, hashed, surrogates, search)

    def _go_on(self, answers: Sequence[dict[str, Any]]) -> None:
        """Makes final what no hold keeps; of a damaged customer the keeper tries it again."""
        with self._engine.store.snapshot() as snapshot:
            ids = [bytes.fromhex(each["shred_id"]) for each in answers if "shred_id" in each]
            rows = [read_erasure(self._engine.rows, snapshot, shred_id) for shred_id in ids]
        for row in rows:
            if row.waiting is not None:
                with suppress(DataLossError, IntegrityFailedError):
                    self._erasing.go_on(CustomerNo(row.customer_no))

    def _target(
        self,
        reader: Snapshot | WriteSession,
        keys: KeyringSnapshot | WriteSession,
        grants: Grants,
        ref: CustomerRef,
    ) -> _Target:
        engine = self._engine
        number = require(engine, grants, keys, ref)
        asked = named_id(ref)
        if engine.book.is_shredded(reader, number):
            if asked:
                raise IntegrityFailedError  # a shred takes the index row with it
            raise AlreadyShreddedError("the customer was shredded before")
        generations = tuple(Generation(g) for g in keys.generations(engine.region, number))
        records = [split_value_key(key)[2] for key, _ in reader.scan_customer(engine.region, number)]
        if not records and not generations:
            if ref.token is not None:
                raise DataLossError("a genuine token's customer is missing from the store")
            raise CustomerUnknownError("no such customer")
        try:
            with engine.book.open(reader, keys, number) as customer:
                # Tombstones of deleted values are records, but not values that go.
                values = len(customer.sheet.fields)
                locator = customer.dek.locator(engine.book.key(number))
                found, terms, surrogates = customer.external_id, customer.terms, customer.surrogates
                searched = pairs_of(customer.sheet.fields)
                now_ms = max(engine.now_ms(), reader.meta.time_floor_ms)
                kept = len(kept_values(customer, now_ms))
        except (IntegrityFailedError, DataLossError, CustomerUnknownError):
            self._require_not_held(number)
            values = sum(1 for value_no in records if value_no != CUSTOMER_ROW)
            return _Target(number, values, generations, None, None)
        if asked and asked != found:
            raise IntegrityFailedError  # the index names somebody else
        if terms.erasure_pending:
            raise HeldError("the customer's erasure waits for a legal hold already")
        return _Target(number, values, generations, found, locator, kept, surrogates, searched)

    def _require_not_held(self, number: CustomerNo) -> None:
        """For a customer who cannot be opened: what is held must not be lost by damage to a record."""
        engine = self._engine
        entries = engine.store.ledger(types={EntryType.TERMS_NARROWED})
        if held_by_ledger(entries, engine.region, number, engine.now_ms()):
            raise HeldError("a legal hold is on this customer, whose records are damaged")

    def _results(self, answers: Sequence[dict[str, Any]], request: Request) -> list[ShredResult]:
        """What the answers say, with the certificates that the reply has room for."""
        with self._engine.store.snapshot() as snapshot:
            ids = [bytes.fromhex(answer["shred_id"]) for answer in answers if "shred_id" in answer]
            rows = [read_erasure(self._engine.rows, snapshot, shred_id) for shred_id in ids]
        # Those that wait for a hold last: they have no certificate.
        shreds = sorted(zip(ids, rows, strict=True), key=_waits)
        erasures, certificates = self._told(shreds)
        given = {each[0][0]: each for each in zip_longest(shreds, erasures, certificates)}
        results = []
        for answer in answers:
            if "error" in answer:
                results.append(ShredResult(error=_remembered_error(answer["error"])))
                continue
            (shred_id, row), erasure, certificate = given[bytes.fromhex(answer["shred_id"])]
            salt = bytes.fromhex(answer["salt"]) if "salt" in answer else _salt(request, shred_id)
            gone, count, kept = row.values - row.kept, len(row.generations), row.kept
            results.append(ShredResult(gone, count, salt, erasure, certificate, held_values=kept))
        return results

    def _told(self, shreds: Sequence[Shredded]) -> tuple[list[Erasure], list[Certificate]]:
        """What is said of shreds that are done: they are answered even if no certificate can be made now."""
        limit = self._engine.settings.limits.reply_bytes // 2
        try:
            done = [each for each in shreds if not _waits(each)]
            return self._certifying.erasures(shreds), self._certifying.certificates(done, limit)
        except VaultError:
            # The salt cannot be had again, the certificate can: GetCertificate says what is wrong.
            return [effective(*each) for each in shreds], []


def _salt(request: Request, shred_id: bytes) -> bytes:
    if request.salt_seed is None:
        return randomness.token_bytes(32)
    return hashlib.blake2b(shred_id, digest_size=32, key=request.salt_seed).digest()


def _remembered_error(reason: str) -> VaultError:
    texts = {
        Reason.ALREADY_SHREDDED: "the customer was shredded before",
        Reason.CUSTOMER_UNKNOWN: "no such customer",
        Reason.TOKEN_UNKNOWN: "no such token",
        Reason.HELD: "a legal hold keeps this customer's erasure waiting",
    }
    error_class = error_for(Reason(reason))
    if error_class is IntegrityFailedError:
        return IntegrityFailedError()
    return error_class(texts.get(Reason(reason), "the customer cannot be shredded"))


def _waits(shred: Shredded) -> bool:
    return shred[1].waiting is not None
