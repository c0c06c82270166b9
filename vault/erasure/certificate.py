"""Certificates of erasure: what they state, and their bytes.

    bytes       canonical JSON (RFC 8785, see `canonical`); the schema is docs/erasure-certificate.schema.json
    signed      "customervault erasure certificate v1" | 0x00 | canonical form without the member `signature`
    signature   Ed25519 under the vault's signing key, named by its key id

Rules:
- A statement holds facts: where in the ledger each generation lived, and what became of each root
  key. Stage, times, assurance and counts are not stored beside them but follow from them by the rule
  of finality, when a certificate is made as well as when it is checked. So it cannot claim a stage
  too early.
- Root keys that do not concern the erasure are left out.
- A customer that lives on, and its values that went, are named by number and not by a commitment: nobody was
  given a salt when they went.
- The facts end at `issued_ms`: nothing later has happened.
- The first certificate of an erasure is at stage `effective`; a later one replaces it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from vault.erasure.canonical import Json, canonical
from vault.erasure.finality import Attempt, Destroyed, Finality, Span, Stage, Verdict
from vault.erasure.partial import ErasedValue
from vault.model.assurance import Assurance, weakest
from vault.model.ids import CustomerNo, Generation, Region

TYPE: Final = "customervault/erasure-certificate/v1"
SIGNED_PREFIX: Final = b"customervault erasure certificate v1\0"
ALGORITHM: Final = "Ed25519"
COMMITMENT_ALGORITHM: Final = "SHA-256"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STAGES: Final = list(Stage)


class Scope(StrEnum):
    """What was erased."""

    CUSTOMER = "customer"  # with everything that was held of it
    GENERATIONS = "generations"  # what was deleted or corrected; the customer lives on


@dataclass(frozen=True, slots=True)
class ErasedGeneration:
    """One generation of the customer's data key, and where in the ledger it lived."""

    generation: Generation
    created_seq: int
    shredded_seq: int
    shredded_ms: int

    @property
    def span(self) -> Span:
        """The same for the rule."""
        return Span(self.created_seq, self.shredded_seq, self.shredded_ms)


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """That the erasure's entry is in the ledger: RFC 6962 inclusion proof, and the checkpoint it leads to."""

    leaf_hash: bytes
    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Statement:
    """The facts of a certificate.

    Attributes:
        commitment: 32 bytes; see `commitment`.
        values: how many values were held.
        attempts: keyrings that may have wrapped one of the generations; others are passed over.
        entry_seq: the erasure's ledger entry.
        held_outside: whether a mirror or witness outside of the machine holds that entry.
        not_covered: sentences; see `not_covered`.
        customer: region and number, of scope `generations` alone; there the commitment is empty.
        erased_values: what was deleted or corrected, of the same scope.
    """

    vault_id: bytes
    erasure_id: str
    scope: Scope
    commitment: bytes
    values: int
    generations: tuple[ErasedGeneration, ...]
    attempts: tuple[Attempt, ...]
    issued_ms: int
    entry_seq: int
    held_outside: bool
    proof: LedgerProof | None
    not_covered: tuple[str, ...]
    customer: tuple[Region, CustomerNo] | None = None
    erased_values: tuple[ErasedValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What follows from the facts. `assurance` is None until every root key is confirmed to be destroyed."""

    stage: Stage
    effective_ms: int
    final_ms: int | None
    assurance: Assurance | None
    verdicts: tuple[Verdict, ...]
    attempts: tuple[Attempt, ...]


def conclude(statement: Statement) -> Conclusion:
    """Applies the rule of finality to a statement's facts, as of its issue.

    Raises:
        ValueError: there is no generation, or one was shredded after the issue.
    """
    generations, issued_ms = statement.generations, statement.issued_ms
    if not generations or max(each.shredded_ms for each in generations) > issued_ms:
        raise ValueError("a certificate is about generations that were shredded")
    rule = Finality(statement.attempts)
    verdicts = tuple([rule.verdict(each.span, issued_ms) for each in generations])
    stage = min([each.stage for each in verdicts], key=_STAGES.index)
    final = stage in (Stage.FINAL, Stage.FINAL_BEST_EFFORT)
    known = [each.assurance for each in verdicts if each.assurance is not None]
    return Conclusion(
        stage=stage,
        effective_ms=max(each.shredded_ms for each in generations),
        final_ms=max(each.final_ms or 0 for each in verdicts) if final else None,
        assurance=weakest(known) if len(known) == len(verdicts) else None,
        verdicts=verdicts,
        attempts=tuple([a for a in statement.attempts if any(a in each.attempts for each in verdicts)]),
    )


def not_covered(stage: Stage, *, held_outside: bool) -> tuple[str, ...]:
    """What a certificate at this stage has to say it does not cover."""
    sentences = [
        "copies of values that callers made after reading them",
        "pseudonyms already released",
        "images of the machine's memory taken before the keys in it were zeroed",
    ]
    if stage is Stage.EFFECTIVE:
        sentences.append("copies of keyrings, until the root keys listed here are gone")
        if not held_outside:
            sentences.append(
                "loss or roll-back of the machine's storage before the erasure is final,"
                " as nothing outside of it holds the ledger entry"
            )
    if stage is Stage.FINAL_BEST_EFFORT:
        sentences.append("copies of root keys whose destruction cannot be proven (assurance best-effort)")
    return tuple(sentences)


def issue(statement: Statement, sign: Callable[[bytes], bytes], key_id: str) -> bytes:
    """Makes a certificate.

    Args:
        statement: the facts.
        sign: gives the Ed25519 signature of a message under the vault's signing key.
        key_id: names that key.

    Raises:
        ValueError: the statement has no generation, or something later than its issue.
    """
    document = to_json(statement)
    signature = sign(SIGNED_PREFIX + canonical(document))
    document["signature"] = {"algorithm": ALGORITHM, "key_id": key_id, "value": _base64(signature)}
    return canonical(document)


def to_json(statement: Statement) -> dict[str, Json]:
    """The document without its signature: the facts, and what follows from them."""
    found = conclude(statement)
    document: dict[str, Json] = {
        "type": TYPE,
        "vault_id": statement.vault_id.hex(),
        "erasure_id": statement.erasure_id,
        "scope": statement.scope.value,
        "commitment": None,
        "stage": found.stage.value,
        "issued": _time(statement.issued_ms),
        "effective": _time(found.effective_ms),
        "final": _optional_time(found.final_ms),
        "assurance": found.assurance.value if found.assurance else None,
        "counts": {
            "values": statement.values,
            "generations": len(statement.generations),
            "root_keys": len(found.attempts),
            "keyring_copies": sum(each.copies for each in found.attempts),
        },
        "generations": [
            _generation(each, verdict)
            for each, verdict in zip(statement.generations, found.verdicts, strict=True)
        ],
        "root_keys": [_root_key(each) for each in found.attempts],
        "ledger": {
            "entry_seq": statement.entry_seq,
            "held_outside": statement.held_outside,
            "proof": _proof(statement.proof) if statement.proof else None,
        },
        "not_covered": list(statement.not_covered),
    }
    if statement.customer is None:
        value = statement.commitment.hex()
        document["commitment"] = {"algorithm": COMMITMENT_ALGORITHM, "value": value}
    else:
        region, number = statement.customer
        document["customer"] = {"region": region, "customer_no": number}
        document["erased_values"] = [_erased_value(each) for each in statement.erased_values]
    return document


def _erased_value(erased: ErasedValue) -> Json:
    return {
        "value_no": erased.value_no,
        "kind": "corrected" if erased.corrected else "deleted",
        "entry_seq": erased.seq,
        "erased": _time(erased.time_ms),
    }


def _generation(erased: ErasedGeneration, verdict: Verdict) -> Json:
    final = verdict.stage in (Stage.FINAL, Stage.FINAL_BEST_EFFORT)
    return {
        "generation": erased.generation,
        "created_seq": erased.created_seq,
        "shredded_seq": erased.shredded_seq,
        "stage": verdict.stage.value,
        "effective": _time(erased.shredded_ms),
        "final": _optional_time(verdict.final_ms) if final else None,
        "root_key_ids": [each.root_key_id for each in verdict.attempts],
    }


def _root_key(attempt: Attempt) -> Json:
    return {
        "root_key_id": attempt.root_key_id,
        "provider": attempt.provider,
        "epoch": attempt.epoch,
        "attempt": attempt.attempt,
        "begun_seq": attempt.begun_seq,
        "entered_seq": attempt.entered_seq,
        "abandoned_seq": attempt.abandoned_seq,
        "wraps_from_seq": attempt.wraps_from_seq,
        "wraps_until_seq": attempt.wraps_until_seq,
        "keyring_copies": attempt.copies,
        "destruction_requested": _optional_time(attempt.requested_ms),
        "destruction_due": _optional_time(attempt.due_ms),
        "destroyed": _destroyed(attempt.destroyed) if attempt.destroyed else None,
    }


def _destroyed(destroyed: Destroyed) -> Json:
    return {
        "confirmed_seq": destroyed.confirmed_seq,
        "confirmed": _time(destroyed.confirmed_ms),
        "holds_from": _time(destroyed.holds_from_ms),
        "assurance": destroyed.stated.value,
        "evidence": destroyed.evidence,
        "retention": destroyed.retention,
        "backups_outlive_ms": destroyed.backups_ms,
        "gone": _time(destroyed.gone_ms),
    }


def _proof(proof: LedgerProof) -> Json:
    return {
        "leaf_hash": _base64(proof.leaf_hash),
        "leaf_index": proof.leaf_index,
        "tree_size": proof.tree_size,
        "path": [_base64(each) for each in proof.path],
        "checkpoint": proof.checkpoint,
    }


def _time(time_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _optional_time(time_ms: int | None) -> str | None:
    return None if time_ms is None else _time(time_ms)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
