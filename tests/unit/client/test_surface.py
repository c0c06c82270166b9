import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, get_args, get_origin

import grpc
import pytest
from customervault import AsyncVault, Entry, Field, Vault, errors
from customervault.consents import ConsentEntry
from customervault.inputs import Question
from customervault.v1 import (
    audit_service_pb2,
    common_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
)
from customervault.v1 import token_service_pb2 as api
from google.protobuf import message_factory
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2

from tests.unit.client.conftest import Authority
from tests.unit.client.scripted_vault import METHODS, Failure, ScriptedVault

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = Timestamp(seconds=int(THEN.timestamp()))
CUSTOMER = customer_service_pb2.Customer(
    customer_token="cv1_c",
    state=common_pb2.CUSTOMER_STATE_ACTIVE,
    jurisdiction="NL",
    create_time=STAMP,
    dek_generation=1,
    held=[customer_service_pb2.HeldValue(token="cv1_e", field_class="email", labels=["work"], version=2)],
)
ISSUED = api.TokenizeEntryResult(results=[api.FieldResult(token="t")])
ERASURE = erasure_service_pb2.Erasure(
    shred_id="shr_1",
    stage=erasure_service_pb2.ERASURE_STAGE_EFFECTIVE,
    effective_time=STAMP,
    ledger_seq=9,
    commitment=b"commitment",
)
CERTIFICATE = erasure_service_pb2.Certificate(
    content=b"{}", stage=erasure_service_pb2.ERASURE_STAGE_EFFECTIVE, key_id="k"
)


