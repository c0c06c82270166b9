import pytest

from tests.scenarios.support.deployment import by_id, by_token, copy_vault, new_id
from tests.scenarios.support.tampering import tampering
from vault.errors import (
    BatchAbortedError,
    CustomerUnknownError,
    Reason,
    RequestIdReusedError,
    VaultError,
)
from vault.model.access import Reveal
from vault.model.requests import CustomerRef, Entry, FieldInput, Outcome
from vault.model.secret import Secret
from vault.store.layout import value_key

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456"}


def outcomes(result) -> list[Outcome]:
    return [each.outcome for each in result.results]


def test_values_go_in_and_tokens_come_out_that_say_nothing(desks):
    stored = desks.crm.store("crm-1", JANE)
    assert stored.customer_created
    assert outcomes(stored) == [Outcome.CREATED] * 3
    tokens = [each.token for each in stored.results]
    assert len({*tokens, stored.customer_token}) == 4
    assert desks.crm.read(tokens).values == list(JANE.values())


def test_a_batch_comes_back_in_its_order_also_across_customers(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", {"name": "Bob", "note": "x"})
    order = [bob[1], jane[0], bob[0], jane[2], jane[0]]
    assert desks.crm.read(order).values == ["x", "Jane Doe", "Bob", "+4930123456", "Jane Doe"]


def test_tokens_work_in_any_case_as_spreadsheets_make_them(desks):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane"})
    assert desks.crm.plain(token.upper()) == "Jane"


def test_the_same_value_again_keeps_its_token(desks):
    first = desks.crm.store("crm-1", JANE)
    second = desks.crm.store("crm-1", JANE)
    assert not second.customer_created
    assert outcomes(second) == [Outcome.UNCHANGED] * 3
    assert [r.token for r in second.results] == [r.token for r in first.results]
    assert second.customer_token == first.customer_token


def test_a_row_imported_again_updates_by_class_and_label(desks):
    first = desks.crm.store("crm-1", JANE)
    second = desks.crm.store("crm-1", JANE | {"phone/mobile": "+4930999999"})
    assert outcomes(second) == [Outcome.UNCHANGED, Outcome.UNCHANGED, Outcome.UPDATED]
    assert second.results[2].token == first.results[2].token
    assert desks.crm.plain(first.results[2].token) == "+4930999999"


def test_an_empty_cell_stays_empty_and_never_empties_a_field(desks):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane"})
    again = desks.crm.store("crm-1", {"name": "", "email": "  "})
    assert outcomes(again) == [Outcome.EMPTY, Outcome.EMPTY]
    assert [each.token for each in again.results] == ["", ""]
    assert desks.crm.plain(token) == "Jane"


def test_equal_values_of_one_class_share_a_token_under_two_labels(desks):
    both = desks.crm.store(
        "crm-1", {"phone/mobile": "+4930123456", "phone/work": "030 123456"}, jurisdiction="DE"
    )
    assert both.results[0].token == both.results[1].token
    (held,) = [each for each in desks.crm.customer(by_id("crm-1")).held if each.field_class == "phone"]
    assert sorted(held.labels) == ["mobile", "work"]


def test_one_label_more_than_a_value_can_have_is_refused_alone(desks):
    labels = [f"phone/l{number}" for number in range(255)]
    for first in range(0, 255, 50):
        desks.crm.tokens("crm-1", dict.fromkeys(labels[first : first + 50], "+4930123456"))
    beyond = desks.crm.store("crm-1", {"phone/beyond": "+4930123456", "name": "Jane Doe"})
    assert outcomes(beyond) == [Outcome.REFUSED, Outcome.CREATED]
    assert beyond.results[0].error.reason is Reason.LIMIT_EXCEEDED
    (held,) = [each for each in desks.crm.customer(by_id("crm-1")).held if each.field_class == "phone"]
    assert sorted(held.labels) == sorted(each.removeprefix("phone/") for each in labels)


def test_a_label_that_leaves_a_shared_value_leaves_the_other_label_alone(desks):
    shared, _ = desks.crm.tokens("crm-1", {"phone/mobile": "+4930123456", "phone/work": "+4930123456"})
    (moved,) = desks.crm.tokens("crm-1", {"phone/work": "+4930999999"})
    assert moved != shared
    assert desks.crm.read([shared, moved]).values == ["+4930123456", "+4930999999"]


def test_the_same_value_of_two_customers_or_two_classes_has_unrelated_tokens(desks):
    one, two = desks.crm.tokens("crm-1", {"note": "same", "name": "same"})
    (three,) = desks.crm.tokens("crm-2", {"note": "same"})
    assert len({one, two, three}) == 3


def test_a_bad_field_is_refused_alone_and_its_value_is_not_repeated(desks):
    stored = desks.crm.store("crm-1", JANE | {"iban": "DE00 canary 1234"})
    assert outcomes(stored) == [Outcome.CREATED] * 3 + [Outcome.REFUSED]
    refused = stored.results[3]
    assert refused.token == ""
    assert refused.error is not None
    assert refused.error.reason is Reason.INVALID_VALUE
    assert "canary" not in str(refused.error) + str(dict(refused.error.details))


def test_fields_are_added_by_any_token_of_the_customer(desks):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane"})
    entry = Entry(by_token(token), [FieldInput("note", Secret("likes tea"))])
    (added,) = desks.vault.tokenize(
        desks.crm.caller, [entry], domain="", request_id="", atomic=False, batch=False
    )
    assert desks.crm.plain(added.results[0].token) == "likes tea"
    assert not added.customer_created


@pytest.mark.parametrize("ref", [CustomerRef(), CustomerRef(Secret("crm-1"), "cv1_" + "0" * 32)])
def test_a_customer_is_named_by_exactly_one_of_the_two(desks, ref):
    with pytest.raises(VaultError) as caught:
        desks.crm.customer(ref)
    assert caught.value.reason is Reason.INVALID_REQUEST


def batch(desks, *entries: tuple[str, dict[str, str]], atomic: bool, request_id: str = ""):
    made = [
        Entry(by_id(name), [FieldInput(field, Secret(value)) for field, value in fields.items()])
        for name, fields in entries
    ]
    return desks.vault.tokenize(
        desks.crm.caller, made, domain="", request_id=request_id, atomic=atomic, batch=True
    )


def test_a_partial_batch_stores_what_is_right(desks):
    good, bad = batch(desks, ("crm-1", {"name": "Jane"}), ("bad\nid", {"name": "Bob"}), atomic=False)
    assert desks.crm.plain(good.results[0].token) == "Jane"
    assert bad.error is not None
    assert bad.error.reason is Reason.INVALID_REQUEST


@pytest.mark.parametrize("bad", [("bad\nid", {"name": "Bob"}), ("crm-2", {"email": "nonsense"})])
def test_an_atomic_batch_stores_all_or_nothing(desks, bad):
    with pytest.raises(BatchAbortedError) as caught:
        batch(desks, ("crm-1", {"name": "Jane"}), bad, atomic=True)
    assert caught.value.details["index"] == "1"
    with pytest.raises(CustomerUnknownError):
        desks.crm.customer(by_id("crm-1"))


def test_one_customer_twice_in_a_batch_is_stored_in_order(desks):
    first, second = batch(desks, ("crm-1", {"name": "Jane"}), ("crm-1", {"name": "Janet"}), atomic=False)
    assert (first.customer_created, second.customer_created) == (True, False)
    assert first.results[0].token == second.results[0].token
    assert desks.crm.plain(first.results[0].token) == "Janet"


def test_a_retry_with_the_same_request_id_answers_the_same_also_in_a_new_process(deployment):
    request_id = new_id()
    with deployment.opened() as desks:
        first = desks.crm.store("crm-1", JANE, request_id=request_id)
        assert desks.crm.store("crm-1", JANE, request_id=request_id) == first
    with deployment.opened() as desks:
        assert desks.crm.store("crm-1", JANE, request_id=request_id) == first
        assert desks.crm.customer(by_id("crm-1")).held[0].version == 1


def test_a_retry_does_not_undo_what_came_after_it(desks):
    request_id = new_id()
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane"}, request_id=request_id)
    desks.crm.update(token, "Janet")
    desks.crm.tokens("crm-1", {"name": "Jane"}, request_id=request_id)
    assert desks.crm.plain(token) == "Janet"


def test_a_refused_field_is_refused_again_on_a_retry(desks):
    request_id = new_id()
    given = JANE | {"email": "nonsense"}
    first = desks.crm.store("crm-1", given, request_id=request_id)
    second = desks.crm.store("crm-1", given, request_id=request_id)
    assert outcomes(first) == outcomes(second)
    assert second.results[1].error is not None
    assert second.results[1].error.reason is Reason.INVALID_VALUE


def test_a_request_id_with_another_body_is_refused_and_changes_nothing(desks):
    request_id = new_id()
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane"}, request_id=request_id)
    with pytest.raises(RequestIdReusedError):
        desks.crm.store("crm-1", {"name": "Janet"}, request_id=request_id)
    with pytest.raises(RequestIdReusedError):
        desks.crm.update(token, "Janet", request_id)
    assert desks.crm.plain(token) == "Jane"


def test_creating_a_customer_is_idempotent(desks):
    def create(external_id: str, request_id: str = ""):
        return desks.vault.create_customer(desks.crm.caller, Secret(external_id), "DE", "", request_id)

    first, again = create("crm-1", new_id()), create("crm-1")
    assert (first.customer_created, again.customer_created) == (True, False)
    assert first.customer_token == again.customer_token
    held = desks.crm.customer(by_id("crm-1"))
    assert held.jurisdiction == "DE"
    assert [each.field_class for each in held.held] == ["external_id"]


def test_the_external_id_is_sealed_as_a_value_of_its_own(desks):
    desks.crm.store("crm-canary-1", {"name": "Jane"})
    held = {each.field_class: each.token for each in desks.crm.customer(by_id("crm-canary-1")).held}
    assert desks.crm.plain(held["external_id"]) == "crm-canary-1"


def test_a_customers_token_names_it_and_holds_no_value(desks):
    stored = desks.crm.store("crm-1", JANE)
    assert desks.crm.denied([stored.customer_token]) == [Reason.INVALID_REQUEST]
    assert len(desks.crm.customer(by_token(stored.customer_token)).held) == 4


def test_what_is_listed_is_what_was_stored(desks):
    names = [f"crm-{number}" for number in range(5)]
    tokens = [desks.crm.store(name, {"name": name}).customer_token for name in names]
    listed, page_token = [], ""
    while True:
        page = desks.vault.list_customers(desks.crm.caller, 2, page_token, "", show_shredded=False)
        assert len(page.items) <= 2
        listed += [each.customer_token for each in page.items]
        page_token = page.next_page_token
        if not page_token:
            break
    assert listed == tokens


def test_reveal_levels_are_stated_with_the_values(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    assert list(desks.crm.read(tokens).reveals) == [Reveal.PLAIN] * 3
    assert list(desks.agent.read(tokens).reveals) == [Reveal.MASKED] * 3


def test_a_damaged_value_refuses_its_own_field_and_costs_the_others_nothing(deployment):
    """Were the entry given up half way, its new numbers would be given out twice."""
    with deployment.opened() as desks:
        name, mail = desks.crm.tokens("crm-1", {"name": "Jane", "email": "jane@example.com"})
    with tampering(deployment) as session:
        row = session.get(value_key(1, 1, 3))
        session.put_value(value_key(1, 1, 3), row[:-1] + bytes([row[-1] ^ 1]))
    with deployment.opened() as desks:
        again = desks.crm.store("crm-1", {"note": "new", "name": "Janet", "email": "jane@example.com"})
        assert outcomes(again) == [Outcome.CREATED, Outcome.UPDATED, Outcome.REFUSED]
        assert again.results[2].error.reason is Reason.INTEGRITY_FAILED
        later = desks.crm.store("crm-1", {"address": "Main Street 1"})
        assert len({name, mail, again.results[0].token, later.results[0].token}) == 4
        assert desks.crm.read([name, again.results[0].token]).values == ["Janet", "new"]


def test_a_label_is_not_lost_when_its_new_value_finds_no_room(template, tmp_path):
    deployment = copy_vault(template, tmp_path)
    with (deployment.data_dir / "vault.toml").open("a") as file:
        file.write("[limits]\nfields_per_customer = 3\n")
    with deployment.opened() as desks:
        shared, _ = desks.crm.tokens("crm-1", {"phone/a": "+4930123456", "phone/b": "+4930123456"})
        desks.crm.store("crm-1", {"name": "x"})
        refused = desks.crm.store("crm-1", {"phone/b": "+4930999999"})
        assert outcomes(refused) == [Outcome.REFUSED]
        assert refused.results[0].error.reason is Reason.LIMIT_EXCEEDED
        (held,) = [each for each in desks.crm.customer(by_id("crm-1")).held if each.token == shared]
        assert sorted(held.labels) == ["a", "b"]


def test_another_spelling_of_a_value_that_labels_share_changes_nothing(desks):
    token, _ = desks.crm.tokens("crm-1", {"name/a": "Jane Doe", "name/b": "Jane Doe"})
    again = desks.crm.store("crm-1", {"name/b": "JANE  DOE"})
    assert (again.results[0].outcome, again.results[0].token) == (Outcome.UNCHANGED, token)
    (held,) = [each for each in desks.crm.customer(by_id("crm-1")).held if each.token == token]
    assert sorted(held.labels) == ["a", "b"]
    assert desks.crm.plain(token) == "Jane Doe"


def test_another_spelling_of_a_value_of_its_own_is_taken_over(desks):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
    again = desks.crm.store("crm-1", {"name": "Jane DOE"})
    assert (again.results[0].outcome, again.results[0].token) == (Outcome.UPDATED, token)
    assert desks.crm.plain(token) == "Jane DOE"
