"""`cvault audit blast-radius` and `cvault customers accesses`, against a scripted vault."""

import csv
import json
from pathlib import Path

from customervault.v1 import audit_service_pb2 as api
from customervault.v1 import common_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.cli.conftest import Cvault
from tests.unit.client.scripted_vault import ScriptedVault

FIRST, LAST = Timestamp(seconds=1767323045), Timestamp(seconds=1767326645)
JANE, BOB = f"cv1_{7:032x}", f"cv1_{8:032x}"


def row(token: str, place: str, *counts: api.ReadCounts) -> api.CustomerReads:
    return api.CustomerReads(
        customer_token=token, jurisdiction=place, first_time=FIRST, last_time=LAST, counts=counts
    )


def page(following: str, *customers: api.CustomerReads, **coverage: object) -> api.GetBlastRadiusResponse:
    return api.GetBlastRadiusResponse(
        customers=customers,
        next_page_token=following,
        end_time=LAST,
        first_time=FIRST,
        last_time=LAST,
        totals=[
            api.ReadCounts(field_class="email", plain=6, masked=0, denied=1),
            api.ReadCounts(field_class="name", plain=0, masked=2, denied=0),
        ],
        unnamed=[api.ReasonCount(reason="TOKEN_UNKNOWN", items=4)],
        calls=[api.CallCount(action="Detokenize", calls=3)],
        coverage=api.LogCoverage(leaves=9, records=3, records_sealed=3, **coverage),
        locators=3,
        locators_found=len(customers),
    )


PAGES = {
    "": page(
        "more",
        row(
            JANE,
            "DE",
            api.ReadCounts(field_class="email", plain=2, values=1),
            api.ReadCounts(field_class="name", masked=2, values=1),
        ),
    ),
    "more": page("", row(BOB, "", api.ReadCounts(field_class="email", plain=1, denied=1, values=1))),
}


def test_a_summary_comes_first_and_says_what_it_rests_on(cvault: Cvault, server: ScriptedVault) -> None:
    server.on("GetBlastRadius", lambda request: PAGES[request.page_token])
    ran = cvault("audit", "blast-radius", "--principal", "crm", "--from", "2h")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == (
        "crm read 5 values of 2 customers, from 2026-01-02 03:04:05Z to 2026-01-02 04:04:05Z."
    )
    assert lines[-6:] == [
        "Denied: 1 attempt.",
        "Cannot be named: 1 name in the log of customers shredded since (3 values read, 0 denied).",
        "Denied without a customer: TOKEN_UNKNOWN 4.",
        "Calls: Detokenize 3.",
        "Sealed: everything up to 2026-01-02 04:04:05Z, 3 records.",
        "Complete: the log knows of no gap in this time, and nothing of it was removed.",
    ]
    assert JANE not in ran.out
    request = server.requests("GetBlastRadius")[0]
    assert (request.principal, request.HasField("start_time"), request.HasField("end_time")) == (
        "crm",
        True,
        False,
    )


