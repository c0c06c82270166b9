"""Certificates of erasures, and how far each has come.

Rules:
- A certificate is made when it is asked for, from what the ledger says then; none is kept.
- Its span begins with the reservation of the customer's number and ends with the shred. So it covers the
  generations that were replaced before, too: each began before the one before it ended. Listed are those
  that were still wrapped.
- What was deleted or corrected has a certificate as soon as the generation that sealed it is shredded. Before
  that nothing is gone that a certificate could state.
- Where a witness is configured and answers, the checkpoint is cosigned.
- An erasure that waits for a legal hold has none; it is told of as at stage `held`.
- Nothing here needs a key but the vault's signing key, so a certificate can be had when the customer,
  the keyring and the root keys of its time are long gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vault.core.erasures import ErasureRow, partial_id_text, shred_id_text
from vault.core.finality import Known, LedgerFinality
from vault.core.secrets import SigningKey, VaultSecrets
from vault.erasure.awaiting import KeptForBackups, awaited
from vault.erasure.certificate import (
    ErasedGeneration,
    LedgerProof,
    Scope,
    Statement,
    conclude,
    issue,
    not_covered,
)
from vault.erasure.finality import Span, Stage, Verdict
from vault.erasure.partial import PartialErasure
from vault.errors import InvalidRequestError
from vault.model.erasure import Awaited, MissingCopies, Step
from vault.model.ids import Generation
from vault.model.requests import Certificate, Erasure
from vault.store import proofs
from vault.store.store import Store

Shredded = tuple[bytes, ErasureRow]
"""A shred's id (16 bytes) and its row."""

_FIRST = Generation(1)
_DAY_MS = 86_400_000


