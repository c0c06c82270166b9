"""The vectors that docs/formats.md quotes hold against the code.

They were computed from the document, not with the code: both have to agree with them.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from vault.audit import records
from vault.audit.layout import parse_name
from vault.audit.sealed.bundles import Bundle, compress
from vault.audit.sealed.checkpoints import audit_key
from vault.audit.sealed.files import SPAN
from vault.audit.sealed.index import entries_of
from vault.audit.sealed.leaves import leaves_of, locators_of, segment_head, stamp_of
from vault.audit.sealed.retention import Truncation
from vault.consent.events import ConsentEvent, Kind, require_chain
from vault.consent.receipts import verify_receipt
from vault.core.indexkeys import external_hash, search_hash, surrogate_hash
from vault.core.records import open_record
from vault.core.rows import Rows
from vault.core.secrets import VaultSecrets
from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.crypto.slots import SlotPool
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.erasure.verifying import verify
from vault.errors import IntegrityFailedError
from vault.keys.keyring import Keyring
from vault.keys.opendek import SLOT_BYTES, DekOpener, OpenDek
from vault.model.consent import LawfulBasis
from vault.model.ids import CustomerNo, Epoch, Generation, Region
from vault.store.consents import SealedEvent, consent_aad, consent_key, seq_of
from vault.store.layout import CustomerRow, RowState, ValueHeader, ValueRecord, split_dek_key
from vault.store.ledger import Ledger, Sign, pack_body
from vault.store.meta import Meta
from vault.store.proofs import LedgerProof, ledger_key
from vault.store.sheet import SHEET_HEADER, SealedSheet, Sheet, sheet_aad
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import leaf_hash
from vault.tlog.tiles import Edge, join_entries

VECTORS = Path(__file__).parents[2] / "vectors"

Case = dict[str, Any]


def load(name: str) -> Case:
    document: Case = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return document


def each_case(name: str) -> pytest.MarkDecorator:
    """One test per case; a case takes over what its file says once for all."""
    document = load(name)
    tests = document.pop("tests")
    cases = [pytest.param(document | case, id=case["comment"]) for case in tests]
    return pytest.mark.parametrize("case", cases)


def unhex(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


@pytest.fixture
def memory() -> Iterator[hazmat.GuardedMemory]:
    memory = hazmat.GuardedMemory(64)
    yield memory
    memory.free()


@pytest.fixture
def pool() -> Iterator[SlotPool]:
    pool = SlotPool(SLOT_BYTES, 16 * SLOT_BYTES, slab_slots=16)
    yield pool
    pool.close()


@pytest.fixture
def keyring(memory: hazmat.GuardedMemory) -> Keyring:
    case = load("keyring_row_v1.json")
    hazmat.load_key(memory.pointer(), bytes.fromhex(case["edk"]))
    return Keyring(memory, bytes.fromhex(case["vault_id"]), Epoch(case["epoch"]))


@pytest.fixture
def dek(keyring: Keyring, pool: SlotPool) -> Iterator[OpenDek]:
    """The data key of all vectors, out of its keyring row."""
    with opened(keyring, pool, load("keyring_row_v1.json")["tests"][0]) as dek:
        yield dek


@pytest.fixture
def secrets() -> Iterator[VaultSecrets]:
    case = load("keyed_hash_v1.json")
    keys = dict.fromkeys(("token-key/1", "signing-key", "request-mac", "ca-key"), bytes(32))
    keys |= {"row-mac": bytes.fromhex(case["row_mac"])}
    secrets = VaultSecrets(keys)
    yield secrets
    secrets.close()


class _OneEpoch:
    """Holds one epoch's keyring, as `Keyrings` does, without a vault's directory."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def at(self, epoch: int) -> Keyring:
        return self._keyring


def opened(keyring: Keyring, pool: SlotPool, case: Case) -> AbstractContextManager[OpenDek]:
    region, customer, generation = split_dek_key(bytes.fromhex(case["key"]))
    opener = DekOpener(_OneEpoch(keyring), pool, XCHACHA20_POLY1305)
    return opener.unwrap(bytes.fromhex(case["row"]), 1, region, customer, generation)


@each_case("value_record_v1.json")
def test_value_record(case: Case, dek: OpenDek) -> None:
    vault_id, key, record = unhex(case, "vault_id", "key", "record")
    parsed = ValueRecord.unpack(record)
    assert parsed.pack() == record
    assert parsed.header == ValueHeader(**case["header"])
    if case["result"] == "valid":
        plaintext = open_record(dek, hazmat.Opener(), vault_id + key, record)
        assert plaintext == case["plaintext"].encode()
    else:
        with pytest.raises(IntegrityFailedError):
            open_record(dek, hazmat.Opener(), vault_id + key, record)


