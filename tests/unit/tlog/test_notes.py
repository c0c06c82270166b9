"""Signed notes: published ones, our own, and what is not one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tlog.samples import LOG_KEY, OTHER_SEED, WITNESS_KEY, sign_log, sign_witness
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.tlog import notes
from vault.tlog.notes import COSIGNATURE, ED25519, Note, Signature, VerifierKey

VECTORS = Path(__file__).parents[2] / "vectors"
PUBLISHED = json.loads((VECTORS / "signed_notes.json").read_text(encoding="utf-8"))["tests"]
TEXT = "example.org/log\n7\nAAAA\n"
OTHER_KEY = VerifierKey("example.org/other", ED25519, hazmat.public_key(OTHER_SEED))

published = pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case["comment"])


@published
def test_published_notes_verify(case: dict[str, Any]) -> None:
    key = VerifierKey.parse(case["key"])
    assert str(key) == case["key"]
    assert key.type == (ED25519 if case["kind"] == "ed25519" else COSIGNATURE)
    note = Note.parse(case["note"].encode())
    assert note.encode().decode() == case["note"]
    (verified,) = notes.verify(note, [key, OTHER_KEY])
    assert (verified.key, verified.time_s) == (key, case.get("time_s", 0))


@published
def test_a_changed_published_note_does_not(case: dict[str, Any]) -> None:
    key = VerifierKey.parse(case["key"])
    changed = "Another" + case["note"]
    with pytest.raises(IntegrityFailedError):
        notes.verify(Note.parse(changed.encode()), [key])


def test_a_published_private_key_makes_the_published_signature() -> None:
    (case,) = [each for each in PUBLISHED if "seed" in each]
    note = Note.parse(case["note"].encode())
    key, seed = VerifierKey.parse(case["key"]), bytes.fromhex(case["seed"])
    assert notes.sign(note.text, key, lambda message: hazmat.sign(seed, message)) == note.signatures[0]


def signed() -> Note:
    cosigned = notes.cosign(TEXT, WITNESS_KEY, sign_witness, 1_700_000_000)
    return Note(TEXT, (notes.sign(TEXT, LOG_KEY, sign_log), cosigned))


def test_every_known_signature_is_verified_and_the_others_are_ignored() -> None:
    stranger = Signature("example.org/stranger", bytes(4), b"whatever")
    note = Note.parse(signed().with_signatures([stranger]).encode())
    verified = notes.verify(note, [LOG_KEY, WITNESS_KEY])
    assert [(each.key, each.time_s) for each in verified] == [(LOG_KEY, 0), (WITNESS_KEY, 1_700_000_000)]
    assert [each.key for each in notes.verify(note, [WITNESS_KEY])] == [WITNESS_KEY]


def test_a_note_that_nobody_known_has_signed_counts_for_nothing() -> None:
    with pytest.raises(IntegrityFailedError):
        notes.verify(signed(), [OTHER_KEY])
    with pytest.raises(IntegrityFailedError):
        notes.verify(signed(), [])


def test_one_failing_signature_of_a_known_key_spoils_the_note() -> None:
    log, witness = signed().signatures
    spoilt = Signature(witness.name, witness.key_id, witness.value[:-1] + bytes([witness.value[-1] ^ 1]))
    with pytest.raises(IntegrityFailedError):
        notes.verify(Note(TEXT, (log, spoilt)), [LOG_KEY, WITNESS_KEY])
    assert notes.verify(Note(TEXT, (log, spoilt)), [LOG_KEY])


@pytest.mark.parametrize("at", [0, 7, 8, 71])
def test_the_time_of_a_cosignature_is_signed(at: int) -> None:
    _, witness = signed().signatures
    value = bytearray(witness.value)
    value[at] ^= 1
    changed = Signature(witness.name, witness.key_id, bytes(value))
    with pytest.raises(IntegrityFailedError):
        notes.verify(Note(TEXT, (changed,)), [WITNESS_KEY])


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_does_not_hold(size: int) -> None:
    note = Note(TEXT, (Signature(LOG_KEY.name, LOG_KEY.id, bytes(size)),))
    with pytest.raises(IntegrityFailedError):
        notes.verify(note, [LOG_KEY])


def test_types_of_signatures_cannot_stand_in_for_each_other() -> None:
    key = VerifierKey(LOG_KEY.name, COSIGNATURE, LOG_KEY.public_key)
    assert key.id != LOG_KEY.id
    with pytest.raises(ValueError, match="cosigns"):
        notes.cosign(TEXT, LOG_KEY, sign_log, 1)
    with pytest.raises(ValueError, match="signs notes"):
        notes.sign(TEXT, key, sign_log)


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"])))
def test_any_text_comes_back(line: str) -> None:
    text = f"{line}\n\n{line}\n"
    note = Note(text, (notes.sign(text, LOG_KEY, sign_log),))
    again = Note.parse(note.encode())
    assert again == note
    assert notes.verify(again, [LOG_KEY])


LINE = notes.sign(TEXT, LOG_KEY, sign_log).line()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TEXT.encode(),
        f"{TEXT}{LINE}".encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}\n{LINE}".encode()[:-1],
        f"{TEXT}\n{LINE}x".encode(),
        f"{TEXT}\n-{LINE[1:]}".encode(),
        f"{TEXT}\n{LINE}".replace("/log", "/l\x07g").encode(),
        f"{TEXT}\n{LINE}".encode().replace(b"7", b"\xff", 1),
        f"{TEXT}\n{LINE.replace('=', '')}".encode(),
        f"{TEXT}\n— name AAAA\n".encode(),
        f"{TEXT}\n— a+b AAAAAAAA\n".encode(),
        f"{TEXT}\n—  AAAAAAAA\n".encode(),
        f"{TEXT}\n— name AAAAAAB=\n".encode(),
        f"{TEXT}\n{LINE * 65}".encode(),
        f"{'x' * 65536}\n\n{LINE}".encode(),
    ],
)
def test_what_is_no_note_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        Note.parse(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        str(LOG_KEY).replace("example", "exomple"),
        str(LOG_KEY)[:-4],
        f"{LOG_KEY}=",
        "example.org/log+00000000+" + str(LOG_KEY).split("+", 2)[2],
        "a b" + str(LOG_KEY),
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        VerifierKey.parse(text)
