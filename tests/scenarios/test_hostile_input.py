import datetime as dt
import time

import grpc
import pytest
from customervault.v1 import customer_service_pb2 as customers
from customervault.v1 import key_service_pb2 as keys
from customervault.v1 import policy_service_pb2 as policies
from customervault.v1 import token_service_pb2 as tokens
from customervault.v1.common_pb2 import CustomerRef, FieldInput

from tests.scenarios.support.deployment import found_vault, new_id
from tests.scenarios.support.server import Answer, call, serving, tls_versions
from vault.crypto import certificates

Code = grpc.StatusCode
GUESS = "cv1_" + "5" * 32
DETOKENIZE, TOKENIZE = "TokenService/Detokenize", "TokenService/Tokenize"
LIMITS = """\
[server]
workers = 1
metrics_listen = "127.0.0.1:0"
[limits]
batch_tokens = 50
message_bytes = 300000
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hostile")
    with serving(found_vault(directory / "vault", settings=LIMITS), directory) as running:
        yield running


@pytest.fixture(scope="module")
def authority(server) -> certificates.KeyedCertificate:
    """The vault's own, with its private key, so that certificates can be wrong in one respect only."""
    with server.deployment.opened("authority") as desks:
        key = desks.vault.engine.secrets.ca_key_pem
    return certificates.KeyedCertificate(key, server.ca)


@pytest.fixture(scope="module")
def crm(server):
    with server.channel("crm") as channel:
        yield channel


@pytest.fixture(scope="module")
def stored(server) -> list[str]:
    with server.connect("crm") as vault:
        return list(
            vault.tokenize("crm-1", {"name": "Jane Doe", "email": "jane@example.com"}).tokens.values()
        )


def entry(**fields: str) -> tokens.TokenizeEntry:
    inputs = [FieldInput(field_class=name, value=value) for name, value in fields.items()]
    return tokens.TokenizeEntry(customer=CustomerRef(external_id="crm-2"), fields=inputs)


def detokenize(*asked: str, purpose: str = "support", reveal: int = 0) -> tokens.DetokenizeRequest:
    return tokens.DetokenizeRequest(tokens=asked, purpose=purpose, reveal=reveal)  # type: ignore[arg-type]


# --- Who calls -------------------------------------------------------------------------------


def test_without_a_certificate_there_is_no_connection(server, stored):
    with server.channel_with(None, None) as channel:
        answer = call(channel, DETOKENIZE, detokenize(*stored), timeout=5)
    assert answer.code in (Code.UNAVAILABLE, Code.UNAUTHENTICATED)


def test_without_tls_there_is_no_connection(server, stored):
    with grpc.insecure_channel(server.address) as channel:
        assert call(channel, DETOKENIZE, detokenize(*stored), timeout=5).code in (
            Code.UNAVAILABLE,
            Code.DEADLINE_EXCEEDED,
        )


def made_by(
    ca: certificates.KeyedCertificate, name: str, now: dt.datetime | None = None
) -> tuple[bytes, bytes]:
    request = certificates.create_request(name)
    signed = certificates.sign_request(ca.key_pem, ca.cert_pem, request.csr_pem, name=name, days=1, now=now)
    return signed, request.key_pem


def test_a_certificate_of_another_authority_makes_no_connection(server, stored):
    certificate, key = made_by(certificates.create_ca("Customer Vault", 10), "crm")
    with server.channel_with(certificate, key) as channel:
        assert call(channel, DETOKENIZE, detokenize(*stored), timeout=5).code is Code.UNAVAILABLE


def test_an_expired_certificate_makes_no_connection(server, authority, stored):
    certificate, key = made_by(authority, "crm", dt.datetime.now(dt.UTC) - dt.timedelta(days=10))
    with server.channel_with(certificate, key) as channel:
        assert call(channel, DETOKENIZE, detokenize(*stored), timeout=5).code is Code.UNAVAILABLE


def test_the_client_refuses_a_server_of_another_authority(server, stored):
    certificate, key = server.certificate("crm")
    other = certificates.create_ca("Customer Vault", 10).cert_pem
    with server.channel_with(certificate.read_bytes(), key.read_bytes(), ca=other) as channel:
        assert call(channel, DETOKENIZE, detokenize(*stored), timeout=5).code is Code.UNAVAILABLE


def test_only_current_versions_of_tls_are_spoken(server):
    assert tls_versions(server.address, server.ca, server.certificate("crm")) == ["TLSv1_2", "TLSv1_3"]


def test_a_good_certificate_made_anew_is_let_in(server, authority, stored):
    with server.channel_with(*made_by(authority, "crm")) as channel:
        assert call(channel, DETOKENIZE, detokenize(*stored)).code is Code.OK


