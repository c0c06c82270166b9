import json
from datetime import UTC, datetime

import pytest
from customervault.v1 import common_pb2, erasure_service_pb2
from customervault.v1 import customer_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.cli.conftest import Cvault
from tests.unit.client.scripted_vault import ScriptedVault

WHEN = Timestamp(seconds=int(datetime(2027, 1, 31, tzinfo=UTC).timestamp()))
HELD_CUSTOMER = pb.Customer(
    customer_token="cv1_c",
    state=common_pb2.CUSTOMER_STATE_RESTRICTED,
    restrictions=[pb.Restriction(id=7, purpose="marketing", until_time=WHEN)],
    holds=[pb.Hold(id=8, field_class="iban", reference="4 O 123/26")],
    expiries=[pb.Expiry(id=9, expire_time=WHEN)],
)


def test_restrict_says_what_it_restricts_and_prints_the_id(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("RestrictCustomer", pb.RestrictCustomerResponse(restriction_id=7))
    ran = cvault(
        *("customers", "restrict", "c1", "--purpose", "a", "--purpose", "b", "--field-class", "email"),
        *("--until", "2027-01-31"),
    )
    assert (ran.code, ran.out) == (0, "restriction 7\n")
    (request,) = server.requests("RestrictCustomer")
    assert (list(request.purposes), list(request.field_classes)) == (["a", "b"], ["email"])
    assert (request.customer.external_id, request.until_time) == ("c1", WHEN)


def test_hold_is_on_everything_unless_told_otherwise(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("PlaceHold", pb.PlaceHoldResponse(hold_id=8))
    ran = cvault("customers", "hold", "c1", "--reference", "4 O 123/26", "--json")
    assert ran.document == {"hold_id": 8}
    (request,) = server.requests("PlaceHold")
    assert (list(request.field_classes), request.reference) == ([], "4 O 123/26")
    assert not request.HasField("until_time")


@pytest.mark.parametrize(
    ("command", "method", "field", "told"),
    [
        ("lift", "LiftRestriction", "restriction_id", "restriction 7 lifted\n"),
        ("release", "ReleaseHold", "hold_id", "hold 7 released\n"),
    ],
)
def test_an_id_ends_it(
    cvault: Cvault, server: ScriptedVault, command: str, method: str, field: str, told: str
) -> None:
    answer = {"LiftRestriction": pb.LiftRestrictionResponse, "ReleaseHold": pb.ReleaseHoldResponse}[method]
    server.script(method, answer())
    assert cvault("customers", command, "c1", 7).out == told
    assert getattr(server.requests(method)[0], field) == 7


def test_expire_sets_and_clears(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("SetExpiry", pb.SetExpiryResponse(expiry_id=9))
    server.script("ClearExpiry", pb.ClearExpiryResponse())
    assert cvault("customers", "expire", "c1", "--at", "2027-01-31T00:00Z").out == "expiry 9\n"
    assert server.requests("SetExpiry")[0].expire_time == WHEN
    assert cvault("customers", "expire", "c1", "--clear", 9).out == "expiry 9 cleared\n"
    assert server.requests("ClearExpiry")[0].expiry_id == 9


@pytest.mark.parametrize(
    "arguments",
    [
        ("expire", "c1"),
        ("expire", "c1", "--at", "2027-01-31", "--clear", "1"),
        ("expire", "c1", "--at", "soon"),
        ("restrict", "c1", "--until", "31.1.2027"),
        ("lift", "c1", "0"),
    ],
)
def test_what_makes_no_sense_is_not_sent(
    cvault: Cvault, server: ScriptedVault, arguments: tuple[str, ...]
) -> None:
    assert cvault("customers", *arguments).code == 2
    assert not server.received


def test_show_tells_what_narrows_a_customer(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("GetCustomer", pb.GetCustomerResponse(customer=HELD_CUSTOMER))
    lines = cvault("customers", "show", "c1").out.splitlines()
    rows = [line.split() for line in lines[-3:]]
    assert rows == [
        ["7", "restricted", "marketing", "-", "2027-01-31", "00:00:00Z"],
        ["8", "held", "-", "iban", "-", "4", "O", "123/26"],
        ["9", "expiring", "-", "-", "2027-01-31", "00:00:00Z"],
    ]
    server.script("GetCustomer", pb.GetCustomerResponse(customer=HELD_CUSTOMER))
    document = cvault("customers", "show", "c1", "--json").document
    assert document["holds"] == [{"id": 8, "field_class": "iban", "until": None, "reference": "4 O 123/26"}]
    assert document["restrictions"][0]["until"] == "2027-01-31T00:00:00Z"
    assert document["expiries"][0] == {
        "id": 9, "purpose": None, "field_class": None, "at": "2027-01-31T00:00:00Z"
    }  # fmt: skip


def test_a_shred_under_a_hold_is_accepted_and_has_no_certificate_yet(
    cvault: Cvault, server: ScriptedVault, tmp_path
) -> None:
    erasure = erasure_service_pb2.Erasure(
        shred_id="shr_" + "1" * 32,
        stage=erasure_service_pb2.ERASURE_STAGE_HELD,
        effective_time=WHEN,
        held_values=2,
        waits_for=[
            erasure_service_pb2.AwaitedRootKey(step=erasure_service_pb2.AWAITED_STEP_HOLD, due_time=WHEN)
        ],
    )
    result = pb.ShredResult(values=3, held_values=2, salt=bytes(32), erasure=erasure)
    server.script("BatchShredCustomers", pb.BatchShredCustomersResponse(results=[result]))
    ran = cvault("shred", "c1", "--yes", "--json", "--certificates", tmp_path / "made")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert (document["outcome"], document["values"], document["held_values"]) == ("held", 3, 2)
    assert [path.suffix for path in (tmp_path / "made").iterdir()] == [".salt"]
    server.script("GetErasure", erasure_service_pb2.GetErasureResponse(erasure=erasure))
    shown = cvault("erasure", "status", erasure.shred_id).out
    assert "a legal hold, which ends 2027-01-31 00:00:00Z" in shown
    assert "held: a legal hold keeps some values" in shown
