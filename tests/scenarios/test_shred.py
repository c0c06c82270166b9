import hashlib
from dataclasses import replace

import pytest

from tests.scenarios.support.certificates import checked, checked_shred, published_keys
from tests.scenarios.support.deployment import by_id, by_token, new_id
from tests.scenarios.support.elsewhere import opened_elsewhere
from tests.scenarios.support.tampering import tampering
from vault.erasure.verifying import verify
from vault.errors import (
    ActionDeniedError,
    AlreadyShreddedError,
    BatchAbortedError,
    CustomerUnknownError,
    ErasureUnknownError,
    IntegrityFailedError,
    LimitExceededError,
    Reason,
    RequestIdReusedError,
    ShreddedError,
    TokenUnknownError,
    VaultError,
)
from vault.model.erasure import Stage
from vault.model.requests import CustomerState, ShredResult, ValueState
from vault.store.layout import customer_key, value_key
from vault.store.ledger import Ledger

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456"}
BOB = {"name": "Bob Roe"}


def opens(commitment: bytes, external_id: str, salt: bytes) -> bool:
    """As anybody with the salt can check it, from what is documented."""
    return commitment == hashlib.sha256(b"customervault erasure v1\0" + salt + external_id.encode()).digest()


def answer(gone: ShredResult) -> ShredResult:
    """Without the certificate, which is made anew for each retry."""
    assert gone.certificate is not None
    return replace(gone, certificate=None)


