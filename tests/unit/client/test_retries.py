import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from customervault import errors
from customervault._retry import RetryPolicy
from customervault.v1 import token_service_pb2 as api

from tests.unit.client.scripted_vault import Failure, ScriptedVault
from tests.unit.client.slow_road import SlowRoad

UPDATED = api.UpdateValueResponse(outcome=api.FIELD_OUTCOME_UPDATED)
LOST = Failure(grpc.StatusCode.UNAVAILABLE, "KEY_UNAVAILABLE")


@pytest.mark.parametrize(
    "failure",
    [
        LOST,
        Failure(grpc.StatusCode.UNAVAILABLE),
        Failure(grpc.StatusCode.CANCELLED),
        Failure(grpc.StatusCode.ABORTED, "NEW_REASON"),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    ],
    ids=lambda failure: f"{failure.code.name} {failure.reason}",
)
def test_a_write_is_sent_again_with_the_same_request_id(
    server: ScriptedVault, connect: Any, failure: Failure
) -> None:
    server.script("UpdateValue", failure, failure, UPDATED)
    assert connect().update("cv1_0", "new") == "updated"
    ids = [request.request_id for request in server.requests("UpdateValue")]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert uuid.UUID(ids[0]).version == 4


@pytest.mark.parametrize(
    "failure",
    [
        Failure(grpc.StatusCode.DATA_LOSS, "DATA_LOSS"),
        Failure(grpc.StatusCode.DATA_LOSS, "INTEGRITY_FAILED"),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED),
        Failure(grpc.StatusCode.ABORTED, "BATCH_ABORTED"),
        Failure(grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_DENIED"),
        Failure(grpc.StatusCode.INTERNAL, "INTERNAL"),
        Failure(grpc.StatusCode.UNKNOWN),
    ],
    ids=lambda failure: f"{failure.code.name} {failure.reason}",
)
def test_what_cannot_get_better_is_sent_once(server: ScriptedVault, connect: Any, failure: Failure) -> None:
    server.script("UpdateValue", failure)
    with pytest.raises(errors.VaultError):
        connect().update("cv1_0", "new")
    assert len(server.requests("UpdateValue")) == 1


def test_attempts_end_with_the_last_error(server: ScriptedVault, connect: Any) -> None:
    server.script("UpdateValue", LOST)
    with pytest.raises(errors.KeyUnavailableError):
        connect(max_attempts=3).update("cv1_0", "new")
    assert len(server.requests("UpdateValue")) == 3


def test_two_calls_have_two_request_ids(server: ScriptedVault, connect: Any) -> None:
    server.script("UpdateValue", UPDATED)
    vault = connect()
    vault.update("cv1_0", "new")
    vault.update("cv1_0", "new")
    first, second = server.requests("UpdateValue")
    assert first.request_id != second.request_id


def test_the_callers_request_id_is_sent(server: ScriptedVault, connect: Any) -> None:
    server.script("UpdateValue", UPDATED)
    connect().update("cv1_0", "new", request_id="job-17")
    assert server.requests("UpdateValue")[0].request_id == "job-17"


def test_the_servers_wait_is_honoured(server: ScriptedVault, connect: Any) -> None:
    busy = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_seconds=0.4)
    server.script("UpdateValue", busy, UPDATED)
    connect().update("cv1_0", "new")
    first, second = server.received
    assert second.time - first.time >= 0.4


def test_a_wait_beyond_the_deadline_is_not_begun(server: ScriptedVault, connect: Any) -> None:
    busy = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_seconds=60)
    server.script("UpdateValue", busy)
    begun = time.monotonic()
    with pytest.raises(errors.OverloadedError) as caught:
        connect(timeout=5.0).update("cv1_0", "new")
    assert caught.value.retry_after_seconds == 60
    assert time.monotonic() - begun < 4


def test_the_deadline_bounds_all_attempts_together(server: ScriptedVault, connect: Any) -> None:
    def slow(_request: Any) -> Failure:
        time.sleep(0.3)
        return LOST

    server.on("UpdateValue", slow)
    begun = time.monotonic()
    with pytest.raises((errors.DeadlineExceededError, errors.KeyUnavailableError)):
        connect(timeout=0.8, max_attempts=100).update("cv1_0", "new")
    assert time.monotonic() - begun < 1.5
    remaining = [seen.remaining_seconds for seen in server.received]
    assert len(remaining) >= 2
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[0] <= 0.85