def test_the_csv_has_a_row_for_each_customer(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    server.on("GetBlastRadius", lambda request: PAGES[request.page_token])
    file = tmp_path / "affected.csv"
    assert cvault("audit", "blast-radius", "--principal", "crm", "--csv", file).code == 0
    with file.open(newline="") as opened:
        first, second = list(csv.DictReader(opened))
    assert first == {
        "customer_token": JANE,
        "jurisdiction": "DE",
        "first_time": "2026-01-02T03:04:05Z",
        "last_time": "2026-01-02T04:04:05Z",
        "plain": "2",
        "masked": "2",
        "denied": "0",
        "values": "2",
        "answered": "0",
        "email_plain": "2",
        "email_masked": "0",
        "email_denied": "0",
        "name_plain": "0",
        "name_masked": "2",
        "name_denied": "0",
    }
    assert (second["customer_token"], second["jurisdiction"], second["email_denied"]) == (BOB, "", "1")
    ran = cvault("audit", "blast-radius", "--principal", "crm", "--csv", "-")
    assert ran.out == file.read_text()
    assert ran.err.startswith("crm read 5 values")
    assert cvault("audit", "blast-radius", "--principal", "crm", "--csv", tmp_path / "no" / "x.csv").code == 2


def test_json_holds_totals_and_rows(cvault: Cvault, server: ScriptedVault) -> None:
    server.on("GetBlastRadius", lambda request: PAGES[request.page_token])
    found = cvault("audit", "blast-radius", "--from", "2026-01-01", "--json").document
    assert (found["customers_count"], found["customers_revealed"]) == (2, 2)
    assert found["by_class"]["email"] == {"plain": 3, "masked": 0, "denied": 1, "values": 2, "answered": 0}
    assert found["by_jurisdiction"]["DE"] == {
        "customers": 1,
        "plain": 2,
        "masked": 2,
        "denied": 0,
        "values": 2,
        "answered": 0,
    }
    assert found["shredded_since"] == {
        "names": 1,
        "by_class": {"email": {"plain": 3, "masked": 0, "denied": 0, "values": 0, "answered": 0}},
    }
    assert found["coverage"]["complete"] is True
    assert [each["customer_token"] for each in found["customers"]] == [JANE, BOB]


def test_what_is_missing_is_said_plainly(cvault: Cvault, server: ScriptedVault) -> None:
    missing = page(
        "",
        unsealed_time=FIRST,
        gaps=[api.LogGap(start_time=FIRST, end_time=LAST, cause="torn record")],
        gap_count=3,
        removed=256,
        removed_time=FIRST,
        damaged=1,
    )
    server.script("GetBlastRadius", missing)
    out = cvault("audit", "blast-radius", "--from", "2026-01-01").out
    assert "Everyone together read 0 values of 0 customers" in out
    assert "some are not sealed yet" in out
    assert "GAP: records may be missing between 2026-01-02 03:04:05Z and 2026-01-02 04:04:05Z: torn" in out
    assert "GAPS: 2 more." in out
    assert "INCOMPLETE: retention has removed records of this time, up to 2026-01-02 03:04:05Z" in out
    assert "INCOMPLETE: 1 place of the log cannot be read." in out
    assert "Complete:" not in out


def test_a_question_needs_a_principal_or_a_time(cvault: Cvault, server: ScriptedVault) -> None:
    assert cvault("audit", "blast-radius").code == 2
    assert cvault("audit", "blast-radius", "--principal", "crm", "--csv", "-", "--json").code == 2
    assert server.received == []


EVENT = api.AccessEvent(
    time=FIRST,
    principal="crm",
    action="Detokenize",
    purpose="support",
    purpose_description="Fragen beantworten",
    lawful_basis=common_pb2.LAWFUL_BASIS_CONTRACT,
    counts=[api.ReadCounts(field_class="email", plain=1, values=1)],
    text="crm hat Daten von Ihnen gesehen.",
    leaf=4,
)


def history(request: api.GetAccessHistoryRequest) -> api.GetAccessHistoryResponse:
    return api.GetAccessHistoryResponse(
        events=[EVENT] * 2,
        next_page_token="" if request.page_token else "more",
        locale="de",
        removed_time=FIRST,
    )


def test_a_history_is_told_in_sentences(cvault: Cvault, server: ScriptedVault) -> None:
    server.on("GetAccessHistory", history)
    ran = cvault("customers", "accesses", "customer-1", "--language", "de", "--limit", "3")
    assert ran.out == "2026-01-02 03:04:05Z  crm hat Daten von Ihnen gesehen.\n" * 3
    assert ran.err == "Records up to 2026-01-02 03:04:05Z have been removed from the log.\n"
    request = server.requests("GetAccessHistory")[0]
    assert (request.customer.external_id, request.locale, request.page_size) == ("customer-1", "de", 3)
    ran = cvault("customers", "accesses", JANE, "--json")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert len(lines) == 4
    assert lines[0]["counts"] == {"email": {"plain": 1, "masked": 0, "denied": 0, "values": 1, "answered": 0}}
    assert (lines[0]["basis"], lines[0]["basis_stated"], lines[0]["leaf"]) == ("contract", False, 4)
    assert server.requests("GetAccessHistory")[-1].customer.token == JANE


def test_a_history_may_be_empty(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("GetAccessHistory", api.GetAccessHistoryResponse(locale="en"))
    assert cvault("customers", "accesses", "customer-1").out == "No accesses.\n"
