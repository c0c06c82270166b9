"""Checks certificates offline, with the vault's public keys alone.

In this order:

    1  the bytes are the canonical form of a document
    2  its signature is of one of the given keys
    3  it has the layout of version 1, and its stage, times, assurance and counts are those that follow
       from its facts by the rule of finality
    4  it was not issued in the future
    5  its ledger proof, if it has one, holds, and leads to a checkpoint that the vault signed
    6  external id and salt, if they are given, open its commitment

What cannot be checked offline: that the certificate lists every root key, that the provider told the
truth, and that the ledger that it quotes is the only one.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from vault.crypto import hazmat
from vault.erasure.canonical import Json, canonical, read_canonical
from vault.erasure.certificate import (
    ALGORITHM,
    SIGNED_PREFIX,
    TYPE,
    Conclusion,
    ErasedGeneration,
    LedgerProof,
    Scope,
    Statement,
    conclude,
    to_json,
)
from vault.erasure.commitment import SALT_BYTES, commitment
from vault.erasure.finality import Attempt, Destroyed
from vault.erasure.inclusion import check_proof
from vault.erasure.partial import ErasedValue
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.model.assurance import Assurance
from vault.model.ids import CustomerNo, Epoch, Generation, Region
from vault.store.proofs import ledger_key

MAX_BYTES: Final = 16 * 2**20
CLOCK_TOLERANCE_MS: Final = 5 * 60_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")

_BROKEN = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that holds: its facts, what follows from them, and what else was checked."""

    statement: Statement
    conclusion: Conclusion
    key_id: str
    ledger_checked: bool
    commitment_checked: bool


def verify(
    certificate: bytes,
    keys: Mapping[str, bytes],
    *,
    now_ms: int,
    external_id: bytes | None = None,
    salt: bytes | None = None,
) -> Verified:
    """Checks a certificate.

    Args:
        certificate: the very bytes that the vault issued.
        keys: the vault's public keys by key id; see `vault.erasure.publickeys`.
        now_ms: the time of the check.
        external_id: whom the certificate is said to be about; needs `salt`, and the other way round.
        salt: 32 bytes that came with the shred's answer.

    Raises:
        IntegrityFailedError: the certificate is not as the vault signed it (no details), or it is, but
            contradicts itself; the detail `check` then says where.
        InvalidRequestError: it is of another kind or version, none of the keys is the one that it names,
            or external id and salt do not belong to it.
    """
    if (external_id is None) != (salt is None):
        raise InvalidRequestError("external id and salt are only of use together")
    document, key_id = signed_document(certificate, keys, SIGNED_PREFIX)
    if document.get("type") != TYPE:
        raise InvalidRequestError("signed by the vault, but not a certificate of erasure of version 1")
    try:
        statement = _statement(document)
        conclusion = conclude(statement)
        consistent = to_json(statement) == document
    except _BROKEN:
        raise IntegrityFailedError(check="rule") from None
    if not consistent:
        raise IntegrityFailedError(check="rule")
    if statement.issued_ms > now_ms + CLOCK_TOLERANCE_MS:
        raise IntegrityFailedError(check="issued")
    if statement.proof is not None:
        _check_ledger(statement, statement.proof, keys)
    if external_id is not None and salt is not None:
        _check_commitment(statement, external_id, salt)
    return Verified(
        statement, conclusion, key_id, statement.proof is not None, commitment_checked=salt is not None
    )


def signed_document(content: bytes, keys: Mapping[str, bytes], prefix: bytes) -> tuple[dict[str, Json], str]:
    """A signed document without its signature, and the id of the key that signed it.

    Args:
        content: canonical JSON with the member `signature`.
        keys: public keys by key id.
        prefix: stands before the canonical form in what is signed, and tells kinds of documents apart.

    Raises:
        IntegrityFailedError: it is not as the key signed it.
        InvalidRequestError: none of the keys is the one that it names.
    """
    if len(content) > MAX_BYTES:
        raise IntegrityFailedError
    document = read_canonical(content)
    signature = document.pop("signature", None) if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(signature, dict):
        raise IntegrityFailedError
    if signature.keys() != {"algorithm", "key_id", "value"} or signature["algorithm"] != ALGORITHM:
        raise IntegrityFailedError
    key_id, value = signature["key_id"], signature["value"]
    if not isinstance(key_id, str):
        raise IntegrityFailedError
    if key_id not in keys:
        raise InvalidRequestError("none of the public keys is the one that the document names")
    try:
        raw = _unbase64(value)
    except (TypeError, ValueError):
        raise IntegrityFailedError from None
    hazmat.verify(keys[key_id], raw, prefix + canonical(document))
    return document, key_id


def _check_ledger(statement: Statement, proof: LedgerProof, keys: Mapping[str, bytes]) -> None:
    if proof.leaf_index != statement.entry_seq - 1:
        raise IntegrityFailedError(check="ledger")
    try:
        check_proof(proof, [ledger_key(statement.vault_id, key) for key in keys.values()])
    except IntegrityFailedError:
        raise IntegrityFailedError(check="ledger") from None


def _check_commitment(statement: Statement, external_id: bytes, salt: bytes) -> None:
    if statement.scope is not Scope.CUSTOMER:
        raise InvalidRequestError("the certificate is about a customer that it names by number only")
    if len(salt) != SALT_BYTES:
        raise InvalidRequestError("a salt has 32 bytes")
    if not hazmat.constant_time_equal(commitment(external_id, salt), statement.commitment):
        raise InvalidRequestError(
            "the certificate is not about that external id, or the salt is another one's"
        )


