"""`cvault find` against a scripted vault."""

import io
import json

import grpc
import pytest
from customervault.v1 import common_pb2
from customervault.v1 import search_service_pb2 as api

from tests.unit.cli.conftest import Cvault
from tests.unit.client.scripted_vault import Failure, ScriptedVault

ANN = api.FoundCustomer(customer_token="cv1_ann", values=[api.FoundValue(field_class="phone", token="cv1_p")])
BOB = api.FoundCustomer(customer_token="cv1_bob", values=[api.FoundValue(field_class="phone", token="cv1_q")])
PHONE = "030 12345678"


def test_a_value_is_looked_for_page_by_page(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("Find", api.FindResponse(customers=[ANN], next_page_token="next"), api.FindResponse())
    given = ("--region", "DE", "--purpose", "support", "--basis", "contract", "--domain", "crm")
    ran = cvault("find", "--class", "phone", PHONE, *given)
    assert (ran.code, ran.out, ran.err) == (0, "cv1_ann  cv1_p\n", "")
    first, second = server.requests("Find")
    assert [(each.field_class, each.value) for each in first.terms] == [("phone", PHONE)]
    assert (first.region, first.purpose, first.domain) == ("DE", "support", "crm")
    assert first.lawful_basis == common_pb2.LAWFUL_BASIS_CONTRACT
    assert (first.page_token, second.page_token) == ("", "next")


def test_a_value_comes_from_standard_input(
    cvault: Cvault, server: ScriptedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script("Find", api.FindResponse(customers=[ANN, BOB]))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\nignored\n"))
    ran = cvault("find", "--class", "phone", "-", "--purpose", "support", "--json", "--limit", 1)
    assert ran.document == {"customer": "cv1_ann", "values": {"phone": "cv1_p"}}
    assert server.requests("Find")[0].terms[0].value == PHONE


def test_several_classes_are_looked_for_together(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("Find", api.FindResponse())
    ran = cvault("find", "--class", "name=Ann Lee", "--class", "note=a=b", "--purpose", "support")
    assert (ran.code, ran.out, ran.err) == (1, "", "nobody is found\n")
    terms = [(each.field_class, each.value) for each in server.requests("Find")[0].terms]
    assert terms == [("name", "Ann Lee"), ("note", "a=b")]


def test_duplicates_are_listed_in_groups(cvault: Cvault, server: ScriptedVault) -> None:
    group = api.DuplicateGroup(customers=[ANN, BOB], more_count=3)
    server.script("ListDuplicates", api.ListDuplicatesResponse(groups=[group, group]))
    ran = cvault("find", "--duplicates", "--class", "phone", "--purpose", "support")
    lines = "cv1_ann  cv1_p\ncv1_bob  cv1_q\n"
    assert (ran.code, ran.out) == (0, f"{lines}\n{lines}")
    assert ran.err == "and up to 3 more\n" * 2
    ran = cvault("find", "--duplicates", "--class", "phone", "--purpose", "support", "--json")
    groups = [json.loads(line) for line in ran.out.splitlines()]
    assert [len(each["customers"]) for each in groups] == [2, 2]
    assert groups[0]["more"] == 3
    server.script("ListDuplicates", api.ListDuplicatesResponse())
    ran = cvault("find", "--duplicates", "--class", "phone", "--purpose", "support")
    assert (ran.code, ran.err) == (1, "nobody shares a value\n")


def test_the_state_of_the_index_is_shown(cvault: Cvault, server: ScriptedVault) -> None:
    entries = [
        api.SearchEntry(name="phone", field_classes=["phone"], ready=True, done_count=9, total_count=9),
        api.SearchEntry(name="person", field_classes=["birth_date", "name"], done_count=4, total_count=9),
    ]
    server.script("GetSearchStatus", api.GetSearchStatusResponse(entries=entries))
    ran = cvault("find", "--status")
    assert ran.code == 0
    assert "being built: 4 of 9" in ran.out
    documents = [json.loads(line) for line in cvault("find", "--status", "--json").out.splitlines()]
    assert [(each["name"], each["ready"]) for each in documents] == [("phone", True), ("person", False)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("x", "--purpose", "p"),
        ("--class", "phone", "--purpose", "p"),
        ("x", "--class", "phone=y", "--purpose", "p"),
        ("x", "--class", "phone", "--class", "email", "--purpose", "p"),
        ("--class", "phone=x", "--class", "phone=y", "--purpose", "p"),
        ("x", "--class", "phone"),
        ("--duplicates", "--purpose", "p"),
        ("x", "--duplicates", "--class", "phone", "--purpose", "p"),
        ("--duplicates", "--class", "phone=x", "--purpose", "p"),
    ],
)
def test_what_cannot_be_looked_for_is_a_matter_of_usage(
    cvault: Cvault, server: ScriptedVault, arguments: tuple[str, ...]
) -> None:
    ran = cvault("find", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert not server.received


def test_an_index_that_is_being_built_is_not_available(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("Find", Failure(grpc.StatusCode.FAILED_PRECONDITION, "SEARCH_INCOMPLETE"))
    ran = cvault("find", "--class", "phone", PHONE, "--purpose", "support")
    assert ran.code == 4
    assert "[SEARCH_INCOMPLETE]" in ran.err
    assert PHONE not in ran.err