def verbs(vault: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(vault, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_verbs_and_arguments() -> None:
    assert inspect.signature(Vault) == inspect.signature(AsyncVault)
    sync, asynchronous = verbs(Vault), verbs(AsyncVault)
    assert sync.keys() == asynchronous.keys()
    for name, signature in sync.items():
        assert signature.parameters == asynchronous[name].parameters, name


@pytest.mark.parametrize("name", sorted(verbs(Vault)))
def test_both_clients_answer_the_same_type(name: str) -> None:
    one, other = verbs(Vault)[name].return_annotation, verbs(AsyncVault)[name].return_annotation
    if get_origin(one) is Iterator:
        assert get_origin(other) is AsyncIterator
        assert get_args(one) == get_args(other)
    else:
        assert one == other
        assert inspect.iscoroutinefunction(getattr(AsyncVault, name))


def call_every_verb(vault: Any) -> None:
    vault.tokenize("c1", {"email": "e"})
    vault.tokenize_many([Entry("c1", {"email": "e"})])
    vault.detokenize(["t"])
    vault.update("t", "v")
    vault.delete("t")
    vault.translate(["t"], "billing")
    vault.pseudonymize(["t"])
    vault.compare([("t", "u")])
    vault.derive([Question("t", "country")])
    vault.inspect("t")
    vault.issue_token("t", single_use=True)
    vault.revoke_token("t")
    vault.get_token("t")
    list(vault.list_tokens(tags={"team": "billing"}))
    vault.create_customer("c1")
    vault.get_customer(external_id="c1")
    list(vault.list_customers())
    vault.export(external_id="c1")
    vault.shred(external_id="c1")
    vault.shred_many(["c1"])
    vault.restrict(external_id="c1")
    vault.lift(1, external_id="c1")
    vault.hold(external_id="c1")
    vault.release(1, external_id="c1")
    vault.set_expiry(THEN, external_id="c1")
    vault.clear_expiry(1, external_id="c1")
    vault.record_consent("marketing", external_id="c1")
    vault.record_consents([ConsentEntry("c1", "marketing")])
    vault.withdraw_consent("marketing", external_id="c1")
    vault.record_objection("marketing", external_id="c1")
    vault.consent_state(external_id="c1")
    list(vault.list_consent_events(external_id="c1"))
    vault.consent_receipt(1, external_id="c1")
    vault.export_consents(external_id="c1")
    vault.ingest_signal("1", external_id="c1")
    vault.rotate_dek(external_id="c1")
    vault.rotate_epoch()
    vault.epoch_rotation("operations/1")
    vault.keyring_status()
    vault.get_erasure("shr_1")
    vault.certificate("shr_1")
    list(vault.list_erasures())
    list(vault.list_access())
    vault.audit_status()
    vault.inclusion_proof(0)
    vault.consistency_proof(1)
    vault.get_policy()
    list(vault.policy_versions())
    vault.explain("support", "name")
    vault.apply_policy("")
    vault.create_principal("p")
    list(vault.list_principals())
    vault.revoke_principal("p")
    vault.suspend_principal("p")
    vault.resume_principal("p")
    vault.budget_use("p")
    list(vault.list_customers_read("p"))
    list(vault.blast_radius_pages(principal="p"))
    vault.blast_radius(start=THEN)
    list(vault.access_history(external_id="c1"))
    vault.request_approval("shred", reason="r", customers=["c1"])
    vault.get_approval("a")
    list(vault.list_approvals())
    vault.approve("a")
    vault.reject("a")
    vault.cancel_approval("a")
    list(vault.find({"phone": "p"}))
    list(vault.list_duplicates("phone"))
    vault.search_status()
    vault.healthy()


def test_every_method_of_the_api_is_reached(server: ScriptedVault, connect: Any) -> None:
    for path, method in METHODS.items():
        server.script(path.rpartition("/")[2], message_factory.GetMessageClass(method.output_type)())
    server.script("Tokenize", api.TokenizeResponse(result=ISSUED))
    server.script("BatchTokenize", api.BatchTokenizeResponse(results=[ISSUED]))
    server.script("Detokenize", api.DetokenizeResponse(values=["v"], reveals=[common_pb2.REVEAL_PLAIN]))
    server.script("Pseudonymize", api.PseudonymizeResponse(pseudonyms=["p"]))
    server.script("Compare", api.CompareResponse(equal=[True]))
    server.script("Derive", api.DeriveResponse(answers=[api.DerivedAnswer(text="DE")]))
    call_every_verb(connect())
    not_called = {"Watch", "List", "ListOperations", "DeleteOperation", "CancelOperation", "WaitOperation"}
    assert {seen.method for seen in server.received} == {
        path.rpartition("/")[2] for path in METHODS
    } - not_called


def test_tokenize_sends_fields_and_answers_tokens(server: ScriptedVault, connect: Any) -> None:
    server.script(
        "Tokenize",
        api.TokenizeResponse(
            result=api.TokenizeEntryResult(
                customer_token="cv1_c",
                customer_created=True,
                results=[
                    api.FieldResult(token="t1", outcome=api.FIELD_OUTCOME_CREATED),
                    api.FieldResult(token="t2", outcome=api.FIELD_OUTCOME_UPDATED),
                    api.FieldResult(outcome=api.FIELD_OUTCOME_EMPTY),
                ],
            )
        ),
    )
    fields = [Field("email", "e"), Field("phone", "p", "mobile"), Field("note", "")]
    tokenized = connect(domain="crm").tokenize("c1", fields, jurisdiction="NL", atomic=True)
    (request,) = server.requests("Tokenize")
    assert request.entry.customer.external_id == "c1"
    assert [(f.field_class, f.value, f.label) for f in request.entry.fields] == [
        ("email", "e", ""),
        ("phone", "p", "mobile"),
        ("note", "", ""),
    ]
    assert (request.entry.jurisdiction, request.domain) == ("NL", "crm")
    assert request.mode == common_pb2.BATCH_MODE_ATOMIC
    assert (tokenized.customer_token, tokenized.created, tokenized.ok) == ("cv1_c", True, True)
    assert tokenized.tokens == {"email": "t1", ("phone", "mobile"): "t2"}
    assert [result.outcome for result in tokenized.results] == ["created", "updated", "empty"]
    assert tokenized.token("phone", "mobile") == "t2"
    with pytest.raises(errors.NotFoundError):
        tokenized.token("note")


def test_tokenize_raises_when_the_customer_is_refused(server: ScriptedVault, connect: Any) -> None:
    refused = Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED").status()
    server.script("Tokenize", api.TokenizeResponse(result=api.TokenizeEntryResult(error=refused)))
    with pytest.raises(errors.ActionDeniedError):
        connect().tokenize("c1", {"email": "e"})


def test_a_customer_is_described(server: ScriptedVault, connect: Any) -> None:
    server.script("GetCustomer", customer_service_pb2.GetCustomerResponse(customer=CUSTOMER))
    customer = connect().get_customer(token="cv1_e", domain="crm")
    (request,) = server.requests("GetCustomer")
    assert (request.customer.token, request.domain) == ("cv1_e", "crm")
    assert (customer.state, customer.jurisdiction, customer.created) == ("active", "NL", THEN)
    assert [(held.token, held.labels, held.version) for held in customer.held] == [("cv1_e", ("work",), 2)]


def test_an_export_reveals_or_raises(server: ScriptedVault, connect: Any) -> None:
    server.script(
        "ExportCustomer",
        customer_service_pb2.ExportCustomerResponse(
            customer=CUSTOMER,
            values=[
                customer_service_pb2.ExportedValue(
                    field_class="email", token="t1", value="e", reveal=common_pb2.REVEAL_PLAIN
                ),
                customer_service_pb2.ExportedValue(
                    field_class="note",
                    token="t2",
                    error=Failure(grpc.StatusCode.DATA_LOSS, "DATA_LOSS").status(),
                ),
            ],
        ),
    )
    export = connect().export(external_id="c1", purpose="access-request")
    assert server.requests("ExportCustomer")[0].purpose == "access-request"
    assert export.values[0].value.get() == "e"
    with pytest.raises(errors.DataLossError):
        export.values[1].value.get()


def test_a_shred_answers_certificate_and_salt(server: ScriptedVault, connect: Any) -> None:
    result = customer_service_pb2.ShredResult(
        values=3, dek_generations=1, salt=b"s" * 32, erasure=ERASURE, certificate=CERTIFICATE
    )
    server.script("ShredCustomer", customer_service_pb2.ShredCustomerResponse(result=result))
    shredded = connect().shred(external_id="c1")
    assert (shredded.outcome, shredded.shred_id, shredded.values) == ("shredded", "shr_1", 3)
    assert (shredded.salt, shredded.certificate.content) == (b"s" * 32, b"{}")
    assert (shredded.certificate.stage, shredded.certificate.key_id) == ("effective", "k")
    assert (shredded.erasure.stage, shredded.erasure.effective) == ("effective", THEN)


def test_an_erasure_says_how_far_it_is_and_what_it_waits_for(server: ScriptedVault, connect: Any) -> None:
    awaited = erasure_service_pb2.AwaitedRootKey(
        root_key_id="root-1",
        epoch=1,
        provider="aws-kms",
        step=erasure_service_pb2.AWAITED_STEP_CONFIRMATION,
        due_time=STAMP,
    )
    waiting, final = erasure_service_pb2.Erasure(), erasure_service_pb2.Erasure()
    waiting.CopyFrom(ERASURE)
    waiting.waits_for.append(awaited)
    final.CopyFrom(ERASURE)
    final.MergeFrom(
        erasure_service_pb2.Erasure(
            stage=erasure_service_pb2.ERASURE_STAGE_FINAL, final_time=STAMP, assurance="hardware"
        )
    )
    server.script("GetErasure", erasure_service_pb2.GetErasureResponse(erasure=waiting))
    found = connect().get_erasure("shr_1")
    assert (found.final, found.assurance) == (None, "")
    (key,) = found.waits_for
    assert (key.root_key_id, key.epoch, key.provider, key.step, key.due) == (
        "root-1",
        1,
        "aws-kms",
        "confirmation",
        THEN,
    )
    server.script("GetErasure", erasure_service_pb2.GetErasureResponse(erasure=final))
    found = connect().get_erasure("shr_1")
    assert (found.stage, found.final, found.assurance, found.waits_for) == ("final", THEN, "hardware", ())


@pytest.mark.parametrize("stage", [None, "effective", "final-best-effort", "final"])
def test_erasures_of_one_stage(server: ScriptedVault, connect: Any, stage: Any) -> None:
    server.script("ListErasures", erasure_service_pb2.ListErasuresResponse())
    assert list(connect().list_erasures(stage=stage)) == []
    expected = stage.upper().replace("-", "_") if stage else "UNSPECIFIED"
    sent = server.requests("ListErasures")[-1].stage
    assert erasure_service_pb2.ErasureStage.Name(sent) == f"ERASURE_STAGE_{expected}"


def test_a_preview_shreds_nothing(server: ScriptedVault, connect: Any) -> None:
    server.script(
        "ShredCustomer",
        customer_service_pb2.ShredCustomerResponse(result=customer_service_pb2.ShredResult(values=3)),
    )
    preview = connect().shred(external_id="c1", validate_only=True)
    assert server.requests("ShredCustomer")[0].validate_only
    assert (preview.outcome, preview.values, preview.shred_id) == ("validated", 3, "")


@pytest.mark.parametrize(
    ("code", "reason", "outcome"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_SHREDDED", "already_shredded"),
        (grpc.StatusCode.NOT_FOUND, "CUSTOMER_UNKNOWN", "missing"),
    ],
)
def test_a_shred_accepts_what_is_gone_only_when_told(
    server: ScriptedVault, connect: Any, code: grpc.StatusCode, reason: str, outcome: str
) -> None:
    server.script("ShredCustomer", Failure(code, reason))
    vault = connect()
    assert vault.shred(external_id="c1", missing_ok=True).outcome == outcome
    with pytest.raises(errors.VaultError) as caught:
        vault.shred(external_id="c1")
    assert caught.value.reason == reason


def test_missing_ok_accepts_nothing_else(server: ScriptedVault, connect: Any) -> None:
    server.script("ShredCustomer", Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED"))
    with pytest.raises(errors.ActionDeniedError):
        connect().shred(external_id="c1", missing_ok=True)


def test_listings_fetch_page_after_page(server: ScriptedVault, connect: Any) -> None:
    def page(request: Any) -> customer_service_pb2.ListCustomersResponse:
        number = int(request.page_token or 0)
        found = customer_service_pb2.Customer(customer_token=f"c{number}")
        return customer_service_pb2.ListCustomersResponse(
            customers=[found], next_page_token=str(number + 1) if number < 2 else ""
        )

    server.on("ListCustomers", page)
    listed = connect().list_customers(page_size=1, show_shredded=True)
    assert [customer.customer_token for customer in listed] == ["c0", "c1", "c2"]
    requests = server.requests("ListCustomers")
    assert [request.page_token for request in requests] == ["", "1", "2"]
    assert {(request.page_size, request.show_shredded) for request in requests} == {(1, True)}


def test_accesses_are_filtered(server: ScriptedVault, connect: Any) -> None:
    access = audit_service_pb2.Access(time=STAMP, principal="crm", action="Detokenize", values_plain=2)
    server.script("ListAccess", audit_service_pb2.ListAccessResponse(accesses=[access]))
    (found,) = connect().list_access(external_id="c1", principal="crm", start=THEN, end=THEN)
    (request,) = server.requests("ListAccess")
    assert (request.customer.external_id, request.principal) == ("c1", "crm")
    assert request.start_time == request.end_time == STAMP
    assert (found.time, found.action, found.values_plain) == (THEN, "Detokenize", 2)


def test_accesses_are_chosen_by_all_filters(server: ScriptedVault, connect: Any) -> None:
    server.script("ListAccess", audit_service_pb2.ListAccessResponse())
    wanted = {"field_class": "iban", "purpose": "support", "actions": ["Detokenize", "ShredCustomer"]}
    assert list(connect().list_access(decision="masked", **wanted)) == []
    (request,) = server.requests("ListAccess")
    assert (request.field_class, request.purpose, list(request.actions)) == tuple(wanted.values())
    assert request.decision == audit_service_pb2.DECISION_MASKED
    with pytest.raises(errors.InvalidRequestError):
        list(connect().list_access(decision="perhaps"))
    with pytest.raises(TypeError, match="colour"):
        list(connect().list_access(colour="blue"))


def recorded(number: int, *, complete: bool) -> audit_service_pb2.ListAccessResponse:
    access = audit_service_pb2.Access(time=STAMP, action="Detokenize", values_plain=number, leaf=number)
    return audit_service_pb2.ListAccessResponse(
        accesses=[access], next_page_token=str(number), complete=complete
    )


def test_accesses_in_the_order_recorded_end_with_what_was_there(server: ScriptedVault, connect: Any) -> None:
    pages = [recorded(number, complete=number == 3) for number in (1, 2, 3, 4)]
    server.script("ListAccess", *pages)
    assert [each.leaf for each in connect().recorded_access(principal="crm")] == [1, 2, 3]
    requests = server.requests("ListAccess")
    assert [each.page_token for each in requests] == ["", "1", "2"]
    assert {(each.order, each.principal) for each in requests} == {
        (audit_service_pb2.ACCESS_ORDER_RECORDED, "crm")
    }


def test_following_goes_on_behind_what_was_there(server: ScriptedVault, connect: Any) -> None:
    denied = Failure(grpc.StatusCode.PERMISSION_DENIED, "ACTION_DENIED")
    server.script("ListAccess", recorded(1, complete=False), recorded(2, complete=True), denied)
    with pytest.raises(errors.ActionDeniedError):
        list(connect().follow_access(poll_seconds=0.0, decision="denied"))
    requests = server.requests("ListAccess")
    assert [(each.page_token, each.only_new) for each in requests] == [("", True), ("1", False), ("2", False)]
    assert {each.decision for each in requests} == {audit_service_pb2.DECISION_DENIED}


def test_a_time_without_zone_is_refused(server: ScriptedVault, connect: Any) -> None:
    with pytest.raises(ValueError, match="time zone"):
        list(connect().list_access(start=THEN.replace(tzinfo=None)))


def test_administration_answers(server: ScriptedVault, connect: Any) -> None:
    principal = policy_service_pb2.Principal(
        name="crm", state=policy_service_pb2.PRINCIPAL_STATE_ACTIVE, create_time=STAMP
    )
    server.script(
        "CreatePrincipal",
        policy_service_pb2.CreatePrincipalResponse(principal=principal, certificate_pem="PEM", ca_pem="CA"),
    )
    server.script(
        "ApplyPolicy", policy_service_pb2.ApplyPolicyResponse(version=4, warnings=["w"], changes=["c"])
    )
    server.script("RotateDek", key_service_pb2.RotateDekResponse(dek_generation=2, values_resealed=5))
    vault = connect()
    created = vault.create_principal("crm", "CSR", certificate_days=30)
    assert (created.principal.state, created.principal.created) == ("active", THEN)
    assert created.principal.revoked is None
    assert (created.certificate_pem, created.ca_pem) == ("PEM", "CA")
    applied = vault.apply_policy("x = 1", validate_only=True)
    assert (applied.version, applied.warnings, applied.changes) == (4, ("w",), ("c",))
    assert vault.rotate_dek(token="cv1_c").values_resealed == 5


def test_an_enumeration_newer_than_the_client_is_unknown(server: ScriptedVault, connect: Any) -> None:
    server.script("InspectToken", api.InspectTokenResponse(state=77, customer_state=2))  # type: ignore[arg-type]
    info = connect().inspect("cv1_0")
    assert (info.state, info.customer_state) == ("unknown", "restricted")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING), True),
        (health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING), False),
        (Failure(grpc.StatusCode.UNAVAILABLE), False),
    ],
    ids=["serving", "draining", "unavailable"],
)
def test_health(server: ScriptedVault, connect: Any, answer: Any, expected: bool) -> None:
    server.script("Check", answer)
    assert connect().healthy() is expected


