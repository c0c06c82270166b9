import pytest

from vault.errors import (
    CallerError,
    DataLossError,
    DeniedError,
    GoneError,
    IntegrityFailedError,
    Reason,
    ServiceError,
    VaultError,
    error_for,
)


def leaves(root: type[VaultError] = VaultError) -> list[type[VaultError]]:
    return [leaf for sub in root.__subclasses__() for leaf in (leaves(sub) or [sub])]


def test_each_reason_has_exactly_one_class():
    reasons = [leaf.reason for leaf in leaves()]
    assert sorted(reasons) == sorted(set(Reason) - {Reason.INTERNAL})


@pytest.mark.parametrize("reason", sorted(Reason))
def test_a_reason_leads_back_to_its_class(reason):
    assert error_for(reason).reason is reason


def test_reasons_are_spelt_as_their_names_for_they_are_part_of_the_api():
    assert all(reason.value == reason.name for reason in Reason)


def test_every_class_says_whose_fault_it_is():
    for leaf in leaves():
        assert issubclass(leaf, CallerError) != issubclass(leaf, ServiceError)
    assert issubclass(DeniedError, CallerError)
    assert issubclass(GoneError, CallerError)


def test_two_tamper_cases_never_have_two_messages():
    with pytest.raises(TypeError):
        IntegrityFailedError("the row of customer 7 was changed")  # type: ignore[call-arg]
    assert str(IntegrityFailedError()) == str(IntegrityFailedError(file="FORMAT"))


def test_details_are_kept_apart_from_the_message():
    error = DataLossError("a record is missing", limit="x")
    assert (str(error), dict(error.details)) == ("a record is missing", {"limit": "x"})