def test_after_a_shred_every_token_of_the_customer_is_dead_and_no_others(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", BOB)
    assert desks.crm.read([*jane, *bob]).values == [*JANE.values(), *BOB.values()]
    gone = desks.eraser.shred(by_id("crm-1"))
    assert gone.values == 4  # the external id is a value of its own
    assert gone.dek_generations == 1
    assert desks.crm.denied(jane) == [Reason.SHREDDED] * 3
    assert desks.crm.plain(bob[0]) == "Bob Roe"


def test_a_process_that_has_the_key_in_its_cache_serves_nothing_after_the_acknowledgement(deployment):
    with deployment.opened() as desks, opened_elsewhere(deployment) as other:
        tokens = desks.crm.tokens("crm-1", JANE)
        assert other.read("crm", tokens)["values"] == list(JANE.values())
        desks.eraser.shred(by_id("crm-1"))
        assert other.read("crm", tokens)["denials"] == [[index, "SHREDDED"] for index in range(3)]
        assert other.read("crm", tokens)["values"] == ["", "", ""]


def test_every_use_case_says_shredded(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    shred_id = desks.eraser.shred(by_token(tokens[0])).erasure.shred_id
    customer = desks.crm.customer(by_token(tokens[1]))
    assert (customer.state, customer.shred_id, list(customer.held)) == (CustomerState.SHREDDED, shred_id, [])
    info = desks.vault.inspect(desks.crm.caller, tokens[2])
    assert (info.state, info.customer_state, info.field_class) == (
        ValueState.SHREDDED,
        CustomerState.SHREDDED,
        "",
    )
    with pytest.raises(ShreddedError):
        desks.vault.export_customer(desks.privacy.caller, by_token(tokens[0]), "support", "")
    with pytest.raises(ShreddedError):
        desks.vault.rotate_dek(desks.admin.caller, by_token(tokens[0]), "")
    translated = desks.vault.translate(desks.bridge.caller, tokens, "partner")
    assert [denial.reason for denial in translated.denials] == [Reason.SHREDDED] * 3


def test_shredding_again_says_so_by_token_and_unknown_by_id(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.eraser.shred(by_id("crm-1"))
    for ref, error in ((by_token(tokens[0]), AlreadyShreddedError), (by_id("crm-1"), CustomerUnknownError)):
        with pytest.raises(error):
            desks.eraser.shred(ref)


def test_an_external_id_created_again_is_a_new_customer(desks):
    old = desks.crm.store("crm-1", JANE)
    desks.eraser.shred(by_id("crm-1"))
    new = desks.crm.store("crm-1", JANE)
    assert new.customer_created
    assert not {each.token for each in old.results} & {each.token for each in new.results}
    assert old.customer_token != new.customer_token
    assert desks.crm.denied([each.token for each in old.results]) == [Reason.SHREDDED] * 3
    assert desks.crm.read([each.token for each in new.results]).values == list(JANE.values())


def test_a_replayed_request_never_resurrects(deployment):
    request_id = new_id()
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE, request_id=request_id)
        desks.eraser.shred(by_id("crm-1"))
        with pytest.raises(ShreddedError):
            desks.crm.tokens("crm-1", JANE, request_id=request_id)
    with deployment.opened() as desks:
        with pytest.raises(ShreddedError):
            desks.crm.tokens("crm-1", JANE, request_id=request_id)
        assert desks.crm.denied(tokens) == [Reason.SHREDDED] * 3
        with pytest.raises(CustomerUnknownError):
            desks.crm.customer(by_id("crm-1"))


def test_a_retry_of_a_shred_answers_the_same_with_the_same_salt_also_in_a_new_process(deployment):
    request_id = new_id()
    with deployment.opened() as desks:
        desks.crm.store("crm-1", JANE)
        first = desks.eraser.shred(by_id("crm-1"), request_id)
        assert answer(desks.eraser.shred(by_id("crm-1"), request_id)) == answer(first)
    with deployment.opened() as desks:
        again = desks.eraser.shred(by_id("crm-1"), request_id)
        assert answer(again) == answer(first)
        checked_shred(deployment, again)
    assert opens(first.erasure.commitment, "crm-1", first.salt)
    assert not opens(first.erasure.commitment, "crm-2", first.salt)


def test_a_retry_does_not_shred_the_customer_that_came_after(desks):
    request_id = new_id()
    desks.crm.store("crm-1", JANE)
    first = desks.eraser.shred(by_id("crm-1"), request_id)
    tokens = desks.crm.tokens("crm-1", JANE)
    assert answer(desks.eraser.shred(by_id("crm-1"), request_id)) == answer(first)
    assert desks.crm.read(tokens).values == list(JANE.values())


def test_a_request_id_with_another_customer_is_refused_and_shreds_nobody(desks):
    request_id = new_id()
    desks.crm.store("crm-1", JANE)
    (bob,) = desks.crm.tokens("crm-2", BOB)
    desks.eraser.shred(by_id("crm-1"), request_id)
    with pytest.raises(RequestIdReusedError):
        desks.eraser.shred(by_id("crm-2"), request_id)
    assert desks.crm.plain(bob) == "Bob Roe"


def test_salts_are_unrelated_and_the_vault_keeps_none(deployment):
    with deployment.opened() as desks:
        salts = []
        for number, request_id in enumerate(("", "", new_id(), new_id())):
            desks.crm.store(f"crm-{number}", BOB)
            salts.append(desks.eraser.shred(by_id(f"crm-{number}"), request_id).salt)
        assert len(set(salts)) == 4
        assert all(len(salt) == 32 for salt in salts)
    everything = b"".join(path.read_bytes() for path in deployment.data_dir.rglob("*") if path.is_file())
    for salt in salts:
        assert salt not in everything
        assert salt.hex().encode() not in everything


def test_the_certificate_verifies_offline_and_not_with_any_byte_changed(deployment):
    with deployment.opened() as desks:
        desks.crm.store("crm-1", JANE)
        gone = desks.eraser.shred(by_id("crm-1"))
        assert desks.vault.get_erasure(desks.eraser.caller, gone.erasure.shred_id) == gone.erasure
    checked_shred(deployment, gone)
    keys, now_ms = published_keys(deployment.data_dir), gone.erasure.effective_ms + 60_000
    whom = {"external_id": b"crm-1", "salt": gone.salt}
    assert verify(gone.certificate.content, keys, now_ms=now_ms, **whom).commitment_checked
    for at in range(len(gone.certificate.content)):
        changed = bytearray(gone.certificate.content)
        changed[at] ^= 1
        with pytest.raises(VaultError):
            verify(bytes(changed), keys, now_ms=now_ms)


def test_the_certificate_says_what_was_shredded_and_no_more_than_is_true(deployment):
    with deployment.opened() as desks:
        desks.crm.store("crm-1", JANE)
        gone = desks.eraser.shred(by_id("crm-1"))
        ledger = {entry.seq: entry for entry in desks.vault.engine.store.ledger()}
    statement = checked_shred(deployment, gone).statement
    conclusion = checked_shred(deployment, gone).conclusion
    assert (conclusion.stage, conclusion.assurance, conclusion.final_ms) == (Stage.EFFECTIVE, None, None)
    assert (statement.values, [each.generation for each in statement.generations]) == (4, [1])
    assert [(each.epoch, each.provider) for each in statement.attempts] == [(1, "file")]
    assert statement.proof.leaf_hash == ledger[statement.entry_seq].leaf
    assert ledger[statement.entry_seq].payload.commitment == gone.erasure.commitment
    assert not statement.held_outside
    assert any("roll-back" in each for each in statement.not_covered)
    content = gone.certificate.content.decode()
    assert not any(value in content for value in ("crm-1", *JANE.values()))


def test_a_batch_gives_a_certificate_for_each_that_was_shredded(deployment):
    with deployment.opened() as desks:
        for number in range(300):
            desks.crm.store(f"crm-{number}", BOB)
        results = desks.eraser.shred_all([by_id(f"crm-{number}") for number in range(-1, 300)])
    assert results[0].certificate is None
    for each in results[1:]:
        checked_shred(deployment, each)
    assert len({each.certificate.content for each in results[1:]}) == 300


def test_a_reply_that_would_grow_too_large_leaves_certificates_out(deployment):
    with (deployment.data_dir / "vault.toml").open("a") as file:
        file.write("[limits]\nreply_bytes = 12000\n")
    with deployment.opened() as desks:
        for number in range(8):
            desks.crm.store(f"crm-{number}", BOB)
        results = desks.eraser.shred_all([by_id(f"crm-{number}") for number in range(8)])
        left_out = [each for each in results if each.certificate is None]
        assert 1 < len(left_out) < 8
        assert left_out == results[-len(left_out) :]
        for each in left_out:
            assert len(each.salt) == 32
            late = desks.vault.get_certificate(desks.eraser.caller, each.erasure.shred_id)
            assert checked(deployment, late).statement.commitment == each.erasure.commitment


def test_a_certificate_that_cannot_be_made_does_not_cost_the_salt(deployment, monkeypatch):
    with deployment.opened() as desks:
        desks.crm.store("crm-1", JANE)

        def damaged(*_):
            raise IntegrityFailedError

        monkeypatch.setattr(Ledger, "inclusion_proofs", damaged)
        gone = desks.eraser.shred(by_id("crm-1"))
        assert (gone.certificate, gone.erasure.stage, len(gone.salt)) == (None, Stage.EFFECTIVE, 32)
        assert opens(gone.erasure.commitment, "crm-1", gone.salt)
        with pytest.raises(IntegrityFailedError):
            desks.vault.get_certificate(desks.eraser.caller, gone.erasure.shred_id)
        monkeypatch.undo()
        checked(deployment, desks.vault.get_certificate(desks.eraser.caller, gone.erasure.shred_id))


def test_who_may_shred_or_inspect_gets_certificates(desks):
    desks.crm.store("crm-1", JANE)
    shred_id = desks.eraser.shred(by_id("crm-1")).erasure.shred_id
    for desk in (desks.eraser, desks.crm, desks.admin):
        assert desks.vault.get_certificate(desk.caller, shred_id).stage is Stage.EFFECTIVE
        assert desks.vault.get_erasure(desk.caller, shred_id).shred_id == shred_id
    for desk in (desks.agent, desks.nobody):
        with pytest.raises(ActionDeniedError):
            desks.vault.get_certificate(desk.caller, shred_id)
        with pytest.raises(ActionDeniedError):
            desks.vault.get_erasure(desk.caller, shred_id)


def test_a_preview_counts_what_would_go_and_changes_nothing(desks):
    (name, *_) = desks.crm.tokens("crm-1", JANE)
    known, unknown = desks.eraser.shred_all([by_id("crm-1"), by_id("crm-9")], validate_only=True)
    assert (known.values, known.dek_generations, known.erasure, known.salt) == (4, 1, None, b"")
    assert unknown.error is not None
    assert unknown.error.reason is Reason.CUSTOMER_UNKNOWN
    assert desks.crm.plain(name) == "Jane Doe"


def test_deleted_values_do_not_count_as_values_that_go(desks):
    (name, *_) = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    assert desks.eraser.shred(by_id("crm-1")).values == 3


def test_a_batch_shreds_whom_it_can_and_answers_in_order(desks):
    for number in range(3):
        desks.crm.store(f"crm-{number}", BOB)
    results = desks.eraser.shred_all([by_id("crm-0"), by_id("crm-9"), by_id("crm-2"), by_id("crm-0")])
    assert [each.error.reason if each.error else None for each in results] == [
        None,
        Reason.CUSTOMER_UNKNOWN,
        None,
        Reason.ALREADY_SHREDDED,
    ]
    assert opens(results[2].erasure.commitment, "crm-2", results[2].salt)
    assert len(desks.crm.customer(by_id("crm-1")).held) == 2


def test_an_atomic_batch_shreds_all_or_nobody(desks):
    desks.crm.store("crm-1", JANE)
    with pytest.raises(BatchAbortedError):
        desks.eraser.shred_all([by_id("crm-1"), by_id("crm-9")], atomic=True)
    assert len(desks.crm.customer(by_id("crm-1")).held) == 4


def test_a_batch_beyond_the_limit_is_refused(desks):
    with pytest.raises(LimitExceededError, match="shred_batch"):
        desks.eraser.shred_all([by_id("crm-1")] * 1001)


def test_only_those_who_may_shred_do(desks):
    (name, *_) = desks.crm.tokens("crm-1", JANE)
    for principal in ("crm", "agent", "admin", "privacy"):
        with pytest.raises(ActionDeniedError):
            desks.of(principal).shred(by_id("crm-1"))
        with pytest.raises(ActionDeniedError):
            desks.of(principal).shred_all([by_id("crm-1")], validate_only=True)
    assert desks.crm.plain(name) == "Jane Doe"


def test_a_token_of_another_domain_shreds_nobody(desks):
    (token,) = desks.partner.tokens("p-1", BOB)
    with pytest.raises(TokenUnknownError):
        desks.eraser.shred(by_token(token))
    assert desks.partner.plain(token) == "Bob Roe"


def test_erasures_are_listed_oldest_first_in_pages(desks):
    ids = []
    for number in range(5):
        desks.crm.store(f"crm-{number}", BOB)
        ids.append(desks.eraser.shred(by_id(f"crm-{number}")).erasure.shred_id)
    listed, page_token = [], ""
    while True:
        page = desks.vault.list_erasures(desks.eraser.caller, 2, page_token)
        listed += [each.shred_id for each in page.items]
        page_token = page.next_page_token
        if not page_token:
            break
    assert listed == ids


@pytest.mark.parametrize("shred_id", ["", "shr_", "shr_" + "00" * 16, "nonsense", "shr_zz", "shr_00"])
def test_an_unknown_shred_id_is_unknown(desks, shred_id):
    with pytest.raises(ErasureUnknownError):
        desks.vault.get_erasure(desks.eraser.caller, shred_id)


def test_nothing_of_a_shredded_customer_remains_in_the_live_tables(desks):
    desks.crm.store("crm-1", JANE)
    desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    desks.eraser.shred(by_id("crm-1"))
    engine = desks.vault.engine
    with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
        ((key, row),) = snapshot.scan_customer(1, 1)
        assert key == value_key(1, 1)
        assert row[3:5] == bytes(2)  # no jurisdiction
        assert snapshot.sheet(customer_key(1, 1)) is None
        assert keys.generations(1, 1) == []
        assert list(keys.index_rows()) == []


DAMAGE = {
    "no sheet": lambda session: session.delete_sheet(customer_key(1, 1)),
    "a changed sheet": lambda session: session.put_sheet(customer_key(1, 1), b"\1" + bytes(80)),
    "no key": lambda session: session.delete_dek(1, 1, 1),
    "a changed key": lambda session: session.put_dek(1, 1, 1, b"\1" + bytes(80), overwrite=True),
    "a changed value": lambda session: session.put_value(value_key(1, 1, 1), bytes(60)),
    "a short value": lambda session: session.put_value(value_key(1, 1, 1), b"\1"),
    "a row with a wrong MAC": lambda session: session.put_value(
        value_key(1, 1), session.get(value_key(1, 1))[:-1] + b"\0"
    ),
    "a row of no known state": lambda session: session.put_value(
        value_key(1, 1), b"\1\x13" + session.get(value_key(1, 1))[2:]
    ),
    "a row that claims to be shredded": lambda session: session.put_value(
        value_key(1, 1), b"\1\xee" + session.get(value_key(1, 1))[2:]
    ),
    "a short row": lambda session: session.put_value(value_key(1, 1), b"\1\x11"),
    "no row": lambda session: session.delete_value(value_key(1, 1)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("named", ["by id", "by token"])
def test_a_damaged_customer_can_still_be_shredded(deployment, damage, named):
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
    with tampering(deployment) as session:
        DAMAGE[damage](session)
    with deployment.opened() as desks:
        gone = desks.eraser.shred(by_id("crm-1") if named == "by id" else by_token(tokens[0]))
        assert gone.erasure is not None
        if named == "by id":
            assert opens(gone.erasure.commitment, "crm-1", gone.salt)
        assert desks.crm.denied(tokens) == [Reason.SHREDDED] * 3
        with desks.vault.engine.store.keyring() as keys:
            assert keys.generations(1, 1) == []
            assert list(keys.index_rows()) == []
        assert desks.crm.store("crm-1", JANE).customer_created