class Certifying:
    """Answers about shreds, for one open vault."""

    def __init__(
        self,
        store: Store,
        secrets: VaultSecrets,
        now_ms: Callable[[], int],
        verified_copies: int = 0,
        keep_days: int = 0,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._now_ms = now_ms
        self._verified_copies = verified_copies
        self._keep_ms = keep_days * _DAY_MS
        self._finality = LedgerFinality(store)

    def certificates(self, shreds: Sequence[Shredded], limit_bytes: int | None = None) -> list[Certificate]:
        """The newest certificates; with a limit, of the first shreds whose certificates it holds.

        Raises:
            IntegrityFailedError: the ledger contradicts itself, or does not hold a shred's entry.
        """
        if not shreds:
            return []
        known = self._finality.known()
        issued_ms = max(self._time_ms(known), *[row.effective_ms for _, row in shreds])
        signer = self._secrets.signing_key
        proven = self._prove([row.ledger_seq for _, row in shreds], signer)
        made: list[Certificate] = []
        size = 0
        for (shred_id, row), proof in zip(shreds, proven, strict=True):
            statement = self._customers_statement(shred_id, row, known, issued_ms, proof)
            made.append(_issued(statement, signer))
            size += len(made[-1].content)
            if limit_bytes is not None and size > limit_bytes:
                return made[:-1]
        return made

    def erasures(self, shreds: Sequence[Shredded]) -> list[Erasure]:
        """How far shreds have come, and what they wait for.

        Raises:
            IntegrityFailedError: the ledger contradicts itself.
        """
        known = self._finality.known()
        now_ms = self._time_ms(known)
        missing = known.rule.missing_copies(self._verified_copies)
        return [
            _told(effective(*each), known.rule.verdict(_span(each[1], known), now_ms), missing)
            for each in shreds
        ]

    def stages(self) -> Callable[[ErasureRow], Stage]:
        """The stages of many shreds at one moment; the rule is asked once for all that had the same keyrings.

        Raises:
            IntegrityFailedError: the ledger contradicts itself.
        """
        known = self._finality.known()
        now_ms, attempts = self._time_ms(known), known.rule.attempts
        found: dict[tuple[int, int], Stage] = {}

        def stage(row: ErasureRow) -> Stage:
            if row.waiting is not None:
                return Stage.HELD
            span = _span(row, known)
            begun = sum(1 for each in attempts if each.wraps_from_seq <= row.ledger_seq)
            alike = span.created_seq, begun
            if alike not in found:
                found[alike] = known.rule.verdict(span, now_ms).stage
            return found[alike]

        return stage

    def _time_ms(self, known: Known) -> int:
        """Now, but not before what the ledger says has happened: the clock may have been set back."""
        return max(self._now_ms(), known.time_ms)

    def partials(self, found: Sequence[PartialErasure]) -> list[Erasure]:
        """How far deletions and corrections have come. Those whose key is in use wait for a rotation.

        Raises:
            IntegrityFailedError: the ledger contradicts itself.
        """
        known = self._finality.known()
        now_ms = self._time_ms(known)
        missing = known.rule.missing_copies(self._verified_copies)
        return [self._partial(each, known, now_ms, missing) for each in found]

    def partial_certificate(self, erasure: PartialErasure) -> Certificate:
        """The newest certificate of what was deleted or corrected.

        Raises:
            InvalidRequestError: its key is not destroyed yet.
            IntegrityFailedError: the ledger contradicts itself.
        """
        span_end, ended_ms = erasure.shredded_seq, erasure.shredded_ms
        if span_end is None or ended_ms is None:
            raise InvalidRequestError(
                "there is a certificate once a rotation has destroyed the key of these values; see its status"
            )
        known = self._finality.known()
        signer = self._secrets.signing_key
        (proof,) = self._prove([span_end], signer)
        created_seq = known.reserved_seq(erasure.region, erasure.customer_no)
        values = tuple([erasure.values[number] for number in sorted(erasure.values)])
        return _issued(
            Statement(
                vault_id=self._store.vault_id,
                erasure_id=partial_id_text(erasure.region, erasure.place),
                scope=Scope.GENERATIONS,
                commitment=b"",
                values=len(values),
                generations=tuple(
                    [
                        ErasedGeneration(each, created_seq, span_end, ended_ms)
                        for each in erasure.ended or (_FIRST,)
                    ]
                ),
                attempts=known.rule.attempts,
                issued_ms=max(self._time_ms(known), ended_ms),
                entry_seq=span_end,
                held_outside=self._store.followed,
                proof=_proof(proof),
                not_covered=(),
                customer=(erasure.region, erasure.customer_no),
                erased_values=values,
            ),
            signer,
        )

    def _partial(
        self, erasure: PartialErasure, known: Known, now_ms: int, missing: MissingCopies | None
    ) -> Erasure:
        span = erasure.span(known.reserved_seq(erasure.region, erasure.customer_no))
        if span.shredded_seq is None:  # its key is in use: it waits for what a shred now would
            span = replace(span, shredded_seq=known.seq, shredded_ms=erasure.effective_ms)
        found = Erasure(
            partial_id_text(erasure.region, erasure.place),
            Stage.EFFECTIVE,
            erasure.effective_ms,
            erasure.place.seq,
            b"",
        )
        return _told(found, known.rule.verdict(span, now_ms), missing, self._kept(erasure, now_ms))

    def _kept(self, erasure: PartialErasure, now_ms: int) -> KeptForBackups | None:
        """Whether rotations carry the key that opens what went, because data backups need it."""
        if not self._keep_ms or erasure.shredded_seq is not None:
            return None
        if erasure.replaced_ms is None:
            return KeptForBackups(None)
        until_ms = erasure.replaced_ms + self._keep_ms
        return KeptForBackups(until_ms) if now_ms < until_ms else None

    def _customers_statement(
        self, shred_id: bytes, row: ErasureRow, known: Known, issued_ms: int, proof: proofs.LedgerProof
    ) -> Statement:
        span = _span(row, known)
        return Statement(
            vault_id=self._store.vault_id,
            erasure_id=shred_id_text(shred_id),
            scope=Scope.CUSTOMER,
            commitment=row.commitment,
            values=row.values,
            generations=tuple(
                [
                    ErasedGeneration(Generation(each), span.created_seq, row.ledger_seq, row.effective_ms)
                    for each in row.generations or (_FIRST,)
                ]
            ),
            attempts=known.rule.attempts,
            issued_ms=issued_ms,
            entry_seq=row.ledger_seq,
            held_outside=self._store.followed,
            proof=_proof(proof),
            not_covered=(),
        )

    def _prove(self, seqs: Sequence[int], signer: SigningKey) -> list[proofs.LedgerProof]:
        key = proofs.ledger_key(self._store.vault_id, signer.public_key)
        return self._store.prove(seqs, key, signer.sign)


def _issued(facts: Statement, signer: SigningKey) -> Certificate:
    stage = conclude(facts).stage
    statement = replace(facts, not_covered=not_covered(stage, held_outside=facts.held_outside))
    return Certificate(issue(statement, signer.sign, signer.key_id), stage, signer.key_id)


def _proof(proof: proofs.LedgerProof) -> LedgerProof:
    return LedgerProof(
        leaf_hash=proof.leaf,
        leaf_index=proof.seq - 1,
        tree_size=proof.size,
        path=proof.hashes,
        checkpoint=proof.checkpoint.decode(),
    )


def _span(row: ErasureRow, known: Known) -> Span:
    return Span(known.reserved_seq(row.region, row.customer_no), row.ledger_seq, row.effective_ms)


def effective(shred_id: bytes, row: ErasureRow) -> Erasure:
    """What is true of a shred from the first moment on."""
    told = Erasure(
        shred_id_text(shred_id), Stage.EFFECTIVE, row.effective_ms, row.ledger_seq, row.commitment
    )  # fmt: skip
    if row.waiting is None:
        return told
    hold = Awaited("", 0, "", Step.HOLD, row.waiting.until_ms or None)
    return replace(told, stage=Stage.HELD, waits_for=(hold,), held_values=row.waiting.kept)


def _told(
    erasure: Erasure, verdict: Verdict, missing: MissingCopies | None, kept: KeptForBackups | None = None
) -> Erasure:
    if erasure.stage is Stage.HELD:
        return erasure
    final = verdict.stage in (Stage.FINAL, Stage.FINAL_BEST_EFFORT)
    return replace(
        erasure,
        stage=verdict.stage,
        final_ms=(verdict.final_ms or 0) if final else 0,
        assurance=verdict.assurance,
        waits_for=awaited(verdict, missing, kept),
    )
