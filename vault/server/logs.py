"""Structured logs on stderr that cannot hold personal data.

Rules, kept by processors rather than by care:
- Only the keys of `ALLOWED` are printed, and of them only numbers, booleans and short texts; a
  message object, a list of tokens or a stray argument is dropped and counted in `dropped`.
- An event is a fixed sentence of lower-case words: digits, `@` or a capital mean that something was
  formatted into it, and it is not printed.
- Libraries' log records keep their logger, level and place; their text and arguments are dropped,
  since an exception's message may quote the value that it choked on.
- A traceback is printed as its frames and the exception's type: no message, no locals.
"""

import logging
import os
import re
import sys
import threading
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

ALLOWED = frozenset(
    (
        *("event", "level", "timestamp", "process", "pid"),
        *("method", "principal", "code", "reason", "items", "ms", "incident"),
        *("exception", "frames", "library", "place"),
        *("address", "metrics", "workers", "worker", "signal", "exit_code", "attempt", "chore", "outcome"),
        *("epoch", "action", "step", "waited_ms", "worked_ms", "synced_ms"),
        *("budget", "kind", "customers", "limit"),
    )
)
LEVEL_VARIABLE = "CVAULT_LOG_LEVEL"
MAX_TEXT = 200
MAX_FRAMES = 20

_EVENT = re.compile(r"[a-z][a-z ,;'-]{0,99}\Z")
_PACKAGE_ROOT = Path(__file__).resolve().parent.parent.parent

log = structlog.stdlib.get_logger("vault")


def configure(*, process: str, pretty: bool = False, stream: TextIO | None = None) -> None:
    """Sets up structlog, the logging of libraries and the hooks for uncaught exceptions.

    Args:
        process: name of this process, printed with each line.
        pretty: colours for a developer's terminal instead of JSON.
        stream: where the lines go; stderr when not given.
    """
    level = logging.getLevelNamesMapping().get(os.environ.get(LEVEL_VARIABLE, "").upper(), logging.INFO)
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=True)
    if pretty:
        renderer = structlog.dev.ConsoleRenderer(colors=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _named(process),
            only_allowed,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def only_allowed(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Drops every key and every value that the module's rules do not let through."""
    kept = {
        key: clean for key, value in event.items() if key in ALLOWED and (clean := _clean(value)) is not None
    }
    if not isinstance(event.get("event"), str) or not _EVENT.match(event["event"]):
        kept["event"] = "event withheld"
    if dropped := len(event) - len(kept):
        kept["dropped"] = dropped
    return kept


def frames_of(error: BaseException) -> list[str]:
    """Where an exception came from: "file:line function", innermost last, without any content."""
    return _frames(error.__traceback__)


def _frames(traceback: TracebackType | None) -> list[str]:
    return [
        f"{_relative(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in extract_tb(traceback)[-MAX_FRAMES:]
    ]


def _relative(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_PACKAGE_ROOT)) if path.is_relative_to(_PACKAGE_ROOT) else path.name


def _clean(value: object) -> object:
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [item[:MAX_TEXT] for item in value[:MAX_FRAMES]]
    return None


def _named(process: str) -> Processor:
    pid = os.getpid()

    def add(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event.update(process=process, pid=pid)
        return event

    return add


class _LibraryHandler(logging.Handler):
    """Says that a library logged, and where, without what it said."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        place = f"{Path(record.pathname).name}:{record.lineno}"
        log.warning("a library logged", library=record.name, place=place, exception=kind)


def _uncaught(
    kind: type[BaseException], _error: BaseException | None, traceback: TracebackType | None
) -> None:
    log.error("uncaught exception", exception=kind.__name__, frames=_frames(traceback))
