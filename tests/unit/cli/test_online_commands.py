import io
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from customervault.v1 import (
    audit_service_pb2,
    common_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
)
from customervault.v1 import token_service_pb2 as api
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2

from tests.unit.cli.conftest import Cvault
from tests.unit.client.scripted_vault import Failure, ScriptedVault
from vault.crypto import certificates
from vault.crypto.certificates import KeyedCertificate

STAMP = Timestamp(seconds=int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()))
TOKENS = [f"cv1_{number:032x}" for number in range(5)]
PURPOSE_DENIED = Failure(grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_DENIED", "nothing is granted")
UNKNOWN = Failure(grpc.StatusCode.NOT_FOUND, "CUSTOMER_UNKNOWN", "no such customer")
CUSTOMER = customer_service_pb2.Customer(
    customer_token=TOKENS[0],
    state=common_pb2.CUSTOMER_STATE_ACTIVE,
    jurisdiction="NL",
    create_time=STAMP,
    dek_generation=1,
    held=[customer_service_pb2.HeldValue(token=TOKENS[1], field_class="email", labels=["work"], version=2)],
)


def erasure(number: int) -> erasure_service_pb2.Erasure:
    return erasure_service_pb2.Erasure(
        shred_id=f"shr_{number:032x}",
        stage=erasure_service_pb2.ERASURE_STAGE_EFFECTIVE,
        effective_time=STAMP,
        ledger_seq=9,
        commitment=b"commitment",
        waits_for=[
            erasure_service_pb2.AwaitedRootKey(
                root_key_id="root-1",
                epoch=1,
                provider="aws-kms",
                step=erasure_service_pb2.AWAITED_STEP_CONFIRMATION,
                due_time=STAMP,
            )
        ],
    )


def certificate(
    stage: erasure_service_pb2.ErasureStage.ValueType = erasure_service_pb2.ERASURE_STAGE_EFFECTIVE,
) -> erasure_service_pb2.Certificate:
    return erasure_service_pb2.Certificate(content='{"n":"\u00e9"}'.encode(), stage=stage, key_id="k1")


def typed(monkeypatch: pytest.MonkeyPatch, text: str, *, terminal: bool) -> None:
    stdin = io.StringIO(text)
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdin", stdin)


@pytest.fixture
def detokenizing(server: ScriptedVault) -> ScriptedVault:
    """Reveals `value N` for `...N`, and denies the fourth token."""

    def answer(request: Any) -> api.DetokenizeResponse:
        denied = [at for at, token in enumerate(request.tokens) if token == TOKENS[3]]
        return api.DetokenizeResponse(
            values=["" if at in denied else f"value {token[-1]}" for at, token in enumerate(request.tokens)],
            reveals=[
                common_pb2.REVEAL_UNSPECIFIED if at in denied else common_pb2.REVEAL_PLAIN
                for at in range(len(request.tokens))
            ],
            errors=[PURPOSE_DENIED.item(at) for at in denied],
        )

    server.on("Detokenize", answer)
    return server


def test_detokenize_prints_values_in_order(cvault: Cvault, detokenizing: ScriptedVault) -> None:
    ran = cvault("detokenize", TOKENS[2], TOKENS[1], "--purpose", "support", "--reveal", "masked")
    assert (ran.code, ran.out, ran.err) == (0, "value 2\nvalue 1\n", "")
    (request,) = detokenizing.requests("Detokenize")
    assert (request.purpose, request.reveal) == ("support", common_pb2.REVEAL_MASKED)


@pytest.mark.usefixtures("detokenizing")
def test_a_token_that_is_not_opened_leaves_an_empty_line_and_a_reason(
    cvault: Cvault, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "\n".join(TOKENS[1:]), terminal=False)
    ran = cvault("detokenize", "-", "--purpose", "support")
    assert ran.code == 1
    assert ran.out == "value 1\nvalue 2\n\nvalue 4\n"
    assert ran.err == "token 3: nothing is granted [PURPOSE_DENIED]\n"


@pytest.mark.usefixtures("detokenizing")
def test_empty_lines_of_input_stay_empty(cvault: Cvault, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, f"{TOKENS[1]}\n\n{TOKENS[2]}\n", terminal=False)
    ran = cvault("detokenize", "-", "--purpose", "support")
    assert (ran.code, ran.out, ran.err) == (0, "value 1\n\nvalue 2\n", "")


@pytest.mark.usefixtures("detokenizing")
def test_detokenize_speaks_json_lines(cvault: Cvault) -> None:
    ran = cvault("detokenize", *TOKENS[2:4], "--purpose", "support", "--json")
    assert ran.code == 1
    good, bad = (json.loads(line) for line in ran.out.splitlines())
    assert good == {"token": TOKENS[2], "reveal": "plain", "value": "value 2"}
    assert bad["error"]["reason"] == "PURPOSE_DENIED"


@pytest.mark.usefixtures("detokenizing")
def test_all_denied_is_exit_3(cvault: Cvault) -> None:
    assert cvault("detokenize", TOKENS[3], "--purpose", "support").code == 3


def test_a_purpose_is_needed(cvault: Cvault, server: ScriptedVault) -> None:
    ran = cvault("detokenize", TOKENS[0])
    assert (ran.code, "--purpose" in ran.err) == (2, True)
    assert not server.received


def test_control_characters_of_a_value_do_not_reach_the_terminal(
    cvault: Cvault, server: ScriptedVault
) -> None:
    hostile = "\x1b]0;title\x07line\nbreak\x9b31m"
    server.script("Detokenize", api.DetokenizeResponse(values=[hostile], reveals=[common_pb2.REVEAL_PLAIN]))
    ran = cvault("detokenize", TOKENS[0], "--purpose", "support")
    assert ran.out == "\\x1b]0;title\\x07line\\nbreak\\x9b31m\n"
    exact = cvault("detokenize", TOKENS[0], "--purpose", "support", "--json")
    assert exact.document["value"] == hostile


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (PURPOSE_DENIED, 3),
        (Failure(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), 3),
        (Failure(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE"), 4),
        (Failure(grpc.StatusCode.FAILED_PRECONDITION, "SHREDDED"), 1),
        (Failure(grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED"), 1),
        (Failure(grpc.StatusCode.INTERNAL, "INTERNAL"), 4),
    ],
)
def test_a_refused_call_is_one_line_and_its_exit_code(
    cvault: Cvault, server: ScriptedVault, failure: Failure, code: int
) -> None:
    server.script("GetCustomer", failure)
    ran = cvault("customers", "show", "somebody@example.org")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err == f"error: {failure.message} [{failure.reason}]\n"
    assert "somebody" not in ran.err


def test_a_vault_that_is_not_there_is_exit_4(cvault: Cvault, server: ScriptedVault) -> None:
    server.stop()
    ran = cvault("status", "--json")
    assert (ran.code, ran.out) == (4, "")
    assert json.loads(ran.err)["error"]["reason"] == "NOT_SERVING"


def test_status_shows_what_may_be_seen(cvault: Cvault, server: ScriptedVault) -> None:
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    server.script("Check", serving)
    server.script("GetKeyringStatus", Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED"))
    server.script("GetAuditStatus", audit_service_pb2.GetAuditStatusResponse(writable=True, records=7))
    ran = cvault("status")
    assert ran.code == 0
    assert "not shown [ACTION_DENIED]" in ran.out
    assert "7 records" in ran.out
    document = cvault("status", "--json").document
    assert document["serving"] is True
    assert document["keyring"]["error"]["reason"] == "ACTION_DENIED"


def test_keys(cvault: Cvault, server: ScriptedVault) -> None:
    server.script(
        "GetKeyringStatus",
        key_service_pb2.GetKeyringStatusResponse(epoch=3, epoch_create_time=STAMP, provider="file"),
    )
    server.script("RotateDek", key_service_pb2.RotateDekResponse(dek_generation=2, values_resealed=5))
    assert "2026-01-02 03:04:05Z" in cvault("keys", "status").out
    assert cvault("keys", "status", "--json").document["epoch_created"] == "2026-01-02T03:04:05Z"
    assert cvault("keys", "rotate-dek", "customer-1").out == "generation 2; 5 values sealed again\n"
    assert server.requests("RotateDek")[0].customer.external_id == "customer-1"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("customer-1",), "external_id"),
        ((TOKENS[0],), "token"),
        ((TOKENS[0].upper(),), "token"),
        ((TOKENS[0], "--by", "id"), "external_id"),
        (("x", "--by", "token"), "token"),
    ],
)
def test_a_customer_is_named_by_token_or_id(
    cvault: Cvault, server: ScriptedVault, arguments: tuple[str, ...], kind: str
) -> None:
    server.script("GetCustomer", customer_service_pb2.GetCustomerResponse(customer=CUSTOMER))
    ran = cvault("customers", "show", *arguments)
    assert ran.code == 0
    assert TOKENS[1] in ran.out
    assert server.requests("GetCustomer")[0].customer.WhichOneof("ref") == kind


def test_customers_are_listed_page_by_page(cvault: Cvault, server: ScriptedVault) -> None:
    page = customer_service_pb2.ListCustomersResponse
    server.script(
        "ListCustomers",
        page(customers=[CUSTOMER] * 2, next_page_token="more"),
        page(customers=[CUSTOMER]),
    )
    listed = cvault("customers", "list", "--json").out.splitlines()
    assert [json.loads(line)["customer_token"] for line in listed] == [TOKENS[0]] * 3
    server.script("ListCustomers", page(customers=[CUSTOMER] * 3))
    assert "2 customers" in cvault("customers", "list", "--limit", 2, "--show-shredded").out
    last = server.requests("ListCustomers")[-1]
    assert (last.page_size, last.show_shredded) == (2, True)


def test_export_gives_values_and_reasons(cvault: Cvault, server: ScriptedVault) -> None:
    values = [
        customer_service_pb2.ExportedValue(
            field_class="email", token=TOKENS[1], value="ada@example.org", reveal=common_pb2.REVEAL_PLAIN
        ),
        customer_service_pb2.ExportedValue(
            field_class="iban", token=TOKENS[2], error=PURPOSE_DENIED.status()
        ),
    ]
    answer = customer_service_pb2.ExportCustomerResponse(customer=CUSTOMER, values=values)
    server.script("ExportCustomer", answer)
    ran = cvault("customers", "export", "c", "--purpose", "access_request", "--json")
    assert ran.code == 1
    first, second = ran.document["values"]
    assert (first["value"], first["reveal"]) == ("ada@example.org", "plain")
    assert second["error"]["reason"] == "PURPOSE_DENIED"
    assert "[PURPOSE_DENIED]" in cvault("customers", "export", "c", "--purpose", "x").out


def test_tokenize_reads_values_from_standard_input(
    cvault: Cvault, server: ScriptedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = api.FieldResult(token=TOKENS[1], outcome=api.FIELD_OUTCOME_CREATED)
    result = api.TokenizeEntryResult(customer_token=TOKENS[0], customer_created=True, results=[created] * 2)
    server.script("Tokenize", api.TokenizeResponse(result=result))
    typed(monkeypatch, '{"email": "ada@example.org", "phone:mobile": "+44"}', terminal=False)
    ran = cvault("tokenize", "customer-1", "-", "--jurisdiction", "gb", "--json")
    assert ran.code == 0
    assert ran.document["created"] is True
    assert [field["token"] for field in ran.document["fields"]] == [TOKENS[1]] * 2
    (request,) = server.requests("Tokenize")
    sent = [(field.field_class, field.label, field.value) for field in request.entry.fields]
    assert sent == [("email", "", "ada@example.org"), ("phone", "mobile", "+44")]
    assert request.entry.jurisdiction == "GB"


def test_a_refused_field_makes_tokenize_partial(cvault: Cvault, server: ScriptedVault) -> None:
    invalid = Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE", "iban: wrong check digits")
    results = [
        api.FieldResult(token=TOKENS[1], outcome=api.FIELD_OUTCOME_CREATED),
        api.FieldResult(outcome=api.FIELD_OUTCOME_REFUSED, error=invalid.status()),
    ]
    server.script("Tokenize", api.TokenizeResponse(result=api.TokenizeEntryResult(results=results)))
    ran = cvault("tokenize", "c", "email=a@example.org", "iban=DE00")
    assert ran.code == 1
    assert "iban: wrong check digits [INVALID_VALUE]" in ran.out


@pytest.mark.parametrize("arguments", [("secret@example.org",), ("Secret Name=x",), ("secret@x.org=y",)])
def test_a_value_in_the_wrong_place_is_not_repeated(
    cvault: Cvault, server: ScriptedVault, arguments: tuple[str, ...]
) -> None:
    ran = cvault("tokenize", "customer-1", *arguments)
    assert ran.code == 2
    assert "ecret" not in ran.err
    assert not server.received


@pytest.mark.parametrize("text", ["", "[]", '{"email": 3}', "{", "[" * 100_000])
def test_standard_input_has_to_be_an_object_of_texts(
    cvault: Cvault, server: ScriptedVault, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    typed(monkeypatch, text, terminal=False)
    ran = cvault("tokenize", "customer-1", "-")
    assert (ran.code, "JSON object" in ran.err) == (2, True)
    assert not server.received


@pytest.fixture
def shredding(server: ScriptedVault) -> ScriptedVault:
    """Shreds everybody but `nobody`."""

    def answer(request: Any) -> customer_service_pb2.BatchShredCustomersResponse:
        results = []
        for number, customer in enumerate(request.customers):
            if customer.external_id == "nobody":
                results.append(customer_service_pb2.ShredResult(error=UNKNOWN.status()))
            elif request.validate_only:
                results.append(customer_service_pb2.ShredResult(values=3, dek_generations=1))
            else:
                result = customer_service_pb2.ShredResult(
                    values=3, dek_generations=1, salt=b"x" * 32, erasure=erasure(number)
                )
                if number == 0:  # the reply has no room for more
                    result.certificate.CopyFrom(certificate())
                results.append(result)
        return customer_service_pb2.BatchShredCustomersResponse(results=results)

    server.on("BatchShredCustomers", answer)
    server.script("GetCertificate", erasure_service_pb2.GetCertificateResponse(certificate=certificate()))
    return server


def test_shred_writes_certificates_and_salts_that_only_the_owner_can_read(
    cvault: Cvault, shredding: ScriptedVault, tmp_path: Path
) -> None:
    folder = tmp_path / "erased"
    ran = cvault("shred", "a", "b", "--yes", "--certificates", folder, "--json")
    assert ran.code == 0
    first = json.loads(ran.out.splitlines()[0])
    assert (first["outcome"], first["values"], first["salt"]) == ("shredded", 3, b"x".hex() * 32)
    files = sorted(path.name for path in folder.iterdir())
    stems = [f"shr_{number:032x}" for number in range(2)]
    assert files == sorted(f"{stem}.{ending}" for stem in stems for ending in ("json", "salt"))
    for stem in stems:
        assert (folder / f"{stem}.json").read_bytes() == certificate().content
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(shredding.requests("BatchShredCustomers")) == 1
    (asked,) = shredding.requests("GetCertificate")  # for the one that the answer lacked
    assert asked.shred_id == stems[1]


def test_salts_are_written_although_a_certificate_cannot_be_had(
    cvault: Cvault, shredding: ScriptedVault, tmp_path: Path
) -> None:
    shredding.script("GetCertificate", Failure(grpc.StatusCode.INTERNAL, "INTERNAL", "broken"))
    ran = cvault("shred", "a", "b", "c", "--yes", "--certificates", tmp_path)
    assert (ran.code, ran.err) == (4, "error: broken [INTERNAL]\n")
    assert [(tmp_path / f"shr_{number:032x}.salt").exists() for number in range(3)] == [True] * 3
    assert "3 customers shredded" in ran.out


def test_a_folder_that_cannot_be_made_stops_before_anything_is_shredded(
    cvault: Cvault, shredding: ScriptedVault, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ran = cvault("shred", "a", "--yes", "--certificates", tmp_path / "file")
    assert ran.code == 2
    assert not shredding.received


def test_what_was_shredded_before_a_failure_is_told(
    cvault: Cvault, server: ScriptedVault, tmp_path: Path
) -> None:
    done = customer_service_pb2.ShredResult(values=3, salt=b"x" * 32, erasure=erasure(7))
    first = customer_service_pb2.BatchShredCustomersResponse(results=[done] * 500)
    server.script("BatchShredCustomers", first, Failure(grpc.StatusCode.INTERNAL, "INTERNAL", "broken"))
    file = tmp_path / "leavers.txt"
    file.write_text("\n".join(f"c{number}" for number in range(501)))
    ran = cvault("shred", "--file", file, "--yes")
    assert (ran.code, ran.err) == (4, "error: broken [INTERNAL]\n")
    assert "500 customers shredded" in ran.out


def test_one_salt_that_cannot_be_written_does_not_cost_the_others(
    cvault: Cvault, shredding: ScriptedVault, tmp_path: Path
) -> None:
    (tmp_path / f"shr_{0:032x}.salt").write_bytes(b"an earlier one")
    ran = cvault("shred", "a", "b", "--yes", "--certificates", tmp_path)
    assert (ran.code, "not replaced" in ran.err) == (2, True)
    assert (tmp_path / f"shr_{0:032x}.salt").read_bytes() == b"an earlier one"
    assert (tmp_path / f"shr_{1:032x}.salt").read_bytes() == b"x" * 32


def test_a_preview_changes_nothing_and_needs_no_confirmation(
    cvault: Cvault, shredding: ScriptedVault, tmp_path: Path
) -> None:
    file = tmp_path / "leavers.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\n\r\nb\r\n")
    ran = cvault("shred", "--file", file, "--preview")
    assert ran.code == 0
    assert "2 customers would be shredded, with 6 values" in ran.out
    (request,) = shredding.requests("BatchShredCustomers")
    assert request.validate_only
    assert [customer.external_id for customer in request.customers] == ["a", "b"]


@pytest.mark.usefixtures("shredding")
def test_missing_customers_are_accepted_on_request_only(cvault: Cvault) -> None:
    ran = cvault("shred", "a", "nobody", "--yes")
    assert ran.code == 1
    assert "[CUSTOMER_UNKNOWN]" in ran.out
    assert "nobody" not in ran.out + ran.err
    accepted = cvault("shred", "a", "nobody", "--yes", "--missing-ok")
    assert accepted.code == 0
    assert "1 customer shredded, with 3 values; 1 passed over" in accepted.out


@pytest.mark.parametrize(
    ("ids", "answer", "confirmed"),
    [
        (("a",), "a\n", True),
        (("a",), "b\n", False),
        (("a",), "", False),
        (("a", "b"), "2\n", True),
        (("a", "b"), "y\n", False),
    ],
)
def test_a_shred_is_confirmed_by_typing_id_or_number(
    cvault: Cvault,
    shredding: ScriptedVault,
    monkeypatch: pytest.MonkeyPatch,
    ids: tuple[str, ...],
    answer: str,
    confirmed: bool,
) -> None:
    typed(monkeypatch, answer, terminal=True)
    assert cvault("shred", *ids).code == (0 if confirmed else 2)
    assert bool(shredding.received) is confirmed


def test_a_script_has_to_say_yes(
    cvault: Cvault, shredding: ScriptedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "a\n", terminal=False)
    ran = cvault("shred", "a")
    assert (ran.code, "--yes" in ran.err) == (2, True)
    assert not shredding.received


def test_erasures(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("ListErasures", erasure_service_pb2.ListErasuresResponse(erasures=[erasure(1), erasure(2)]))
    assert "2 erasures" in cvault("erasure", "list").out
    lines = cvault("erasure", "list", "--limit", 1, "--stage", "effective", "--json").out.splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["effective"]
    stages = [each.stage for each in server.requests("ListErasures")]
    assert stages == [0, erasure_service_pb2.ERASURE_STAGE_EFFECTIVE]
    assert cvault("erasure", "list", "--stage", "gone").code == 2


def test_the_list_of_erasures_says_until_when_a_key_is_kept_for_backups(
    cvault: Cvault, server: ScriptedVault
) -> None:
    found = erasure(1)
    found.waits_for[0].step = erasure_service_pb2.AWAITED_STEP_KEPT
    server.script("ListErasures", erasure_service_pb2.ListErasuresResponse(erasures=[found, erasure(2)]))
    (_, first, second, _) = cvault("erasure", "list").out.splitlines()
    assert "data backups until 20" in first
    assert first.endswith("then for the next rotation")
    assert second.endswith("confirmation")


def test_the_status_of_an_erasure_says_in_words_what_it_waits_for(
    cvault: Cvault, server: ScriptedVault
) -> None:
    found = erasure(1)
    server.script("GetErasure", erasure_service_pb2.GetErasureResponse(erasure=found))
    ran = cvault("erasure", "status", "shr_1")
    assert "Waits for:" in ran.out
    assert "aws-kms is to destroy it, not before 20" in ran.out
    assert ran.out.splitlines()[-1].startswith("effective: no read through the vault can succeed")
    (awaited,) = cvault("erasure", "status", "shr_1", "--json").document["waits_for"]
    assert (awaited["root_key_id"], awaited["step"]) == ("root-1", "confirmation")
    for step, words in (
        (erasure_service_pb2.AWAITED_STEP_ROTATION, "a rotation ends it"),
        (erasure_service_pb2.AWAITED_STEP_RESEALING, "waits for the next rotation, then for data backups"),
        (erasure_service_pb2.AWAITED_STEP_KEPT, "waits for data backups until 20"),
        (erasure_service_pb2.AWAITED_STEP_DESTRUCTION, "has still to be told"),
        (erasure_service_pb2.AWAITED_STEP_BACKUPS, "the backups that aws-kms keeps of it end 20"),
        (99, "this program does not know"),
    ):
        found.waits_for[0].step = step  # type: ignore[assignment]
        server.script("GetErasure", erasure_service_pb2.GetErasureResponse(erasure=found))
        assert words in cvault("erasure", "status", "shr_1").out


def test_a_final_erasure_waits_for_nothing(cvault: Cvault, server: ScriptedVault) -> None:
    final = erasure_service_pb2.Erasure(
        shred_id="shr_1",
        stage=erasure_service_pb2.ERASURE_STAGE_FINAL_BEST_EFFORT,
        final_time=STAMP,
        assurance="best-effort",
    )
    server.script("GetErasure", erasure_service_pb2.GetErasureResponse(erasure=final))
    ran = cvault("erasure", "status", "shr_1")
    assert "Waits for" not in ran.out
    assert "not all of it can be proven" in ran.out.splitlines()[-1]


def test_a_certificate_is_printed_or_written_to_the_byte(
    cvault: Cvault, server: ScriptedVault, tmp_path: Path
) -> None:
    made = certificate(erasure_service_pb2.ERASURE_STAGE_FINAL)
    server.script("GetCertificate", erasure_service_pb2.GetCertificateResponse(certificate=made))
    assert cvault("erasure", "certificate", "shr_1").out.encode() == made.content
    document = cvault("erasure", "certificate", "shr_1", "--json").document
    assert document == {"stage": "final", "key_id": "k1", "certificate": made.content.decode()}
    out = tmp_path / "certificate.json"
    ran = cvault("erasure", "certificate", "shr_1", "--out", out)
    assert (ran.code, out.read_bytes()) == (0, made.content)
    assert "at stage final, signed by k1" in ran.out
    again = cvault("erasure", "certificate", "shr_1", "--out", out)
    assert (again.code, "not replaced" in again.err) == (2, True)


def test_audit(cvault: Cvault, server: ScriptedVault) -> None:
    access = audit_service_pb2.Access(
        time=STAMP, principal="crm", action="Detokenize", purpose="support", values_plain=3
    )
    server.script("ListAccess", audit_service_pb2.ListAccessResponse(accesses=[access]))
    server.script("GetAuditStatus", audit_service_pb2.GetAuditStatusResponse(segments=2, writable=False))
    options = ("--customer", TOKENS[0], "--principal", "crm", "--since", "2026-01-01", "--limit", 5)
    assert "support" in cvault("audit", "list", *options).out
    assert cvault("audit", "list", "--json").document["values_plain"] == 3
    request = server.requests("ListAccess")[0]
    assert (request.customer.token, request.principal, request.page_size) == (TOKENS[0], "crm", 5)
    assert request.start_time.ToDatetime() == datetime(2026, 1, 1)
    assert not request.HasField("end_time")
    assert cvault("audit", "status", "--json").document["writable"] is False
    assert cvault("audit", "list", "--since", "yesterday").code == 2


FILTERS = (
    *("--class", "iban", "--purpose", "support", "--decision", "masked"),
    *("--action", "Detokenize", "--action", "ShredCustomer"),
)


def test_accesses_are_chosen_by_all_filters(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    access = audit_service_pb2.Access(
        time=STAMP,
        principal="crm",
        action="Detokenize",
        lawful_basis=common_pb2.LAWFUL_BASIS_LEGITIMATE_INTERESTS,
        break_glass=True,
    )
    reply = audit_service_pb2.ListAccessResponse(accesses=[access], next_page_token="on", complete=True)
    server.script("ListAccess", reply)
    shown = cvault("audit", "list", *FILTERS, "--limit", 1).out
    assert "legitimate interests" in shown
    assert "Detokenize (break glass)" in shown
    exported = cvault("audit", "export", *FILTERS).out
    first, line, last = map(json.loads, exported.splitlines())
    assert (first["field_class"], first["one_customer"]) == ("iban", False)
    assert (line["leaf"], line["basis"], line["break_glass"]) == (None, "legitimate_interests", True)
    assert last == {"type": "end", "accesses": 1, "complete": True}
    listed, recorded = server.requests("ListAccess")
    for request in (listed, recorded):
        assert (request.field_class, request.purpose) == ("iban", "support")
        assert request.decision == audit_service_pb2.DECISION_MASKED
        assert list(request.actions) == ["Detokenize", "ShredCustomer"]
    assert (listed.order, recorded.order) == (0, audit_service_pb2.ACCESS_ORDER_RECORDED)
    assert cvault("audit", "list", "--decision", "perhaps").code == 2


def test_an_export_that_ends_early_says_so(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    access = audit_service_pb2.Access(time=STAMP, principal="crm", action="Detokenize")
    page = audit_service_pb2.ListAccessResponse(accesses=[access] * 3, next_page_token="on")
    denied = Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED")
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    server.script("ListAccess", page, denied)
    to_file = cvault("audit", "export", "--out", out)
    assert (to_file.code, out.read_text(), list(tmp_path.iterdir())) == (3, "before", [out])
    assert "not complete: it ended after 3 accesses" in to_file.err
    server.script("ListAccess", page, denied)
    ran = cvault("audit", "export")
    assert json.loads(ran.out.splitlines()[-1]) == {"type": "end", "accesses": 3, "complete": False}
    assert cvault("audit", "export", "--out", tmp_path / "no" / "out").code == 2


def test_tail_shows_what_comes_and_goes_on_when_the_vault_is_back(
    cvault: Cvault, server: ScriptedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.cli.audit_access.POLL_SECONDS", 0.0)
    monkeypatch.setattr("vault.cli.audit_access.RETRY_SECONDS", 0.0)
    pages = [
        audit_service_pb2.ListAccessResponse(
            accesses=[audit_service_pb2.Access(time=STAMP, principal=name, action="Detokenize")],
            next_page_token=name,
            complete=True,
        )
        for name in ("crm", "web")
    ]
    away = Failure(grpc.StatusCode.UNAVAILABLE, "")
    denied = Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED")
    server.script("ListAccess", pages[0], *[away] * 6, pages[1], denied)
    ran = cvault("audit", "tail", *FILTERS)
    heading, first, second = ran.out.splitlines()
    assert (heading.split()[:2], ran.code) == (["TIME", "PRINCIPAL"], 3)
    assert ("crm" in first, "web" in second) == (True, True)
    assert ran.err.splitlines()[0] == "the vault cannot be reached; trying on"
    sent = server.requests("ListAccess")
    assert [each.page_token for each in sent] == ["", *["crm"] * 7, "web"]
    assert [each.only_new for each in sent] == [True, *[False] * 8]
    server.script("ListAccess", denied)
    assert cvault("audit", "tail", "--since", "2h").code == 3
    last = server.requests("ListAccess")[-1]
    assert (last.only_new, last.HasField("start_time")) == (False, True)


POLICY = "version = 1\n"


def test_policy(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY + "[domains.crm]\n")
    server.script("GetPolicy", policy_service_pb2.GetPolicyResponse(document=POLICY, version=1))
    server.script("ApplyPolicy", policy_service_pb2.ApplyPolicyResponse(version=2, warnings=["nobody reads"]))
    assert cvault("policy", "show").out == POLICY
    checked = cvault("policy", "check", file)
    assert (checked.code, "warning: nobody reads" in checked.out) == (0, True)
    assert server.requests("ApplyPolicy")[0].validate_only
    applied = cvault("policy", "apply", file)
    assert applied.out.splitlines()[0] == "+[domains.crm]"
    assert "version 2 is in force; 1 line changed" in applied.out
    assert not server.requests("ApplyPolicy")[1].validate_only
    server.script("ApplyPolicy", Failure(grpc.StatusCode.INVALID_ARGUMENT, "POLICY_INVALID", "a: b\nc: d"))
    refused = cvault("policy", "apply", file)
    assert (refused.code, refused.err) == (1, "error: a: b [POLICY_INVALID]\n       c: d\n")


def test_a_policy_is_compared_and_explained(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    changes = ["crm: support.name MASKED -> PLAIN"]
    server.script("ApplyPolicy", policy_service_pb2.ApplyPolicyResponse(version=2, changes=changes))
    assert cvault("policy", "diff", file).out == f"{changes[0]}\n1 change\n"
    version = policy_service_pb2.PolicyVersion(version=2, apply_time=STAMP, principal="admin")
    server.script("ListPolicyVersions", policy_service_pb2.ListPolicyVersionsResponse(versions=[version]))
    assert "admin" in cvault("policy", "history").out
    answer = policy_service_pb2.ExplainResponse(
        reason="CONSENT_MISSING", deciders=["guard.consent_missing"], explanation="It is.", changes=["ask"]
    )
    server.script("Explain", answer)
    ran = cvault(
        "policy",
        "explain",
        "--purpose",
        "news",
        "--class",
        "email",
        "--basis",
        "consent",
        "--consent",
        "given",
    )
    assert ran.out == "It is.\nA caller is told CONSENT_MISSING.\nTo change that: ask.\n"
    (asked,) = server.requests("Explain")
    assert asked.lawful_basis == common_pb2.LAWFUL_BASIS_CONSENT
    assert asked.situation.consent == policy_service_pb2.ExplainedSituation.CONSENT_GIVEN
    assert cvault("policy", "explain", "--purpose", "news").code == 2
    wrong = cvault("policy", "explain", "--purpose", "news", "--class", "email", "--basis", "love")
    assert wrong.code == 2


def test_a_policys_examples_are_run_without_a_vault(cvault: Cvault, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    example = '[[examples]]\nprincipal = "{}"\naction = "admin"\nexpect = "{}"\n'
    policy = 'version = 1\n[principals.a]\nmay = ["admin"]\n[principals.b]\n'
    file.write_text(policy + example.format("a", "ALLOWED") + example.format("b", "ACTION_DENIED"))
    ran = cvault("policy", "test", file)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "2 examples, 0 failed")
    file.write_text(policy + example.format("b", "ALLOWED"))
    ran = cvault("policy", "test", file)
    assert ran.code == 1
    assert "examples.1: ACTION_DENIED FAILED: expected ALLOWED" in ran.out


def test_a_policy_is_checked_offline(cvault: Cvault, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    text = 'version = 1\n[purposes.support]\ndescription = "x"\n[principals.a]\nmay = ["admin"]\n'
    file.write_text(text)
    assert cvault("policy", "check", file, "--offline").code == 0
    file.write_text(text + '[principals.a.reveal.support]\nfax = "PLAIN"\n')
    ran = cvault("policy", "check", file, "--offline", "--json")
    assert ran.code == 1
    assert json.loads(ran.err)["error"]["reason"] == "POLICY_INVALID"
    (tmp_path / "vault.toml").write_text('[fields.fax]\nkind = "phone"\n')
    assert cvault("policy", "check", file, "--offline", "--data", tmp_path).code == 0


@pytest.fixture
def signing(server: ScriptedVault, authority: tuple[KeyedCertificate, Path]) -> ScriptedVault:
    ca, _ = authority

    def answer(request: Any) -> policy_service_pb2.CreatePrincipalResponse:
        principal = policy_service_pb2.Principal(
            name=request.name, state=policy_service_pb2.PRINCIPAL_STATE_ACTIVE
        )
        csr = request.certificate_request_pem
        if not csr:
            return policy_service_pb2.CreatePrincipalResponse(principal=principal)
        signed = certificates.sign_request(
            ca.key_pem, ca.cert_pem, csr.encode(), name=request.name, days=request.certificate_days or 90
        )
        return policy_service_pb2.CreatePrincipalResponse(
            principal=principal, certificate_pem=signed.decode(), ca_pem=ca.cert_pem.decode()
        )

    server.on("CreatePrincipal", answer)
    return server


def test_a_principal_gets_a_certificate_for_a_key_that_stays_here(
    cvault: Cvault, signing: ScriptedVault, tmp_path: Path
) -> None:
    ran = cvault("principals", "add", "crm-service", "--out", tmp_path, "--days", 7, "--json")
    assert ran.code == 0
    key, certificate = tmp_path / "crm-service.key", tmp_path / "crm-service.crt"
    assert ran.document["key"] == str(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert certificates.describe(certificate.read_bytes()).common_name == "crm-service"
    assert (tmp_path / "ca.crt").exists()
    (request,) = signing.requests("CreatePrincipal")
    assert request.certificate_days == 7
    assert "PRIVATE" not in request.certificate_request_pem
    before = key.read_bytes()
    again = cvault("principals", "add", "crm-service", "--out", tmp_path)
    assert (again.code, "not replaced" in again.err) == (2, True)
    assert key.read_bytes() == before
    assert len(signing.requests("CreatePrincipal")) == 1


def test_a_refused_principal_leaves_no_key(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    server.script("CreatePrincipal", Failure(grpc.StatusCode.ALREADY_EXISTS, "PRINCIPAL_EXISTS", "is there"))
    ran = cvault("principals", "add", "crm", "--out", tmp_path)
    assert (ran.code, ran.err) == (1, "error: is there [PRINCIPAL_EXISTS]\n")
    assert list(tmp_path.iterdir()) == []


def test_names_do_not_choose_folders(cvault: Cvault, signing: ScriptedVault, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cvault("principals", "add", "../crm", "--out", out).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in out.iterdir()) == ["ca.crt", "crm.crt", "crm.key"]


def test_an_external_principal_needs_no_files(
    cvault: Cvault, signing: ScriptedVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cvault("principals", "add", "spiffe://example.org/crm", "--external").code == 0
    assert signing.requests("CreatePrincipal")[0].certificate_request_pem == ""
    assert list(tmp_path.iterdir()) == []


def test_principals_are_listed_and_revoked(
    cvault: Cvault, server: ScriptedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked = policy_service_pb2.Principal(
        name="crm", state=policy_service_pb2.PRINCIPAL_STATE_REVOKED, revoke_time=STAMP
    )
    server.script("ListPrincipals", policy_service_pb2.ListPrincipalsResponse(principals=[revoked]))
    server.script("RevokePrincipal", policy_service_pb2.RevokePrincipalResponse(principal=revoked))
    assert "revoked" in cvault("principals", "list").out
    assert cvault("principals", "list", "--json").document["state"] == "revoked"
    typed(monkeypatch, "another\n", terminal=True)
    assert cvault("principals", "revoke", "crm").code == 2
    assert not server.requests("RevokePrincipal")
    typed(monkeypatch, "crm\n", terminal=True)
    assert cvault("principals", "revoke", "crm").code == 0
    assert cvault("principals", "revoke", "crm", "--yes", "--json").document["state"] == "revoked"


def test_an_import_goes_through_the_client(cvault: Cvault, server: ScriptedVault, tmp_path: Path) -> None:
    def answer(request: Any) -> api.BatchTokenizeResponse:
        results = []
        for entry in request.entries:
            fields = [
                api.FieldResult(token=TOKENS[1], outcome=api.FIELD_OUTCOME_CREATED) for _ in entry.fields
            ]
            results.append(
                api.TokenizeEntryResult(customer_token=TOKENS[0], customer_created=True, results=fields)
            )
        return api.BatchTokenizeResponse(results=results)

    server.on("BatchTokenize", answer)
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = [f"{number},a{number}@example.org," for number in range(2500)]
    file.write_text("\n".join(["id,email,phone", *lines]) + "\n")
    maps = ("--id", "id", "--map", "email=email", "--map", "phone=phone")
    ran = cvault("import", file, *maps, "--tokens-out", out, "--batch", 1000, "--domain", "crm", "--json")
    assert ran.code == 0
    assert (ran.document["rows"], ran.document["values_created"]) == (2500, 2500)
    assert out.read_text().splitlines()[1:] == [f"{number},{TOKENS[1]}," for number in range(2500)]
    requests = server.requests("BatchTokenize")
    assert sorted(len(request.entries) for request in requests) == [500, 1000, 1000]
    assert {request.domain for request in requests} == {"crm"}
    assert all(len(entry.fields) == 1 for request in requests for entry in request.entries)
    first = {request.request_id for request in requests}
    out.unlink()
    cvault("import", file, *maps, "--tokens-out", out, "--batch", 1000, "--domain", "crm")
    assert {request.request_id for request in server.requests("BatchTokenize")} == first


def test_an_import_that_is_denied_can_be_continued(
    cvault: Cvault, server: ScriptedVault, tmp_path: Path
) -> None:
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    file.write_text("id,email\n1,a@example.org\n")
    server.script(
        "BatchTokenize", Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED", "may not write")
    )
    maps = ("--id", "id", "--map", "email=email", "--tokens-out", out)
    ran = cvault("import", file, *maps)
    assert (ran.code, ran.err) == (3, "error: may not write [ACTION_DENIED]\n")
    field = api.FieldResult(token=TOKENS[1], outcome=api.FIELD_OUTCOME_CREATED)
    result = api.TokenizeEntryResult(customer_token=TOKENS[0], results=[field])
    server.script("BatchTokenize", api.BatchTokenizeResponse(results=[result]))
    again = cvault("import", file, *maps)
    assert again.code == 0
    assert out.read_text() == f"id,email\n1,{TOKENS[1]}\n"
