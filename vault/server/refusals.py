"""How calls are turned away for load: counted, told in the log, with the time to come again.

The log says it once a second for each line: a line for each call would add to the load.
"""

import time
from typing import Final

from vault.errors import OverloadedError
from vault.server import metrics
from vault.server.line import Refusal
from vault.server.logs import log

_LEAST_HINT_SECONDS: Final = 0.02
_LARGEST_HINT_SECONDS: Final = 2.0
_LOG_SECONDS: Final = 1.0
_AT_THE_DOOR: Final = "door"
_LATE: Final = "late"
_WORDS: Final = {
    Refusal.FULL: "too many calls are waiting in this process",
    Refusal.SHARE: "too many calls of this principal are waiting in this process",
}


class Refusals:
    """Of one line, by its name. Any thread may call; of those that come at once the log may miss some."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = dict.fromkeys((*map(str, Refusal), _AT_THE_DOOR, _LATE), 0)
        self._written = dict(self._counts)
        self._metrics = {why: metrics.REFUSED.labels(name, why) for why in self._counts}
        self._calls = 0
        self._logged = 0.0
        metrics.GATHERING.watch(self._write)

    def error(self, refusal: Refusal, principal: str, wait_seconds: float) -> OverloadedError:
        """For a call that may not join a line in which it takes so long to get to the end."""
        self._count(refusal.value, principal)
        return self._error(_WORDS[refusal], wait_seconds)

    def at_the_door(self, wait_seconds: float) -> OverloadedError:
        """For a call of which nobody has looked whose it is."""
        self._count(_AT_THE_DOOR, "")
        return self._error("too many calls come in at this process", wait_seconds)

    def late(self, principal: str) -> None:
        """A call has waited beyond its deadline."""
        self._count(_LATE, principal)

    def _error(self, words: str, wait_seconds: float) -> OverloadedError:
        hint = min(max(wait_seconds, _LEAST_HINT_SECONDS), _LARGEST_HINT_SECONDS)
        return OverloadedError(words, retry_after_seconds=round(hint, 2), waiting=self._name)

    def _count(self, why: str, principal: str) -> None:
        self._counts[why] += 1
        self._calls += 1
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS:
            calls, self._calls, self._logged = self._calls, 0, now
            log.warning("calls refused for load", kind=self._name, items=calls, principal=principal)

    def _write(self) -> None:
        for why, count in self._counts.items():
            if count != self._written[why]:
                self._metrics[why].inc(count - self._written[why])
                self._written[why] = count