# What follows reads the facts only. That their types and all other members are right is shown by making the
# document anew from them: it has to be equal.


def _statement(document: dict[str, Any]) -> Statement:
    ledger, scope = document["ledger"], Scope(document["scope"])
    customer = scope is Scope.CUSTOMER
    generations = tuple([_generation(each) for each in document["generations"]])
    return Statement(
        vault_id=_hex(document["vault_id"], 16),
        erasure_id=_text(document["erasure_id"]),
        scope=scope,
        commitment=_hex(document["commitment"]["value"], 32) if customer else b"",
        values=_number(document["counts"]["values"]),
        generations=generations,
        attempts=tuple([_attempt(each) for each in document["root_keys"]]),
        issued_ms=_ms(document["issued"]),
        entry_seq=_number(ledger["entry_seq"]),
        held_outside=_flag(ledger["held_outside"]),
        proof=None if ledger["proof"] is None else _proof(ledger["proof"]),
        not_covered=tuple([_text(each) for each in document["not_covered"]]),
        customer=None if customer else _customer(document["customer"]),
        erased_values=() if customer else _erased_values(document["erased_values"], generations),
    )


def _customer(stated: dict[str, Any]) -> tuple[Region, CustomerNo]:
    return Region(_number(stated["region"])), CustomerNo(_number(stated["customer_no"], at_least=1))


def _erased_values(stated: list[Any], generations: Sequence[ErasedGeneration]) -> tuple[ErasedValue, ...]:
    erased = tuple([_erased_value(each) for each in stated])
    if not erased:
        raise ValueError("no value was erased")
    if max(each.seq for each in erased) > min(each.shredded_seq for each in generations):
        raise ValueError("a value that went after its key cannot have gone with it")
    return erased


def _erased_value(stated: dict[str, Any]) -> ErasedValue:
    corrected = {"corrected": True, "deleted": False}[stated["kind"]]
    value_no, seq = _number(stated["value_no"], at_least=1), _number(stated["entry_seq"])
    return ErasedValue(value_no, corrected, seq, _ms(stated["erased"]))


def _generation(stated: dict[str, Any]) -> ErasedGeneration:
    created_seq, shredded_seq = _number(stated["created_seq"]), _number(stated["shredded_seq"])
    if created_seq > shredded_seq:
        raise ValueError("shredded before it was created")
    generation = Generation(_number(stated["generation"], at_least=1))
    return ErasedGeneration(generation, created_seq, shredded_seq, _ms(stated["effective"]))


def _attempt(stated: dict[str, Any]) -> Attempt:
    attempt = Attempt(
        epoch=Epoch(_number(stated["epoch"], at_least=1)),
        attempt=_number(stated["attempt"]),
        root_key_id=_text(stated["root_key_id"]),
        provider=_text(stated["provider"]),
        begun_seq=_number(stated["begun_seq"]),
        wraps_from_seq=_number(stated["wraps_from_seq"]),
        wraps_until_seq=_optional(_number, stated["wraps_until_seq"]),
        entered_seq=_optional(_number, stated["entered_seq"]),
        abandoned_seq=_optional(_number, stated["abandoned_seq"]),
        copies=_number(stated["keyring_copies"]),
        requested_ms=_optional(_ms, stated["destruction_requested"]),
        due_ms=_optional(_ms, stated["destruction_due"]),
        destroyed=_optional(_destroyed, stated["destroyed"]),
    )
    if attempt.wraps_from_seq > attempt.begun_seq:
        raise ValueError("a keyring cannot have begun before its attempt")
    return attempt


def _destroyed(stated: dict[str, Any]) -> Destroyed:
    destroyed = Destroyed(
        confirmed_seq=_number(stated["confirmed_seq"]),
        confirmed_ms=_ms(stated["confirmed"]),
        holds_from_ms=_ms(stated["holds_from"]),
        stated=Assurance(stated["assurance"]),
        evidence=_text(stated["evidence"]),
        backups_ms=_optional(_number, stated["backups_outlive_ms"]),
        retention=_text(stated["retention"]),
    )
    if destroyed.holds_from_ms > destroyed.confirmed_ms:
        raise ValueError("a destruction cannot be confirmed before it holds")
    return destroyed


def _proof(stated: dict[str, Any]) -> LedgerProof:
    return LedgerProof(
        leaf_hash=_unbase64(stated["leaf_hash"]),
        leaf_index=_number(stated["leaf_index"]),
        tree_size=_number(stated["tree_size"]),
        path=tuple([_unbase64(each) for each in stated["path"]]),
        checkpoint=_text(stated["checkpoint"]),
    )


def _optional(read: Callable[[Any], T], stated: Any) -> T | None:
    return None if stated is None else read(stated)


def _number(stated: Any, at_least: int = 0) -> int:
    if type(stated) is not int or stated < at_least:
        raise TypeError("not a number")
    return stated


def _text(stated: Any) -> str:
    if not isinstance(stated, str):
        raise TypeError("not a text")
    return stated


def _flag(stated: Any) -> bool:
    if not isinstance(stated, bool):
        raise TypeError("neither true nor false")
    return stated


def _ms(stated: Any) -> int:
    moment = datetime.fromisoformat(_text(stated))
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _hex(stated: Any, size: int) -> bytes:
    content = bytes.fromhex(_text(stated))
    if len(content) != size:
        raise ValueError("another size")
    return content


def _unbase64(stated: Any) -> bytes:
    try:
        return base64.b64decode(_text(stated), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
