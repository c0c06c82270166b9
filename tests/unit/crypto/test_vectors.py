"""Published and own answers, one test per case; the files name their sources."""

import json
from pathlib import Path
from typing import Any

import pytest

from vault.crypto import hazmat, subkeys, tokens
from vault.errors import IntegrityFailedError, TokenMalformedError, TokenUnknownError
from vault.model.ids import TokenParts

VECTORS = Path(__file__).parents[2] / "vectors"
AEADS = ["xchacha20_poly1305.json", "aes_256_gcm.json", "aegis_256.json"]

Case = dict[str, Any]


def load(name: str) -> Case:
    document: Case = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return document


def each_case(*names: str) -> pytest.MarkDecorator:
    """One test per case of these files; a case takes over what its file says once for all."""
    cases = []
    for name in names:
        document = load(name)
        for case in document.pop("tests"):
            cases.append(pytest.param(document | case, id=f"{Path(name).stem}: {case['comment']}"))
    return pytest.mark.parametrize("case", cases)


def unhex(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_files_name_their_sources(path: Path) -> None:
    document = load(path.name)
    assert document["source"]
    assert document["comment"]
    assert all(case["comment"] for case in document["tests"])


@each_case(*AEADS)
def test_aead_opens_genuine_answers_and_nothing_else(case: Case, memory: hazmat.GuardedMemory) -> None:
    names = ("key", "nonce", "aad", "plaintext", "ciphertext", "tag")
    key, nonce, aad, plaintext, ciphertext, tag = unhex(case, *names)
    opener = hazmat.Opener()
    fast = opener.open_fast(case["suite"])
    hazmat.load_key(memory.pointer(), key)
    arguments = (memory.pointer(), nonce, ciphertext + tag, aad)
    if case["result"] == "valid":
        assert opener.open(case["suite"], *arguments) == plaintext
        assert fast(*arguments) == plaintext
    else:
        with pytest.raises(IntegrityFailedError):
            opener.open(case["suite"], *arguments)
        assert fast(*arguments) is None


@each_case("aes_256_block.json")
def test_aes_block(case: Case) -> None:
    key, plaintext, ciphertext = unhex(case, "key", "plaintext", "ciphertext")
    cipher = hazmat.AesBlockCipher(key)
    assert cipher.encipher(plaintext) == ciphertext
    assert cipher.decipher(ciphertext) == plaintext


@each_case("crypto_kdf.json")
def test_crypto_kdf(case: Case, memory: hazmat.GuardedMemory) -> None:
    master, subkey = unhex(case, "master", "subkey")
    number, context = case["subkey_id"], case["context"].encode()
    hazmat.load_key(memory.pointer(), master)
    assert hazmat.derive_public(memory.pointer(), number, context, len(subkey)) == subkey
    if len(subkey) == 32:
        hazmat.derive_subkey(memory.pointer(), number, context, memory.pointer(32))
        assert bytes(memory.view(32, 32)) == subkey


def test_dek_subkeys(memory: hazmat.GuardedMemory) -> None:
    document = load("dek_subkeys_v1.json")
    expected = {case["subkey_id"]: bytes.fromhex(case["subkey"]) for case in document["tests"]}
    dek, out = memory.pointer(), memory.pointer(32)
    hazmat.load_key(dek, bytes.fromhex(document["dek"]))
    derived = {}
    for suite in (1, 2, 3):
        subkeys.derive_seal_key(dek, suite, out)
        derived[suite] = bytes(memory.view(32, 32))
    for number, derive in [
        (subkeys.ROW_MAC, subkeys.derive_row_mac_key),
        (subkeys.FINGERPRINT, subkeys.derive_fingerprint_key),
        (subkeys.SHEET, subkeys.derive_sheet_key),
        (subkeys.AUDIT_LOCATOR, subkeys.derive_locator_key),
        (subkeys.CONSENT_EVENTS, subkeys.derive_consent_key),
    ]:
        derive(dek, out)
        derived[number] = bytes(memory.view(32, 32))
    assert derived == expected
    assert len(set(derived.values())) == len(derived)
    assert subkeys.key_check_value(dek).hex() == document["key_check_value"]


@each_case("blake2b_keyed.json")
def test_keyed_hash(case: Case, memory: hazmat.GuardedMemory) -> None:
    key, data, expected = unhex(case, "key", "data", "hash")
    hazmat.load_key(memory.pointer(), key)
    assert hazmat.keyed_hash(memory.pointer(), data, len(expected)) == expected


@each_case("ed25519.json")
def test_ed25519(case: Case) -> None:
    seed, public, message, signature = unhex(case, "seed", "public_key", "message", "signature")
    if case["result"] == "valid":
        assert hazmat.public_key(seed) == public
        assert hazmat.sign(seed, message) == signature
        hazmat.verify(public, signature, message)
    else:
        with pytest.raises(IntegrityFailedError):
            hazmat.verify(public, signature, message)


@each_case("argon2id.json")
def test_argon2id(case: Case) -> None:
    passphrase, salt, key = unhex(case, "passphrase", "salt", "key")
    limits = {"opslimit": case["opslimit"], "memlimit": case["memlimit_bytes"]}
    assert hazmat.argon2id(passphrase, salt, **limits, size=len(key)) == key


@pytest.mark.parametrize("convert", [str, str.upper], ids=["as issued", "upper case"])
@each_case("token_v1.json")
def test_tokens(case: Case, convert: Any) -> None:
    generation, text = case["generation"], convert(case["token"])
    cipher = hazmat.AesBlockCipher(bytes.fromhex(case["key"]))
    codec = tokens.TokenCodec({generation: cipher}, current=generation)
    if case["result"] == "valid":
        numbers = (case["region"], case["domain"], case["customer_no"], case["value_no"])
        assert tokens.block(*numbers).hex() == case["block"]
        assert codec.encode(TokenParts(*numbers)) == case["token"]
        assert codec.decode(text) == TokenParts(*numbers)
        block = bytes.fromhex(case["block"])
        assert codec.decipher_batch([text]) == block
    else:
        error = {"malformed": TokenMalformedError, "unknown": TokenUnknownError}[case["result"]]
        with pytest.raises(error):
            codec.decode(text)
        assert codec.decipher_batch([text]) == tokens.NO_BLOCK