def test_an_unreachable_vault_is_not_healthy(server: ScriptedVault, connect: Any) -> None:
    server.stop()
    assert connect(timeout=2.0).healthy() is False


def test_each_channel_has_its_own_connection(server: ScriptedVault, connect: Any) -> None:
    server.script("UpdateValue", api.UpdateValueResponse(outcome=api.FIELD_OUTCOME_UPDATED))
    vault = connect(channels=3)
    for _ in range(6):
        vault.update("cv1_0", "v")
    peers = [seen.peer for seen in server.received]
    assert len(set(peers)) == 3
    assert len(set(peers[:3])) == 3  # each is tried before any is preferred


def test_a_vault_of_another_authority_is_refused(
    server: ScriptedVault, connect: Any, authority: Authority
) -> None:
    with pytest.raises(errors.ConnectionFailedError):
        connect(ca=authority.stranger_ca, timeout=3.0).inspect("cv1_0")
    assert server.received == []


def test_the_servers_name_can_be_given(server: ScriptedVault, connect: Any) -> None:
    server.script("InspectToken", api.InspectTokenResponse())
    with pytest.raises(errors.ConnectionFailedError):
        connect(server_name="other.example", timeout=3.0).inspect("cv1_0")
    by_name = server.address.replace("127.0.0.1", "localhost")
    assert connect(address=by_name, server_name="127.0.0.1").inspect("cv1_0").version == 0


def test_large_replies_pass(server: ScriptedVault, connect: Any) -> None:
    values = ["x" * 65_536] * 100
    server.script(
        "Detokenize", api.DetokenizeResponse(values=values, reveals=[common_pb2.REVEAL_PLAIN] * 100)
    )
    assert connect().detokenize(["t"] * 100).plain_list() == values


def test_a_closed_client_says_so(server: ScriptedVault, connect: Any) -> None:
    vault = connect(max_batch=1)
    vault.close()
    vault.close()
    with pytest.raises(errors.ClosedError):
        vault.inspect("t")
    with pytest.raises(errors.ClosedError):
        vault.detokenize(["a", "b"])


def test_importing_the_package_loads_no_grpc() -> None:
    check = "import customervault, customervault.pytest_plugin, sys; sys.exit('grpc' in sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", check], check=True)


def test_the_package_needs_no_server() -> None:
    check = (
        "import sys; sys.modules['vault'] = None; import customervault as c; "
        "[getattr(c, name) for name in c.__all__]"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
