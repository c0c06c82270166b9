import pickle
from typing import Any

import grpc
import pytest
from customervault import errors
from customervault._status import error_of_status
from google.rpc import status_pb2

from tests.unit.client.scripted_vault import Failure, ScriptedVault
from vault.errors import Reason

CODE = grpc.StatusCode


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_of_the_vault_has_its_class(reason: Reason) -> None:
    error = error_of_status(Failure(CODE.UNKNOWN, reason.value).status())
    assert error.reason == reason.value
    if reason is Reason.INTERNAL or reason is Reason.STORAGE_FORMAT:
        assert type(error) is errors.VaultError
    else:
        assert type(error).default_reason == reason.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (CODE.INVALID_ARGUMENT, errors.InvalidRequestError),
        (CODE.OUT_OF_RANGE, errors.InvalidRequestError),
        (CODE.ALREADY_EXISTS, errors.InvalidRequestError),
        (CODE.NOT_FOUND, errors.NotFoundError),
        (CODE.PERMISSION_DENIED, errors.DeniedError),
        (CODE.UNAUTHENTICATED, errors.UnauthenticatedError),
        (CODE.RESOURCE_EXHAUSTED, errors.LimitExceededError),
        (CODE.ABORTED, errors.UnavailableError),
        (CODE.UNAVAILABLE, errors.UnavailableError),
        (CODE.DEADLINE_EXCEEDED, errors.DeadlineExceededError),
        (CODE.DATA_LOSS, errors.DataLossError),
        (CODE.FAILED_PRECONDITION, errors.VaultError),
        (CODE.INTERNAL, errors.VaultError),
    ],
)
def test_a_reason_yet_unknown_keeps_its_text_and_gets_the_nearest_class(
    server: ScriptedVault, connect: Any, code: grpc.StatusCode, kind: type[errors.VaultError]
) -> None:
    server.script("InspectToken", Failure(code, "NOT_YET_INVENTED", "consent was withdrawn", {"since": "2"}))
    with pytest.raises(errors.VaultError) as caught:
        connect(max_attempts=1).inspect("cv1_0")
    error = caught.value
    assert type(error) is kind
    assert (error.reason, error.code) == ("NOT_YET_INVENTED", code.name)
    assert (error.message, error.details) == ("consent was withdrawn", {"since": "2"})
    assert str(error) == "NOT_YET_INVENTED: consent was withdrawn"


@pytest.mark.parametrize(
    "failure",
    [
        Failure(CODE.UNKNOWN, message="Exception calling application: ada@example.org"),
        Failure(CODE.INVALID_ARGUMENT, "LEAK", "ada@example.org", domain="proxy.example"),
    ],
    ids=["no details", "details of somebody else"],
)
def test_texts_that_the_vault_does_not_vouch_for_are_dropped(
    server: ScriptedVault, connect: Any, failure: Failure
) -> None:
    server.script("InspectToken", failure)
    with pytest.raises(errors.VaultError) as caught:
        connect().inspect("cv1_0")
    assert "ada" not in str(caught.value)
    assert "ada" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.reason != "LEAK"
    assert caught.value.code == failure.code.name


def test_a_crashed_handler_is_an_error_without_its_text(server: ScriptedVault, connect: Any) -> None:
    def crash(_request: Any) -> Failure:
        raise KeyError("ada@example.org")

    server.on("InspectToken", crash)
    with pytest.raises(errors.VaultError) as caught:
        connect().inspect("cv1_0")
    assert "ada" not in str(caught.value)
    assert caught.value.code == "UNKNOWN"


def test_an_item_status_without_details_still_has_an_error() -> None:
    error = error_of_status(status_pb2.Status(code=5, message="ada@example.org"))
    assert type(error) is errors.NotFoundError
    assert "ada" not in str(error)


def test_an_item_status_of_no_known_code_still_has_an_error() -> None:
    assert error_of_status(status_pb2.Status(code=99)).code == "UNKNOWN"


def test_an_error_survives_a_process_boundary() -> None:
    error = error_of_status(
        Failure(CODE.RESOURCE_EXHAUSTED, "OVERLOADED", "busy", {"limit": "1"}, 1.5).status()
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    assert type(copy) is errors.OverloadedError
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.PurposeDeniedError, errors.DeniedError),
        (errors.UnauthenticatedError, errors.DeniedError),
        (errors.ShreddedError, errors.GoneError),
        (errors.TokenUnknownError, errors.NotFoundError),
        (errors.InvalidValueError, errors.InvalidRequestError),
        (errors.StorageFullError, errors.UnavailableError),
        (errors.ConnectionFailedError, errors.UnavailableError),
    ],
)
def test_errors_are_grouped_by_what_can_be_done(
    kind: type[errors.VaultError], base: type[errors.VaultError]
) -> None:
    assert issubclass(kind, base)


def test_two_classes_never_share_a_reason() -> None:
    reasons = [
        kind.default_reason
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.VaultError)
    ]
    assert len(reasons) == len(set(reasons))