def test_a_good_certificate_of_an_unregistered_principal_is_unauthenticated(server, authority, stored):
    with server.channel_with(*made_by(authority, "stranger")) as channel:
        answer = call(channel, DETOKENIZE, detokenize(*stored))
    assert (answer.code, answer.reason) == (Code.UNAUTHENTICATED, "UNAUTHENTICATED")


def test_a_revoked_principal_is_suspended_on_its_open_connection(server):
    with server.channel("bridge") as channel:
        assert call(channel, DETOKENIZE, detokenize(GUESS)).code is Code.OK
        with server.connect("admin") as admin:
            admin.revoke_principal("bridge")
        answer = call(channel, DETOKENIZE, detokenize(GUESS))
    assert (answer.code, answer.reason) == (Code.PERMISSION_DENIED, "SUSPENDED")


# --- What is sent ----------------------------------------------------------------------------


def reason(answer: Answer, code: grpc.StatusCode = Code.INVALID_ARGUMENT) -> str:
    assert answer.code is code
    return answer.reason


def item_reasons(channel, request: tokens.DetokenizeRequest) -> list[str]:
    from google.rpc.error_details_pb2 import ErrorInfo

    act = channel.unary_unary(
        "/customervault.v1.TokenService/Detokenize",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=tokens.DetokenizeResponse.FromString,
    )
    found = []
    for error in act(request, timeout=10).errors:
        info = ErrorInfo()
        error.status.details[0].Unpack(info)
        found.append(info.reason)
    return found


def test_unknown_malformed_and_foreign_tokens(server, crm, stored):
    assert item_reasons(crm, detokenize(GUESS, "nonsense", "", stored[0])) == [
        "TOKEN_UNKNOWN",
        "TOKEN_MALFORMED",
        "TOKEN_MALFORMED",
    ]
    with server.channel("partner") as partner:
        assert item_reasons(partner, detokenize(*stored)) == ["TOKEN_UNKNOWN"] * 2
        answer = call(partner, "TokenService/InspectToken", tokens.InspectTokenRequest(token=stored[0]))
        assert reason(answer, Code.NOT_FOUND) == "TOKEN_UNKNOWN"


def test_a_domain_that_the_caller_is_not_in(crm):
    for domain in ("partner", "no_such_domain"):
        request = tokens.TokenizeRequest(entry=entry(name="x"), domain=domain)
        assert reason(call(crm, TOKENIZE, request), Code.PERMISSION_DENIED) == "DOMAIN_DENIED"


def limits(answer: Answer) -> tuple[str, int, int]:
    assert (answer.code, answer.reason) == (Code.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
    assert answer.details is not None
    size = answer.details["size"]
    return answer.details["limit"], int(answer.details["allowed"]), int(size)


def test_a_value_one_byte_too_long_is_refused_with_limit_and_size(server, crm):
    request = tokens.TokenizeRequest(entry=entry(note="x" * 65_537))
    act = crm.unary_unary(
        "/customervault.v1.TokenService/Tokenize",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=tokens.TokenizeResponse.FromString,
    )
    (result,) = act(request, timeout=10).result.results
    assert result.outcome == tokens.FIELD_OUTCOME_REFUSED
    assert "65537" in str(result.error)
    assert "65536" in str(result.error)
    (fits,) = act(tokens.TokenizeRequest(entry=entry(note="x" * 65_536)), timeout=10).result.results
    assert fits.outcome in (tokens.FIELD_OUTCOME_CREATED, tokens.FIELD_OUTCOME_UPDATED)


def test_an_update_one_byte_too_long_is_refused_with_limit_and_size(crm, stored):
    request = tokens.UpdateValueRequest(token=stored[0], value="x" * 65_537)
    assert limits(call(crm, "TokenService/UpdateValue", request)) == ("value_bytes", 65_536, 65_537)


def test_a_batch_one_item_too_long_is_refused_with_limit_and_size(crm):
    assert limits(call(crm, DETOKENIZE, detokenize(*[GUESS] * 51))) == ("batch_tokens", 50, 51)
    request = tokens.TranslateTokensRequest(tokens=[GUESS] * 51, target_domain="crm")
    assert limits(call(crm, "TokenService/TranslateTokens", request)) == ("batch_tokens", 50, 51)


def test_a_message_too_long_is_refused_with_limit_and_size(crm):
    request = tokens.BatchTokenizeRequest(entries=[entry(note="x" * 60_000)] * 6)
    size = request.ByteSize()
    assert limits(call(crm, "TokenService/BatchTokenize", request)) == ("message_bytes", 300_000, size)


def test_a_message_far_too_long_is_cut_off(crm):
    request = tokens.BatchTokenizeRequest(entries=[entry(note="x" * 60_000)] * 60)
    assert call(crm, "TokenService/BatchTokenize", request).code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x0a\x04\xff\xfe\xfd\xfc",  # a token that is not UTF-8
        b"\xff\xff\xff\xff",
        b"\x0a\x7fshort",
        b"\x0a" + b"\xff" * 9 + b"\x01",
    ],
)
def test_bytes_that_are_no_message_or_no_utf8(crm, garbage):
    assert reason(call(crm, DETOKENIZE, garbage)) == "INVALID_REQUEST"


