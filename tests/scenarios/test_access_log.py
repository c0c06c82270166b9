import time

import pytest

from tests.scenarios.support.deployment import by_id, by_token
from tests.scenarios.support.elsewhere import opened_elsewhere
from vault.errors import (
    ActionDeniedError,
    CustomerUnknownError,
    PrincipalUnknownError,
    PurposeDeniedError,
    ShreddedError,
)
from vault.model.requests import AccessQuery

JANE = {"name": "Jane Doe", "email": "jane@example.com"}


def listed(desks, **query):
    return desks.privacy.accesses(**query)


def test_each_read_is_recorded_with_who_why_and_how_much(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(tokens)
    desks.agent.read([tokens[0]])
    desks.nobody.read([tokens[0], tokens[1]])
    third, second, first, *_ = listed(desks)
    assert (first.principal, first.action, first.purpose) == ("crm", "Detokenize", "support")
    assert (first.values_plain, first.values_masked, first.values_denied) == (2, 0, 0)
    assert (first.customers, list(first.field_classes)) == (1, ["email", "name"])
    assert (second.principal, second.values_masked) == ("agent", 1)
    assert (third.principal, third.values_denied, list(third.reasons)) == ("nobody", 2, ["PURPOSE_DENIED"])


def test_changes_are_recorded_too(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.update(tokens[0], "Janet")
    desks.crm.delete(tokens[1])
    desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    desks.vault.export_customer(desks.privacy.caller, by_id("crm-1"), "support", "")
    desks.eraser.shred(by_id("crm-1"))
    actions = [each.action for each in listed(desks)]
    for action in ("Tokenize", "UpdateValue", "DeleteValue", "RotateDek", "ExportCustomer", "ShredCustomer"):
        assert action in actions


def test_who_read_what_of_one_customer(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", {"name": "Bob"})
    desks.crm.read(jane)
    desks.agent.read(bob)
    desks.crm.read([*jane, *bob])
    for ref in (by_id("crm-2"), by_token(bob[0])):
        found = listed(desks, customer=ref)
        reads = [(each.principal, each.action) for each in found if each.action == "Detokenize"]
        assert reads == [("crm", "Detokenize"), ("agent", "Detokenize")]


def test_reads_before_and_after_rotations_are_found_by_customer(desks):
    jane = desks.crm.tokens("crm-1", JANE)
    for _ in range(3):
        desks.crm.read(jane)
        desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    desks.crm.read(jane)
    reads = [each for each in listed(desks, customer=by_id("crm-1")) if each.action == "Detokenize"]
    assert len(reads) == 4


def test_a_shredded_customers_accesses_can_no_longer_be_linked_to_it(desks):
    jane = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(jane)
    desks.eraser.shred(by_id("crm-1"))
    with pytest.raises(CustomerUnknownError):
        listed(desks, customer=by_id("crm-1"))
    with pytest.raises(ShreddedError):
        listed(desks, customer=by_token(jane[0]))
    assert any(each.action == "Detokenize" for each in listed(desks))


def test_by_principal_and_by_time(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(tokens)
    time.sleep(0.01)
    between = time.time_ns() // 1_000_000
    time.sleep(0.01)
    desks.agent.read(tokens)
    assert {each.principal for each in listed(desks, principal="agent")} == {"agent"}
    assert {each.principal for each in listed(desks, start_ms=between)} <= {"agent", "privacy"}
    assert "agent" not in {each.principal for each in listed(desks, end_ms=between)}
    with pytest.raises(PrincipalUnknownError):
        listed(desks, principal="stranger")


def test_pages_follow_each_other_without_gap_or_repetition(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    for count in range(1, 12):
        desks.crm.read(tokens[:1] * count)
    seen, page_token = [], ""
    while True:
        page = desks.vault.list_access(
            desks.privacy.caller, AccessQuery(principal="crm", page_size=4, page_token=page_token)
        )
        seen += [each.values_plain for each in page.items if each.action == "Detokenize"]
        page_token = page.next_page_token
        if not page_token:
            break
    assert seen == list(range(11, 0, -1))


def test_reads_of_several_processes_are_in_one_log(deployment):
    with deployment.opened() as desks, opened_elsewhere(deployment) as other:
        tokens = desks.crm.tokens("crm-1", JANE)
        other.read("agent", tokens)
        desks.crm.read(tokens)
        found = [each.principal for each in listed(desks) if each.action == "Detokenize"]
        assert sorted(found) == ["agent", "crm"]


def test_the_log_outlives_the_process(deployment):
    with deployment.opened() as desks:
        desks.crm.read(desks.crm.tokens("crm-1", JANE))
    with deployment.opened() as desks:
        assert [each.values_plain for each in listed(desks) if each.action == "Detokenize"] == [2]
        assert desks.vault.audit_status(desks.privacy.caller).gaps == 0


def test_attempts_that_were_turned_away_are_recorded(desks):
    desks.vault.record_refusal("stranger", "Detokenize", PurposeDeniedError("no"))
    desks.vault.record_refusal("crm", "ShredCustomer", ActionDeniedError("no"))
    second, first, *_ = listed(desks)
    assert (first.principal, first.action, list(first.reasons)) == (
        "stranger",
        "Detokenize",
        ["PURPOSE_DENIED"],
    )
    assert (second.principal, list(second.reasons)) == ("crm", ["ACTION_DENIED"])


def test_the_log_holds_no_value_no_token_and_no_external_id(deployment):
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-canary-1", JANE)
        desks.crm.read(tokens)
        desks.crm.update(tokens[0], "Janet Canary")
        desks.eraser.shred(by_id("crm-canary-1"))
    log = b"".join(path.read_bytes() for path in (deployment.data_dir / "audit").iterdir())
    for text in (*JANE.values(), "Janet Canary", "crm-canary-1", *tokens, *(t[4:] for t in tokens)):
        assert text.encode() not in log
    assert not any(bytes.fromhex(token[4:]) in log for token in tokens)


def test_only_auditors_read_the_log(desks):
    for principal in ("crm", "agent", "eraser", "nobody"):
        with pytest.raises(ActionDeniedError):
            desks.of(principal).accesses()
        with pytest.raises(ActionDeniedError):
            desks.vault.audit_status(desks.of(principal).caller)


def test_looking_at_the_log_is_an_access_itself(desks):
    listed(desks)
    assert [each.action for each in listed(desks)] == ["ListAccess"]
