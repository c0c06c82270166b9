"""`cvault import-tokens`: tokens of another vault, checked here and sent as surrogates."""

import json
from pathlib import Path
from typing import Any

import pytest
from customervault.v1 import token_service_pb2 as api

from tests.unit.cli.conftest import Cvault
from tests.unit.client.scripted_vault import ScriptedVault

ROWS = (
    "customer,value,token,other\n"
    "1,ada@example.org,tok-1,x\n"
    "2,not an address,tok-2,x\n"
    "3,bob@example.org,,x\n"
    f"4,eve@example.org,cv1_{'0' * 32},x\n"
)
COLUMNS = ("--id", "customer", "--value", "value=email:work", "--token", "token")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "old-vault.csv"
    path.write_text(ROWS)
    return path


def rejects(document: dict[str, Any]) -> list[tuple[int, str]]:
    lines = Path(document["rejects"]).read_text().splitlines()
    assert "tok-" not in "".join(lines)
    assert "example.org" not in "".join(lines)
    return [(each["line"], each["reason"]) for each in map(json.loads, lines)]


def test_a_dry_run_checks_values_and_tokens(cvault: Cvault, file: Path) -> None:
    ran = cvault("import-tokens", file, *COLUMNS, "--dry-run", "--json")
    assert ran.code == 1
    assert (ran.document["rows"], ran.document["values_created"]) == (4, 1)
    assert rejects(ran.document) == [(3, "INVALID_VALUE"), (4, "INVALID_REQUEST"), (5, "INVALID_REQUEST")]


def test_rows_are_sent_as_fields_with_a_surrogate(cvault: Cvault, file: Path, server: ScriptedVault) -> None:
    sent: list[tuple[str, str, str, str, str]] = []

    def answer(request: api.BatchTokenizeRequest) -> api.BatchTokenizeResponse:
        results = []
        for entry in request.entries:
            (field,) = entry.fields
            ref = entry.customer.external_id
            sent.append((ref, field.field_class, field.label, field.value, field.surrogate))
            done = api.FieldResult(token=field.surrogate, outcome=api.FIELD_OUTCOME_CREATED)
            results.append(api.TokenizeEntryResult(customer_token="cv1_c", results=[done]))
        return api.BatchTokenizeResponse(results=results)

    server.on("BatchTokenize", answer)
    ran = cvault("import-tokens", file, *COLUMNS, "--json")
    assert ran.err == ""
    assert (ran.code, ran.document["values_created"], rejects(ran.document)) == (
        1,
        3,
        [(4, "INVALID_REQUEST")],
    )
    assert sent[0] == ("1", "email", "work", "ada@example.org", "tok-1")
    assert [each[0] for each in sent] == ["1", "2", "4"]


def test_three_columns_are_needed(cvault: Cvault, file: Path) -> None:
    wrong = ("--id", "customer", "--value", "value=email", "--token", "value")
    assert cvault("import-tokens", file, *wrong, "--dry-run").code == 2
    unknown = ("--id", "customer", "--value", "value=fax", "--token", "token")
    assert cvault("import-tokens", file, *unknown, "--dry-run").code == 2
