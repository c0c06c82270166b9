import pytest

from tests.scenarios.support.deployment import by_id, by_token, copy_vault
from vault.errors import ActionDeniedError, CustomerUnknownError, DomainDeniedError, Reason, TokenUnknownError
from vault.model.access import Reveal

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456", "note": "likes tea"}


def export(desks, ref, purpose: str = "support", principal: str = "privacy", domain: str = ""):
    return desks.vault.export_customer(desks.of(principal).caller, ref, purpose, domain)


def content(exported) -> dict[str, str]:
    return {each.held.field_class: each.value.reveal() for each in exported.values}


def test_everything_held_of_a_customer_the_external_id_included(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    for ref in (by_id("crm-1"), by_token(tokens[0])):
        assert content(export(desks, ref)) == {
            "external_id": "crm-1",
            "name": "Jane Doe",
            "email": "jane@example.com",
            "phone": "+4930123456",
            "note": "likes tea",
        }


def test_deleted_values_and_other_customers_are_not_in_it(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.tokens("crm-2", {"name": "Bob"})
    desks.crm.delete(tokens[3])
    assert sorted(content(export(desks, by_id("crm-1")))) == ["email", "external_id", "name", "phone"]


def test_an_export_gives_what_the_purpose_reveals_and_says_what_it_withholds(desks):
    desks.crm.tokens("crm-1", JANE)
    exported = export(desks, by_id("crm-1"), "marketing")
    by_class = {each.held.field_class: each for each in exported.values}
    assert by_class["name"].reveal is Reveal.MASKED
    assert by_class["name"].value.reveal() == "J••• D•••"
    for name in ("email", "note", "external_id"):
        assert by_class[name].error.reason is Reason.PURPOSE_DENIED
        assert by_class[name].value.reveal() == ""


def test_labels_and_versions_stand_beside_the_values(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.update(tokens[2], "+4930999999")
    phone = next(each for each in export(desks, by_id("crm-1")).values if each.held.field_class == "phone")
    assert (list(phone.held.labels), phone.held.version) == (["mobile"], 2)


def test_an_export_does_not_show_its_values_when_printed(desks):
    desks.crm.tokens("crm-1", JANE)
    shown = repr(export(desks, by_id("crm-1")))
    assert not any(value in shown for value in JANE.values())


def test_only_those_who_may_export_do(desks):
    desks.crm.tokens("crm-1", JANE)
    for principal in ("crm", "agent", "admin", "eraser", "nobody"):
        with pytest.raises(ActionDeniedError):
            export(desks, by_id("crm-1"), principal=principal)


def test_an_export_stays_within_the_callers_domains(desks):
    (token,) = desks.partner.tokens("p-1", {"name": "Zoë"})
    with pytest.raises(TokenUnknownError):
        export(desks, by_token(token))
    with pytest.raises(DomainDeniedError):
        export(desks, by_id("p-1"), domain="partner")


def test_nobody_to_export(desks):
    with pytest.raises(CustomerUnknownError):
        export(desks, by_id("crm-9"))


def test_a_customer_of_many_large_values_is_exported_whole(template, tmp_path):
    """Larger than one reply and one batch."""
    deployment = copy_vault(template, tmp_path)
    with (deployment.data_dir / "vault.toml").open("a") as file:
        file.write("[limits]\nbatch_tokens = 10\nreply_bytes = 200000\n")
    fields = {f"note/n{number}": f"{number:03}" + "x" * 30_000 for number in range(40)}
    with deployment.opened() as desks:
        desks.crm.store("crm-1", fields)
        exported = export(desks, by_id("crm-1"))
    assert len(exported.values) == 41
    notes = [each.value.reveal() for each in exported.values if each.held.field_class == "note"]
    assert sorted(notes) == sorted(fields.values())
    assert all(each.error is None for each in exported.values)