def test_fields_that_nobody_declared_do_no_harm(crm):
    unknown = b"\xa2\x06\x03abc" + detokenize(GUESS).SerializeToString()
    assert call(crm, DETOKENIZE, unknown).code is Code.OK


@pytest.mark.parametrize("name", ["no_such_class", "external_id", "", "Name", "x" * 500, "a@b.c"])
def test_a_wrong_field_class_is_refused_by_field(crm, name):
    act = crm.unary_unary(
        "/customervault.v1.TokenService/Tokenize",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=tokens.TokenizeResponse.FromString,
    )
    request = tokens.TokenizeRequest(entry=entry(name="Jane"))
    request.entry.fields.append(FieldInput(field_class=name, value="canary-value"))
    good, bad = act(request, timeout=10).result.results
    assert good.token
    assert bad.outcome == tokens.FIELD_OUTCOME_REFUSED
    assert "canary" not in str(bad)


def test_a_request_id_with_another_body_or_that_is_none(crm):
    request_id = new_id()
    first = tokens.TokenizeRequest(entry=entry(name="one"), request_id=request_id)
    assert call(crm, TOKENIZE, first).code is Code.OK
    assert call(crm, TOKENIZE, first).code is Code.OK
    other = tokens.TokenizeRequest(entry=entry(name="two"), request_id=request_id)
    assert reason(call(crm, TOKENIZE, other)) == "REQUEST_ID_REUSED"
    bad = tokens.TokenizeRequest(entry=entry(name="two"), request_id="not-a-uuid")
    assert reason(call(crm, TOKENIZE, bad)) == "INVALID_REQUEST"


@pytest.mark.parametrize("reveal", [4, 99, -1])
def test_an_unknown_reveal(crm, stored, reveal):
    request = detokenize(*stored).SerializeToString() + b"\x18" + varint(reveal)
    assert reason(call(crm, DETOKENIZE, request)) == "INVALID_REQUEST"


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def test_a_deadline_that_has_passed(server, crm, stored):
    with server.stopped():
        assert call(crm, DETOKENIZE, detokenize(*stored), timeout=0.2).code is Code.DEADLINE_EXCEEDED
    assert call(crm, DETOKENIZE, detokenize(*stored), timeout=10).code is Code.OK


def test_missing_parts(crm):
    assert reason(call(crm, TOKENIZE, tokens.TokenizeRequest())) == "INVALID_REQUEST"
    assert (
        reason(call(crm, "CustomerService/GetCustomer", customers.GetCustomerRequest())) == "INVALID_REQUEST"
    )
    assert call(crm, DETOKENIZE, tokens.DetokenizeRequest()).code is Code.OK  # nothing asked, nothing given


@pytest.mark.parametrize("external_id", ["", " ", "a\nb", "\0", "x" * 257])
def test_external_ids_that_are_none(crm, external_id):
    request = customers.CreateCustomerRequest(external_id=external_id)
    assert call(crm, "CustomerService/CreateCustomer", request).reason in (
        "INVALID_REQUEST",
        "LIMIT_EXCEEDED",
    )


def test_acts_that_are_not_granted(crm, server):
    for method, request in (
        (
            "CustomerService/ShredCustomer",
            customers.ShredCustomerRequest(customer=CustomerRef(external_id="crm-1")),
        ),
        ("KeyService/RotateDek", keys.RotateDekRequest(customer=CustomerRef(external_id="crm-1"))),
        ("PolicyService/ApplyPolicy", policies.ApplyPolicyRequest(document="version = 1")),
    ):
        assert reason(call(crm, method, request), Code.PERMISSION_DENIED) == "ACTION_DENIED"


def test_page_sizes_and_tokens_of_all_kinds(server):
    with server.channel("crm") as channel:
        for size in (-1, 0, 2**31 - 1):
            request = customers.ListCustomersRequest(page_size=size)
            assert call(channel, "CustomerService/ListCustomers", request).code in (
                Code.OK,
                Code.INVALID_ARGUMENT,
            )
        for page_token in ("nonsense", GUESS, "\0" * 100):
            request = customers.ListCustomersRequest(page_token=page_token)
            answer = call(channel, "CustomerService/ListCustomers", request)
            assert answer.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)
            assert answer.reason


def test_a_method_that_is_none(crm):
    assert call(crm, "TokenService/Everything", b"").code is Code.UNIMPLEMENTED


def test_after_all_of_it_the_server_serves_and_has_said_nothing_of_internal_errors(server, crm, stored):
    assert call(crm, DETOKENIZE, detokenize(*stored)).code is Code.OK
    time.sleep(0.1)
    assert "INTERNAL" not in server.metrics()
    assert "uncaught" not in server.log()