def test_a_hanging_vault_ends_in_deadline_exceeded(server: ScriptedVault, connect: Any) -> None:
    release = threading.Event()

    def hang(_request: Any) -> api.UpdateValueResponse:
        release.wait(10)
        return UPDATED

    server.on("UpdateValue", hang)
    try:
        with pytest.raises(errors.DeadlineExceededError):
            connect(timeout=0.3).update("cv1_0", "new")
    finally:
        release.set()


def test_waits_are_jittered_below_a_growing_bound() -> None:
    policy = RetryPolicy(max_attempts=10)
    error = errors.KeyUnavailableError("x", code="UNAVAILABLE")
    for made, bound in [(1, 0.1), (2, 0.2), (3, 0.4), (9, 2.0)]:
        waits = [policy.wait_seconds(error, made, 100.0) for _ in range(200)]
        known = [wait for wait in waits if wait is not None]
        assert len(known) == 200
        assert 0 <= min(known) < bound / 4
        assert bound * 3 / 4 < max(known) <= bound


def test_retries_of_an_overloaded_vault_are_on_a_budget() -> None:
    policy = RetryPolicy(max_attempts=10)
    busy = errors.OverloadedError("x", code="RESOURCE_EXHAUSTED")
    granted = sum(policy.wait_seconds(busy, 1, 100.0) is not None for _ in range(100))
    assert granted == 20
    for _ in range(50):
        policy.budget.earn()
    granted = sum(policy.wait_seconds(busy, 1, 100.0) is not None for _ in range(100))
    assert 9 <= granted <= 10
    assert policy.wait_seconds(errors.KeyUnavailableError("x", code="UNAVAILABLE"), 1, 100.0) is not None


def test_what_is_not_tried_again_costs_nothing() -> None:
    policy = RetryPolicy(max_attempts=2)
    busy = errors.OverloadedError("x", code="RESOURCE_EXHAUSTED", retry_after_seconds=1.0)
    for _ in range(100):
        assert policy.wait_seconds(busy, 2, 100.0) is None
        assert policy.wait_seconds(busy, 1, 0.5) is None
    assert policy.wait_seconds(busy, 1, 100.0) is not None


def test_a_flood_of_calls_sends_few_more_than_it_has(server: ScriptedVault, connect: Any) -> None:
    busy = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_seconds=0.001)
    server.script("UpdateValue", busy)
    vault = connect(max_attempts=2)
    for _ in range(60):
        with pytest.raises(errors.OverloadedError):
            vault.update("cv1_0", "new")
    assert 60 < len(server.requests("UpdateValue")) <= 60 + 20 + 12


def test_unreachable_vault_is_a_connection_failure(server: ScriptedVault, connect: Any) -> None:
    server.stop()
    with pytest.raises(errors.ConnectionFailedError) as caught:
        connect(timeout=3.0).update("cv1_0", "new")
    assert isinstance(caught.value, errors.UnavailableError)
    assert caught.value.reason == "CONNECTION_FAILED"


def test_a_vault_that_is_slow_to_greet_is_waited_for(server: ScriptedVault, connect: Any) -> None:
    server.script("UpdateValue", UPDATED)
    road = SlowRoad(server.address, seconds=0.6)
    try:
        assert connect(address=road.address, max_attempts=1).update("cv1_0", "new") == "updated"
    finally:
        road.stop()


def test_a_write_outlives_a_restart_of_the_vault(
    server: ScriptedVault, connect: Any, restart: Callable[[], ScriptedVault]
) -> None:
    server.script("UpdateValue", UPDATED)
    vault = connect(max_attempts=20)
    vault.update("cv1_0", "old")
    server.stop()
    starter = threading.Timer(0.3, lambda: restart().script("UpdateValue", UPDATED))
    starter.start()
    assert vault.update("cv1_0", "new") == "updated"
    starter.join()