@each_case("customer_row_v1.json")
def test_customer_row(case: Case, dek: OpenDek, secrets: VaultSecrets) -> None:
    vault_id, key, raw = unhex(case, "vault_id", "key", "row")
    row = CustomerRow.unpack(raw)
    assert row.pack() == raw
    compute = secrets.row_mac if case["mac_key"] == "row-mac" else dek.row_mac
    genuine = compute(vault_id + key + row.authenticated()) == row.mac
    assert genuine == (case["result"] == "valid")
    if case["fields"] is not None:
        fields = case["fields"] | {"state": RowState(case["fields"]["state"])}
        assert row == CustomerRow(**fields, mac=row.mac)


@each_case("keyed_hash_v1.json")
def test_keyed_hash(case: Case, dek: OpenDek, secrets: VaultSecrets, memory: hazmat.GuardedMemory) -> None:
    hazmat.load_key(memory.pointer(), bytes.fromhex(load("keyed_hash_v1.json")["index_external"]))
    data, expected, vault_id = unhex(case, "data", "hash", "vault_id")
    compute = {
        "fingerprint": dek.fingerprint,
        "audit locator": dek.locator,
        "index/external": lambda data: external_hash(memory.pointer(), data.removeprefix(b"external_id\0")),
        "index/surrogate": lambda data: surrogate_hash(memory.pointer(), data[10], data[11:]),
        "index/search": lambda data: search_hash(memory.pointer(), data.removeprefix(b"search\0")),
        "row-mac": secrets.row_mac,
    }[case["key"]]
    assert compute(data) == expected
    if case["key"] == "row-mac":
        table, key, body = data.removeprefix(vault_id).split(b"\0", 2)
        assert Rows(secrets, vault_id).open(table.decode(), key, body + expected) == body


@each_case("sheet_v2.json")
def test_sheet_with_surrogates(case: Case, dek: OpenDek) -> None:
    test_sheet(case, dek)


@each_case("sheet_v1.json")
def test_sheet(case: Case, dek: OpenDek) -> None:
    vault_id, key, raw, plaintext = unhex(case, "vault_id", "key", "sheet", "plaintext")
    sealed = SealedSheet.unpack(raw)
    assert sealed.pack() == raw
    aad = sheet_aad(vault_id, key, raw[: SHEET_HEADER.size])
    arguments = (XCHACHA20_POLY1305, dek.sheet_key, sealed.nonce, sealed.ciphertext, aad)
    if case["result"] == "invalid":
        with pytest.raises(IntegrityFailedError):
            hazmat.Opener().open(*arguments)
        return
    assert hazmat.Opener().open(*arguments) == plaintext
    if case["result"] == "malformed":
        with pytest.raises(IntegrityFailedError):
            Sheet.unpack(plaintext, sealed.version)
    else:
        sheet = Sheet.unpack(plaintext, sealed.version)
        assert (sheet.pack(), sheet.version) == (plaintext, sealed.version)


@each_case("consent_event_v1.json")
def test_consent_event(case: Case, dek: OpenDek) -> None:
    vault_id, at, raw = unhex(case, "vault_id", "key", "row")
    sealed = SealedEvent.unpack(raw)
    assert sealed.pack() == raw
    assert at == consent_key(1, 7, seq_of(at))

    def opened() -> bytes:
        aad = consent_aad(vault_id, at, sealed.header())
        with dek.consent_key() as key:
            return hazmat.Opener().open(XCHACHA20_POLY1305, key, sealed.nonce, sealed.ciphertext, aad)

    if case["result"] == "invalid":
        with pytest.raises(IntegrityFailedError):
            opened()
        return
    plaintext = opened()
    assert plaintext.decode() == case["plaintext"]
    if case["result"] == "malformed":
        with pytest.raises(IntegrityFailedError):
            ConsentEvent.unpack(plaintext)
    else:
        event = ConsentEvent.unpack(plaintext)
        assert event.pack() == plaintext
        assert event.digest().hex() == case["sha256"]


def test_the_events_of_the_vectors_are_a_chain() -> None:
    events = [
        ConsentEvent.unpack(each["plaintext"].encode())
        for each in load("consent_event_v1.json")["tests"]
        if each["result"] == "valid"
    ]
    require_chain(events, 2, events[-1].digest())


