"""Certificates as a reader checks them: offline, from bytes and public keys."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.erasure.canonical import canonical
from vault.erasure.certificate import SIGNED_PREFIX, issue
from vault.erasure.finality import Stage
from vault.erasure.verifying import CLOCK_TOLERANCE_MS, Verified, verify
from vault.errors import IntegrityFailedError, InvalidRequestError, VaultError

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "erasure_certificate_v1.json").read_text())
SCHEMA = json.loads((ROOT / "docs" / "erasure-certificate.schema.json").read_text())
PUBLIC_KEY, SALT = bytes.fromhex(VECTORS["public_key"]), bytes.fromhex(VECTORS["salt"])
KEYS = {VECTORS["key_id"]: PUBLIC_KEY}
SEED = bytes(range(0x80, 0xA0))
NOW = VECTORS["now_ms"]
VALID = [case["certificate"].encode() for case in VECTORS["tests"] if case["result"] == "valid"]
EFFECTIVE, FINAL, BEST_EFFORT = VALID


def signed(document: dict[str, Any]) -> bytes:
    """The document with a genuine signature, whatever it says."""
    body = {name: member for name, member in document.items() if name != "signature"}
    value = base64.b64encode(hazmat.sign(SEED, SIGNED_PREFIX + canonical(body))).decode()
    signature = {"algorithm": "Ed25519", "key_id": VECTORS["key_id"], "value": value}
    return canonical(body | {"signature": signature})


def verified(certificate: bytes, **options: Any) -> Verified:
    return verify(certificate, KEYS, **{"now_ms": NOW} | options)


@pytest.mark.parametrize(
    ("certificate", "stage"),
    [
        (EFFECTIVE, Stage.EFFECTIVE),
        (FINAL, Stage.FINAL),
        (BEST_EFFORT, Stage.FINAL_BEST_EFFORT),
    ],
)
def test_a_certificate_holds_and_says_its_stage(certificate: bytes, stage: Stage) -> None:
    found = verified(certificate)
    assert found.conclusion.stage is stage
    assert found.key_id == VECTORS["key_id"]
    assert not found.commitment_checked
    assert found.ledger_checked == (stage is Stage.FINAL)


@pytest.mark.parametrize("certificate", VALID, ids=["effective", "final", "best effort"])
def test_what_was_read_is_issued_again_to_the_byte(certificate: bytes) -> None:
    statement = verified(certificate).statement
    assert issue(statement, lambda message: hazmat.sign(SEED, message), VECTORS["key_id"]) == certificate


@pytest.mark.parametrize("bit", [1, 32, 128])
def test_every_changed_byte_fails(bit: int) -> None:
    for at in range(len(FINAL)):
        changed = bytearray(FINAL)
        changed[at] ^= bit
        with pytest.raises(VaultError):
            verified(bytes(changed))


def test_every_missing_or_added_byte_fails() -> None:
    for at in range(len(EFFECTIVE)):
        for changed in (EFFECTIVE[:at] + EFFECTIVE[at + 1 :], EFFECTIVE[:at] + b" " + EFFECTIVE[at:]):
            with pytest.raises(VaultError):
                verified(changed)
    with pytest.raises(IntegrityFailedError):
        verified(EFFECTIVE + b"\n")


def members(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all members and items of a document."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for name, member in inner:
        found.append((*path, name))
        if isinstance(member, dict | list):
            found += members(member, (*path, name))
    return found


# The signature is made anew, and what is not covered may be a shorter list.
FIXED = [
    path
    for path in members(json.loads(FINAL))
    if path[0] != "signature" and (path[0] != "not_covered" or len(path) == 1)
]


@pytest.mark.parametrize("path", FIXED, ids=str)
def test_a_signed_document_without_one_of_its_members_is_refused(path: tuple[Any, ...]) -> None:
    document = json.loads(FINAL)
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]
    with pytest.raises((IntegrityFailedError, InvalidRequestError)):
        verified(signed(document))


@pytest.mark.parametrize("wrong", [None, True, 0, -1, 10**15, "", [], {}], ids=repr)
def test_a_signed_document_that_does_not_fit_the_schema_is_refused(wrong: object) -> None:
    validator, refused = jsonschema.Draft202012Validator(SCHEMA), 0
    for path in members(json.loads(FINAL)):
        document = json.loads(FINAL)
        holder = document
        for name in path[:-1]:
            holder = holder[name]
        holder[path[-1]] = wrong
        if path[0] != "signature" and not validator.is_valid(document):
            refused += 1
            with pytest.raises((IntegrityFailedError, InvalidRequestError)):
                verified(signed(document))
    assert refused > 50


@pytest.mark.parametrize("stage", ["final", "final-best-effort"])
@pytest.mark.parametrize("place", ["certificate", "generation", "both"])
def test_no_stage_is_believed_because_it_is_written_there(stage: str, place: str) -> None:
    document = json.loads(EFFECTIVE)
    if place in ("certificate", "both"):
        document |= {"stage": stage, "final": document["issued"], "assurance": "hardware"}
    if place in ("generation", "both"):
        document["generations"][0] |= {"stage": stage, "final": document["issued"]}
    with pytest.raises(IntegrityFailedError) as raised:
        verified(signed(document))
    assert raised.value.details["check"] == "rule"


def test_final_is_not_believed_before_the_last_root_key_is_gone() -> None:
    gone_ms = verified(FINAL).conclusion.final_ms
    assert gone_ms is not None
    statement = verified(FINAL).statement
    for issued_ms, stage in ((gone_ms - 1, Stage.EFFECTIVE), (gone_ms, Stage.FINAL)):
        again = issue(
            replace(statement, issued_ms=issued_ms),
            lambda message: hazmat.sign(SEED, message),
            VECTORS["key_id"],
        )
        assert verified(again).conclusion.stage is stage
        assert json.loads(again)["stage"] == stage


def test_the_future_is_not_believed() -> None:
    issued_ms = verified(FINAL).statement.issued_ms
    verified(FINAL, now_ms=issued_ms - CLOCK_TOLERANCE_MS)
    with pytest.raises(IntegrityFailedError) as raised:
        verified(FINAL, now_ms=issued_ms - CLOCK_TOLERANCE_MS - 1)
    assert raised.value.details["check"] == "issued"


def test_external_id_and_salt_open_the_commitment() -> None:
    external_id = VECTORS["external_id"].encode()
    assert verified(FINAL, external_id=external_id, salt=SALT).commitment_checked
    for other in (
        {"external_id": b"customer-4712", "salt": SALT},
        {"external_id": external_id, "salt": bytes(32)},
        {"external_id": external_id, "salt": SALT[:31]},
        {"external_id": external_id},
        {"salt": SALT},
    ):
        with pytest.raises(InvalidRequestError):
            verified(FINAL, **other)


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof | {"checkpoint": proof["checkpoint"].replace("\n12\n", "\n13\n")},
        lambda proof: proof | {"checkpoint": proof["checkpoint"].partition("\n\n")[0] + "\n"},
        lambda proof: proof | {"checkpoint": ""},
        lambda proof: proof | {"path": proof["path"][:-1]},
        lambda proof: proof | {"tree_size": 13},
        lambda proof: proof | {"leaf_hash": proof["path"][0]},
    ],
)
def test_a_ledger_proof_that_does_not_hold_is_told_from_a_broken_certificate(change: Any) -> None:
    document = json.loads(FINAL)
    document["ledger"]["proof"] = change(document["ledger"]["proof"])
    with pytest.raises(IntegrityFailedError) as raised:
        verified(signed(document))
    assert raised.value.details["check"] == "ledger"


def test_the_checkpoint_may_be_signed_by_an_older_key_of_the_vault() -> None:
    """The certificate names one key; the checkpoint counts if any of the given ones signed it."""
    newer = bytes(range(32))
    key = hazmat.public_key(newer)
    body = json.loads(FINAL)
    del body["signature"]
    value = base64.b64encode(hazmat.sign(newer, SIGNED_PREFIX + canonical(body))).decode()
    again = canonical(
        body | {"signature": {"algorithm": "Ed25519", "key_id": signing_key_id(key), "value": value}}
    )
    assert verify(again, KEYS | {signing_key_id(key): key}, now_ms=NOW).ledger_checked
    with pytest.raises(IntegrityFailedError) as raised:
        verify(again, {signing_key_id(key): key}, now_ms=NOW)
    assert raised.value.details["check"] == "ledger"


def test_another_kind_of_signed_document_is_no_certificate() -> None:
    with pytest.raises(InvalidRequestError):
        verified(signed({"type": "customervault/erasure-certificate/v2"}))
    with pytest.raises(InvalidRequestError):
        verified(signed({}))


def test_only_the_key_that_is_named_counts() -> None:
    other = hazmat.public_key(bytes(32))
    with pytest.raises(InvalidRequestError):
        verify(FINAL, {signing_key_id(other): other}, now_ms=NOW)
    with pytest.raises(IntegrityFailedError):
        verify(FINAL, {VECTORS["key_id"]: other}, now_ms=NOW)


def test_the_example_in_the_documents_is_a_vector() -> None:
    assert (ROOT / "docs" / "erasure-certificate.example.json").read_bytes() == FINAL


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("certificate", VALID, ids=["effective", "final", "best effort"])
def test_certificates_fit_the_schema(certificate: bytes) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(certificate))


@pytest.mark.parametrize("path", members(json.loads(FINAL)), ids=str)
def test_the_schema_names_every_member_and_no_other(path: tuple[Any, ...]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    if isinstance(path[-1], str):
        for change in ("without", "renamed"):
            document = json.loads(FINAL)
            holder = document
            for name in path[:-1]:
                holder = holder[name]
            member = holder.pop(path[-1])
            if change == "renamed":
                holder["x" + path[-1]] = member
            assert not validator.is_valid(document)
