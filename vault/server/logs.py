"""Structured logs on stderr that cannot hold personal data.

One line an event: JSON, or coloured text for a terminal. Rules, kept by `only_allowed` rather than by care:
- Only the keys of `ALLOWED` are printed, and of them only numbers, booleans and short texts; a
  message object, a list of tokens or a stray argument is dropped and counted in `dropped`.
- An event is a fixed sentence of lower-case words: digits, `@` or a capital mean that something was
  formatted into it, and it is not printed.
- Libraries' log records keep their logger, level and place; their text and arguments are dropped,
  since an exception's message may quote the value that it choked on.
- A traceback is printed as its frames and the exception's type: no message, no locals.
"""

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import TextIO

ALLOWED = frozenset(
    (
        *("event", "level", "timestamp", "process", "pid"),
        *("method", "principal", "code", "reason", "items", "ms", "incident"),
        *("exception", "frames", "library", "place"),
        *("address", "metrics", "workers", "worker", "signal", "exit_code", "attempt", "chore", "outcome"),
        *("epoch", "action", "step", "waited_ms", "worked_ms", "synced_ms"),
        *("leaves", "bytes", "limit_bytes"),
        *("budget", "kind", "customers", "limit"),
    )
)
LEVEL_VARIABLE = "CVAULT_LOG_LEVEL"
MAX_TEXT = 200
MAX_FRAMES = 20

_EVENT = re.compile(r"[a-z][a-z ,;'-]{0,99}\Z")
_COLOURS: Mapping[object, str] = {"info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_PACKAGE_ROOT = Path(__file__).resolve().parent.parent.parent

Entry = dict[str, object]


class Log:
    """Writes a line for each event of its level or above, as `configure` has set it up."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.process = ""
        self.stream: TextIO | None = None  # None: whatever stderr is when a line is written
        self.render: Callable[[Entry], str] = json.dumps

    def debug(self, event: str, **content: object) -> None:
        """Says something for whoever looks for a fault."""
        self._write(logging.DEBUG, event, content)

    def info(self, event: str, **content: object) -> None:
        """Says that something happened, as it should."""
        self._write(logging.INFO, event, content)

    def warning(self, event: str, **content: object) -> None:
        """Says that something is not as it should be, and goes on."""
        self._write(logging.WARNING, event, content)

    def error(self, event: str, **content: object) -> None:
        """Says that something failed."""
        self._write(logging.ERROR, event, content)

    def _write(self, level: int, event: str, content: Mapping[str, object]) -> None:
        if level < self.level:
            return
        about = {"level": logging.getLevelName(level).lower(), "process": self.process, "pid": os.getpid()}
        entry = only_allowed({**content, "event": event, **about})
        entry["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        stream = self.stream or sys.stderr
        stream.write(f"{self.render(entry)}\n")
        stream.flush()


log = Log()


def configure(*, process: str, pretty: bool = False, stream: TextIO | None = None) -> None:
    """Sets up `log`, the logging of libraries and the hooks for uncaught exceptions.

    Args:
        process: name of this process, printed with each line.
        pretty: colours for a developer's terminal instead of JSON.
        stream: where the lines go; stderr when not given.
    """
    log.level = logging.getLevelNamesMapping().get(os.environ.get(LEVEL_VARIABLE, "").upper(), logging.INFO)
    log.process, log.stream = process, stream
    log.render = _for_a_terminal if pretty else json.dumps
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def only_allowed(event: Mapping[str, object]) -> Entry:
    """Drops every key and every value that the module's rules do not let through."""
    kept: Entry = {
        key: clean for key, value in event.items() if key in ALLOWED and (clean := _clean(value)) is not None
    }
    said = event.get("event")
    if not isinstance(said, str) or not _EVENT.match(said):
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


def _for_a_terminal(entry: Entry) -> str:
    shown = dict(entry)
    timestamp, level, event = (shown.pop(name) for name in ("timestamp", "level", "event"))
    rest = " ".join(f"{name}={json.dumps(value)}" for name, value in shown.items())
    return (
        f"\x1b[2m{timestamp}\x1b[0m {_COLOURS.get(level, '')}{level:<7}\x1b[0m {event}  \x1b[2m{rest}\x1b[0m"
    )


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