@each_case("consent_receipt_v1.json")
def test_consent_receipt(case: Case) -> None:
    receipt, keys = case["receipt"].encode(), {case["key_id"]: bytes.fromhex(case["public_key"])}
    if case["result"] == "valid":
        facts = verify_receipt(receipt, keys, now_ms=case["now_ms"])
        assert facts.event.kind is Kind.WITHDRAWN
        assert facts.event.digest().hex() == json.loads(receipt)["event_sha256"]
    else:
        with pytest.raises(IntegrityFailedError):
            verify_receipt(receipt, keys, now_ms=case["now_ms"])


@each_case("keyring_row_v1.json")
def test_keyring_row(case: Case, keyring: Keyring, pool: SlotPool, memory: hazmat.GuardedMemory) -> None:
    row, plaintext = unhex(case, "row", "plaintext")

    def unwrap() -> bytes:
        if case["kind"] == "secret":
            return keyring.unwrap_secret(case["key"], row)
        region, customer, generation = split_dek_key(bytes.fromhex(case["key"]))
        keyring.unwrap_dek(row, region, customer, generation, memory.pointer(32))
        return bytes(memory.view(32, 32))

    if case["result"] == "valid":
        assert unwrap() == plaintext
    else:
        with pytest.raises(IntegrityFailedError):
            unwrap()


def test_what_the_keyring_wraps_has_the_length_of_the_vector(keyring: Keyring, dek: OpenDek) -> None:
    row = keyring.wrap_dek(dek.pointer, Region(1), CustomerNo(7), Generation(1))
    expected = bytes.fromhex(load("keyring_row_v1.json")["tests"][0]["row"])
    assert len(row) == len(expected) == 81
    assert row[:9] == expected[:9]


@each_case("meta_row_v1.json")
def test_meta_row(case: Case) -> None:
    vault_id, row = unhex(case, "vault_id", "row")
    if case["result"] == "valid":
        assert Meta.unpack(row, vault_id) == Meta(**case["fields"])
        assert Meta(**case["fields"]).pack(vault_id) == row
    else:
        with pytest.raises(IntegrityFailedError):
            Meta.unpack(row, vault_id)


def signing(document: Case) -> Sign:
    seeds = {hazmat.public_key(seed): seed for seed in unhex(document, "seed", "next_seed")}
    return lambda public_key, message: hazmat.sign(seeds[public_key], message)


def test_ledger(tmp_path: Path) -> None:
    document = load("ledger_v1.json")
    vault_id, public_key = unhex(document, "vault_id", "public_key")
    bodies = [bytes.fromhex(case["body"]) for case in document["tests"]]

    path = tmp_path / "entries"
    Ledger.create(path)
    ledger = Ledger.open(path, vault_id, hazmat.verify, trusted={public_key})
    assert ledger.last.chain.hex() == document["chain_0"]
    ledger.append_all(bodies, signing(document))
    entries = list(ledger.entries())
    ledger.verify_signatures()
    ledger.close()

    frames = b""
    for case, entry in zip(document["tests"], entries, strict=True):
        assert entry.payload.TYPE.name == case["comment"]
        assert pack_body(entry.seq, entry.time_ms, entry.payload).hex() == case["body"]
        assert (entry.leaf.hex(), entry.chain.hex()) == (case["leaf"], case["chain"])
        assert entry.signature.hex() == case["signature"]
        body, chain, signature = unhex(case, "body", "chain", "signature")
        frames += len(body).to_bytes(4, "big") + body + chain + signature
    content = path.read_bytes()
    assert content.startswith(frames)
    assert not any(content[len(frames) :])


@each_case("ledger_checkpoint_v1.json")
def test_ledger_checkpoint(case: Case, tmp_path: Path) -> None:
    document = load("ledger_v1.json")
    vault_id, seed, public_key = unhex(document, "vault_id", "seed", "public_key")
    Ledger.create(tmp_path / "entries")
    ledger = Ledger.open(tmp_path / "entries", vault_id)
    ledger.append_all([bytes.fromhex(each["body"]) for each in document["tests"]], signing(document))
    checkpoint, key = ledger.checkpoint(case["size"]), ledger_key(vault_id, public_key)
    assert (checkpoint.root.hex(), str(key)) == (case["root"], case["key"])
    note = checkpoint.signed(key, lambda message: hazmat.sign(seed, message))
    assert note.encode().decode() == f"{checkpoint.text()}\n{case['signature']}\n"
    hashes = ledger.inclusion_proofs([case["seq"]], case["size"])[0]
    assert b"".join(hashes).hex() == case["proof"]
    proof = LedgerProof(case["seq"], case["size"], bytes.fromhex(case["leaf"]), tuple(hashes), note.encode())
    assert proof.verify(key)
    ledger.close()


