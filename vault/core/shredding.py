"""Shred: ends customers by destroying their keys.

Rules:
- One lock, one acknowledgement: ledger entry, key rows, index row, tombstone. After the
  acknowledgement no worker can serve the customer, because every read looks at the customer row.
- The salt of the commitment goes to the requester. The vault keeps none; with a request id it is
  made from that id, so that a retry of the same request gets the same one.
- The access log being unwritable does not stop a single shred: its ledger entry stands in. A bulk
  shred is refused then.
- A customer whose records are damaged can still be shredded.
- The certificate is made after the commit, since it proves that the ledger holds the entry. A retry gets
  the newest one. An answer can be without: a reply that would grow too large leaves the last ones out.
"""

import hashlib
import secrets as randomness
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

from vault.core.certifying import Certifying, Shredded, effective
from vault.core.engine import Engine
from vault.core.erasures import ERASURES, ErasureRow, shred_id_bytes
from vault.core.fieldinput import check_limit
from vault.core.references import external_id_bytes, named_id, require
from vault.core.replay import Part, Request
from vault.core.trail import Trail
from vault.erasure.commitment import commitment
from vault.errors import (
    AlreadyShreddedError,
    AuditUnavailableError,
    BatchAbortedError,
    CustomerUnknownError,
    DataLossError,
    ErasureUnknownError,
    IntegrityFailedError,
    Reason,
    VaultError,
    error_for,
)
from vault.model.access import Action
from vault.model.erasure import Stage
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Generation
from vault.model.requests import Caller, Certificate, CustomerRef, Erasure, Page, ShredResult
from vault.policy.decision import Grants
from vault.store.entries import Shred
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
    surrogates: tuple[SheetSurrogate, ...] = ()


