import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from customervault.v1 import token_service_pb2

from vault.server import logs
from vault.server.logs import log

CANARY = "Canary-7f3a@example.org"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the process writes; the set-up of other tests is put back afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    stream = io.StringIO()
    logs.configure(process="test", stream=stream)
    yield stream
    logging.captureWarnings(capture=False)
    logs.log.stream = None
    root.handlers[:], level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)


def written(lines: io.StringIO) -> dict[str, object]:
    """The one line that was logged."""
    (line,) = lines.getvalue().splitlines()
    entry: dict[str, object] = json.loads(line)
    return entry


def test_a_line_holds_the_allowed_keys(lines: io.StringIO) -> None:
    log.warning("call refused", method="Detokenize", principal="crm", reason="SHREDDED", ms=1.5)
    entry = written(lines)
    assert entry["event"] == "call refused"
    assert (entry["process"], entry["level"]) == ("test", "warning")
    assert (entry["method"], entry["principal"], entry["reason"], entry["ms"]) == (
        "Detokenize",
        "crm",
        "SHREDDED",
        1.5,
    )
    assert "dropped" not in entry


@pytest.mark.parametrize(
    "stray",
    [
        {"value": CANARY},
        {"request": token_service_pb2.UpdateValueRequest(value=CANARY)},
        {"items": token_service_pb2.UpdateValueRequest(value=CANARY)},
        {"reason": {"value": CANARY}},
        {"principal": CANARY.encode()},
        {"outcome": [CANARY.encode()]},
    ],
    ids=str,
)
def test_everything_else_is_dropped_and_counted(lines: io.StringIO, stray: dict[str, object]) -> None:
    log.warning("call refused", **stray)
    assert CANARY not in lines.getvalue()
    assert written(lines)["dropped"] == 1


@pytest.mark.parametrize("event", [f"bad value {CANARY}", "token cv1_00", 7, "", "x" * 101])
def test_an_event_with_something_formatted_into_it_is_withheld(lines: io.StringIO, event: Any) -> None:
    log.warning(event)
    assert written(lines)["event"] == "event withheld"
    assert CANARY not in lines.getvalue()


def test_an_exception_is_its_type_and_frames(lines: io.StringIO) -> None:
    def inner(value: str) -> None:
        raise ValueError(f"cannot read {value}")

    try:
        inner(CANARY)
    except ValueError as error:
        log.error("call failed", exception=type(error).__name__, frames=logs.frames_of(error), exc_info=True)
    entry = written(lines)
    assert entry["exception"] == "ValueError"
    frames = entry["frames"]
    assert isinstance(frames, list)
    assert frames[-1].startswith("tests/unit/server/test_logs.py:")
    assert frames[-1].endswith(" inner")
    assert CANARY not in lines.getvalue()


def test_libraries_say_where_and_not_what(lines: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)  # noqa: TRY301
    except ValueError:
        logging.getLogger("grpc._server").exception("Exception calling application: %s", CANARY)
    entry = written(lines)
    assert (entry["event"], entry["library"], entry["exception"]) == (
        "a library logged",
        "grpc._server",
        "ValueError",
    )
    assert str(entry["place"]).startswith("test_logs.py:")
    assert CANARY not in lines.getvalue()


def test_warnings_keep_their_text_to_themselves(lines: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(CANARY, stacklevel=1)
    assert written(lines)["library"] == "py.warnings"
    assert CANARY not in lines.getvalue()


def test_uncaught_exceptions_show_no_message(lines: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert written(lines)["event"] == "uncaught exception"
    assert written(lines)["exception"] == "ValueError"
    assert CANARY not in lines.getvalue()


def test_long_texts_are_cut(lines: io.StringIO) -> None:
    log.warning("call refused", reason="x" * 1000)
    assert written(lines)["reason"] == "x" * logs.MAX_TEXT


def test_a_line_for_a_terminal_is_one_line_and_shows_no_control_characters(lines: io.StringIO) -> None:
    logs.configure(process="test", pretty=True, stream=lines)
    log.error("call failed", principal="crm\x1b[2J\nforged", items=3)
    (line,) = lines.getvalue().splitlines()
    assert " call failed " in line
    assert r'principal="crm\u001b[2J\nforged"' in line
    assert "items=3" in line


@pytest.mark.parametrize(
    ("level", "expected"), [("", 3), ("debug", 4), ("INFO", 3), ("warning", 2), ("error", 1), ("nonsense", 3)]
)
def test_lines_below_the_level_are_not_written(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch, level: str, expected: int
) -> None:
    monkeypatch.setenv(logs.LEVEL_VARIABLE, level)
    logs.configure(process="test", stream=lines)
    for say in (log.debug, log.info, log.warning, log.error):
        say("something happened")
    assert len(lines.getvalue().splitlines()) == expected


def test_nothing_that_was_logged_stands_in_for_what_the_log_itself_says(lines: io.StringIO) -> None:
    log.info("call refused", process="forged", pid=1, timestamp="1970", level="debug")
    entry = written(lines)
    assert (entry["process"], entry["level"]) == ("test", "info")
    assert entry["pid"] != 1
    assert str(entry["timestamp"]).endswith("Z")
