import pytest
from customervault.v1 import customer_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidRequestError
from vault.model.requests import Customer, CustomerState, ExpiryInfo, HoldInfo, RestrictionInfo, Scope
from vault.server import convert, convert_terms

WHEN_MS = 1_800_000_000_123


def test_a_customer_carries_what_narrows_it() -> None:
    message = convert.customer(
        Customer(
            "cv1_cd",
            CustomerState.RESTRICTED,
            restrictions=[RestrictionInfo(1, "marketing", "email", WHEN_MS), RestrictionInfo(2)],
            holds=[HoldInfo(3, "iban", 0, "case 7")],
            expiries=[ExpiryInfo(4, "support", "", WHEN_MS)],
        )
    )
    first, second = message.restrictions
    assert (first.id, first.purpose, first.field_class) == (1, "marketing", "email")
    assert first.until_time.ToMilliseconds() == WHEN_MS
    assert (second.id, second.HasField("until_time")) == (2, False)
    (hold,) = message.holds
    assert (hold.id, hold.field_class, hold.reference, hold.HasField("until_time")) == (
        3,
        "iban",
        "case 7",
        False,
    )
    (expiry,) = message.expiries
    assert (expiry.id, expiry.purpose, expiry.field_class) == (4, "support", "")
    assert expiry.expire_time.ToMilliseconds() == WHEN_MS


def test_an_end_that_is_not_given_is_none() -> None:
    assert convert_terms.to_end_ms(pb.PlaceHoldRequest()) == 0
    given = pb.RestrictCustomerRequest(until_time=Timestamp(seconds=5, nanos=1))
    assert convert_terms.to_end_ms(given) == 5_001
    assert convert_terms.to_scope(["a"], []) == Scope(("a",), ())


@pytest.mark.parametrize("time", [Timestamp(), Timestamp(seconds=-1)])
def test_a_time_before_1970_is_refused(time: Timestamp) -> None:
    with pytest.raises(InvalidRequestError):
        convert_terms.to_ms(time, "expire_time")