class Shredding:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._effects = engine.effects
        self._trail = trail
        wanted = engine.settings.keys.verified_copies
        self._certifying = Certifying(engine.store, engine.secrets, lambda: engine.now_ms(), wanted)

    def shred(
        self,
        caller: Caller,
        refs: Sequence[CustomerRef],
        *,
        request_id: str,
        validate_only: bool,
        atomic: bool,
    ) -> list[ShredResult]:
        """Shreds customers in one durable commit, or counts what would go.

        Raises:
            DeniedError: the caller may not shred.
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
            answers = self._shred_all(session, grants, refs, request, atomic)
            request.remember(session, answers)
            return answers

        answers = engine.committer.submit(job, erase=True, deadline=caller.deadline_monotonic)
        for answer in answers:
            if "customer" in answer:
                engine.hot.forget(engine.book.key(CustomerNo(answer["customer"])))
        return self._results(answers, request)

    def get_erasure(self, caller: Caller, shred_id: str) -> Erasure:
        """How far one erasure has come.

        Raises:
            ErasureUnknownError: no such shred id.
        """
        (erasure,) = self._certifying.erasures([self._found(caller, shred_id)])
        return erasure

    def get_certificate(self, caller: Caller, shred_id: str) -> Certificate:
        """The newest certificate of one erasure.

        Raises:
            ErasureUnknownError: no such shred id.
        """
        (certificate,) = self._certifying.certificates([self._found(caller, shred_id)])
        return certificate

    def list_erasures(
        self, caller: Caller, page_size: int, page_token: str, stage: Stage | None = None
    ) -> Page[Erasure]:
        """Erasures, oldest first, of one stage or of all. A page token is a ledger number, to go on after."""
        after = int(page_token) if page_token.isdecimal() else 0
        with self._engine.store.snapshot() as snapshot:
            self._engine.directory(snapshot).access.principal(caller.principal).require(Action.INSPECT)
            rows = [
                (bytes(key), ErasureRow.unpack(self._engine.rows.open(ERASURES, key, row)))
                for key, row in snapshot.rows(ERASURES)
            ]
        later = sorted([each for each in rows if each[1].ledger_seq > after], key=_place)
        page = later[: page_size + 1]
        if stage is not None:
            stage_of = self._certifying.stages()
            page = list(islice((each for each in later if stage_of(each[1]) is stage), page_size + 1))
        following = str(_place(page[page_size - 1])) if len(page) > page_size else ""
        return Page(self._certifying.erasures(page[:page_size]), following)

    def _found(self, caller: Caller, shred_id: str) -> Shredded:
        """An erasure's row, for whoever may shred or inspect."""
        with self._engine.store.snapshot() as snapshot:
            grants = self._engine.directory(snapshot).access.principal(caller.principal)
            if not grants.may(Action.SHRED):
                grants.require(Action.INSPECT)
            key = shred_id_bytes(shred_id)
            return key, self._row(snapshot, key)

    def _request(self, grants: Grants, refs: Sequence[CustomerRef], request_id: str, atomic: bool) -> Request:
        body: list[Part] = [bytes([atomic])]
        for ref in refs:
            body += [ref.external_id, (ref.token or "").lower()]
        return self._engine.request(grants.id, request_id, "Shred", body)

    def _preview(
        self, snapshot: Snapshot, keys: KeyringSnapshot, grants: Grants, ref: CustomerRef
    ) -> ShredResult:
        try:
            target = self._target(snapshot, keys, grants, ref)
        except VaultError as error:
            return ShredResult(error=error)
        return ShredResult(values=target.values, dek_generations=len(target.generations))

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
        try:
            self._trail.act(grants, "ShredCustomer", locators=locators, customers=len(targets))
        except AuditUnavailableError:
            if len(targets) > 1:
                raise

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
        seq = session.append(entry)
        index_hash = (
            engine.index_keys.external_hash(session, target.external_id)
            if target.external_id is not None
            else None
        )
        surrogates = engine.surrogates.hashes(session, target.surrogates)
        self._effects.shred(session, seq, session.entry_time_ms(seq), entry, index_hash, surrogates)
        answer: dict[str, Any] = {"customer": target.number, "shred_id": entry.shred_id.hex()}
        if request.salt_seed is None:
            answer["salt"] = salt.hex()  # not remembered: without a request id nothing is
        return answer

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
                found, surrogates = customer.external_id, customer.surrogates
        except (IntegrityFailedError, DataLossError, CustomerUnknownError):
            values = sum(1 for value_no in records if value_no != CUSTOMER_ROW)
            return _Target(number, values, generations, None, None)
        if asked and asked != found:
            raise IntegrityFailedError  # the index names somebody else
        return _Target(number, values, generations, found, locator, surrogates)

    def _results(self, answers: Sequence[dict[str, Any]], request: Request) -> list[ShredResult]:
        """What the answers say, with the certificates that the reply has room for."""
        with self._engine.store.snapshot() as snapshot:
            ids = [bytes.fromhex(answer["shred_id"]) for answer in answers if "shred_id" in answer]
            rows = [self._row(snapshot, shred_id) for shred_id in ids]
        shreds = list(zip(ids, rows, strict=True))
        erasures, certificates = self._told(shreds)
        given = zip_longest(shreds, erasures, certificates)
        results = []
        for answer in answers:
            if "error" in answer:
                results.append(ShredResult(error=_remembered_error(answer["error"])))
                continue
            (shred_id, row), erasure, certificate = next(given)
            salt = bytes.fromhex(answer["salt"]) if "salt" in answer else _salt(request, shred_id)
            count = len(row.generations)
            results.append(ShredResult(row.values, count, salt, erasure, certificate))
        return results

    def _told(self, shreds: Sequence[Shredded]) -> tuple[list[Erasure], list[Certificate]]:
        """What is said of shreds that are done: they are answered even if no certificate can be made now."""
        limit = self._engine.settings.limits.reply_bytes // 2
        try:
            return self._certifying.erasures(shreds), self._certifying.certificates(shreds, limit)
        except VaultError:
            # The salt cannot be had again, the certificate can: GetCertificate says what is wrong.
            return [effective(*each) for each in shreds], []

    def _row(self, snapshot: Snapshot, shred_id: bytes) -> ErasureRow:
        body = self._engine.rows.get(snapshot, ERASURES, shred_id) if shred_id else None
        if body is None:
            raise ErasureUnknownError("no such shred id")
        return ErasureRow.unpack(body)


def _salt(request: Request, shred_id: bytes) -> bytes:
    if request.salt_seed is None:
        return randomness.token_bytes(32)
    return hashlib.blake2b(shred_id, digest_size=32, key=request.salt_seed).digest()


def _remembered_error(reason: str) -> VaultError:
    texts = {
        Reason.ALREADY_SHREDDED: "the customer was shredded before",
        Reason.CUSTOMER_UNKNOWN: "no such customer",
        Reason.TOKEN_UNKNOWN: "no such token",
    }
    error_class = error_for(Reason(reason))
    if error_class is IntegrityFailedError:
        return IntegrityFailedError()
    return error_class(texts.get(Reason(reason), "the customer cannot be shredded"))


def _place(shred: Shredded) -> int:
    return shred[1].ledger_seq
