import pytest

from vault.server import insides


def test_only_versions_that_were_tested_are_known() -> None:
    assert insides.is_known()
    assert not insides.is_known("1.850.0")
    assert not insides.is_known("2.0.0")


def test_a_process_that_serves_reads_its_sockets_itself() -> None:
    assert insides.environment({"HOME": "h"}) == {"HOME": "h", "GRPC_EXPERIMENTS": "-event_engine_listener"}


def test_an_operators_choice_stands() -> None:
    given = {"GRPC_EXPERIMENTS": "tcp_frame_size_tuning"}
    assert insides.environment(given) == given


def test_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insides, "is_known", lambda: False)
    assert insides.environment({"HOME": "h"}) == {"HOME": "h"}