@each_case("erasure_certificate_v1.json")
def test_erasure_certificate(case: Case) -> None:
    public_key, salt = unhex(case, "public_key", "salt")
    certificate, external_id = case["certificate"].encode(), case["external_id"].encode()
    keys = {case["key_id"]: public_key}
    assert signing_key_id(public_key) == case["key_id"]
    if case["result"] == "valid":
        found = verify(certificate, keys, now_ms=case["now_ms"], external_id=external_id, salt=salt)
        assert case["comment"].startswith(
            found.conclusion.stage.value.replace("-best", ", best").replace("-", " ")
        )
    else:
        with pytest.raises(IntegrityFailedError) as raised:
            verify(certificate, keys, now_ms=case["now_ms"])
        assert bool(raised.value.details) == (case["result"] == "contradicts itself")


@each_case("audit_record_v1.json")
def test_audit_record(case: Case) -> None:
    frame = bytes.fromhex(case["frame"])
    decoded, fields = records.decode(frame[records.FRAME.size :]), case["record"]
    if case["kind"] == "act":
        assert isinstance(decoded, records.ActRecord)
        locators = tuple(bytes.fromhex(each) for each in fields["locators"])
        assert decoded == records.ActRecord(**fields | {"locators": locators})
        assert records.encode_act(decoded) == frame
        return
    assert isinstance(decoded, records.ReadRecord)
    assert [list(each) for each in decoded.unknown] == fields["unknown"]
    for group, expected in zip(decoded.groups, fields["groups"], strict=True):
        assert group.locator.hex() == expected["locator"]
        assert [[i.value_no, i.field_class, i.outcome] for i in group] == expected["items"]
    chunks = [records.read_body_chunk(group.locator, group.items) for group in decoded.groups]
    unknown = b"".join(code.to_bytes(1, "big") + n.to_bytes(4, "big") for code, n in decoded.unknown)
    stamp = [fields[name] for name in ("seq", "time_ms", "principal_id", "action", "purpose_id")]
    basis = LawfulBasis(fields["basis"]) if "basis" in fields else None
    assert decoded.basis == basis
    assert records.encode_read(*stamp, b"".join(chunks), unknown, basis) == frame


@each_case("audit_tree_v1.json")
def test_audit_tree(case: Case) -> None:
    document = load("audit_tree_v1.json")
    recorded = [load("audit_record_v1.json")["tests"][number] for number in (0, 2)]
    vault_id, seed = unhex(document, "vault_id", "seed")
    key = audit_key(vault_id, hazmat.public_key(seed))
    name = parse_name(case["segment"] + ".seg")
    assert name is not None
    bodies = [bytes.fromhex(each["frame"])[records.FRAME.size :] for each in recorded]
    made = [
        leaf
        for offset, body in zip(case["offsets"], bodies, strict=True)
        for leaf in leaves_of(segment_head(name), offset, body)
    ]
    assert [leaf.hex() for leaf in made] == [case["first"], case["second"]]
    assert join_entries(made).hex() == case["bundle"]
    edge = Edge()
    edge.append(b"".join(leaf_hash(leaf) for leaf in made))
    assert [tile.hashes.hex() for tile in edge.partials()] == [case["tile"]]
    root = edge.root()
    assert (root.hex(), str(key)) == (case["root"], case["key"])

    def sign(message: bytes) -> bytes:
        return hazmat.sign(seed, message)

    assert Checkpoint(key.name, 2, root).signed(key, sign).signatures[0].line() == case["signature"] + "\n"
    truncation = Truncation(key.name, 0, 2, root, 1767225600000).signed(key, sign)
    assert truncation.signatures[0].line() == case["truncated"] + "\n"
    stamps = [stamp_of(leaf) for leaf in made]
    times, bits = [each[1] for each in stamps], {1 << each[2] % 64 for each in stamps}
    assert SPAN.pack(min(times), max(times), sum(bits)).hex() == case["span"]
    run = sorted(entries_of([locator], n) for n, body in enumerate(bodies) for locator in locators_of(body))
    assert b"".join(run).hex() == case["run"]


@each_case("audit_bundle_v1.json")
def test_audit_bundle(case: Case) -> None:
    head, packed = unhex(case, "head", "packed")
    assert packed.startswith(head)
    entries = [bytes([number]) for number in range(256)]
    bundle = Bundle(None, packed)
    assert [bundle[at] for at in range(256)] == entries
    assert bundle.content == join_entries(entries)
    lengths = slice(16, 48)  # the table, whose lengths are the compressor's
    made = compress(join_entries(entries))
    assert made[:16] == head[:16]
    assert [made[lengths][at : at + 4] for at in (4, 12, 20, 28)] == [
        head[lengths][at : at + 4] for at in (4, 12, 20, 28)
    ]
