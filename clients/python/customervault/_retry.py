"""What is tried again, and when. No clock, no sleep.

Rules:
- Tried again: UNAVAILABLE, RESOURCE_EXHAUSTED with reason OVERLOADED, ABORTED, and CANCELLED, which a
  worker answers that ends. Nothing else: a lost or forged record stays lost, a denial stays a denial.
- Not ABORTED with reason BATCH_ABORTED: the batch fails the same way each time.
- This is safe for writes because a write carries one request id through all its attempts.
- Waits are full jitter over an exponential bound (Brooker, "Exponential Backoff And Jitter", 2015).
  A wait that the server asks for (google.rpc.RetryInfo) comes before the jitter.
- The deadline bounds all attempts together: a wait that would pass it is not begun.
- Attempts that follow OVERLOADED are on a budget of the client: one for every five calls, and twenty to begin
  with. Trying all again would keep a vault busy with refusing. Beyond it the caller gets the error.
"""

import random
import threading
from dataclasses import dataclass, field

from customervault.errors import BatchAbortedError, OverloadedError, VaultError

_FIRST_BOUND_SECONDS = 0.1
_LARGEST_BOUND_SECONDS = 2.0
_MOST_RETRIES_SAVED = 20.0
_RETRIES_A_CALL = 0.2


class RetryBudget:
    """How many attempts may still follow OVERLOADED. Thread-safe; one for all calls of a client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = _MOST_RETRIES_SAVED

    def earn(self) -> None:
        """For a call's first attempt."""
        with self._lock:
            self._left = min(_MOST_RETRIES_SAVED, self._left + _RETRIES_A_CALL)

    def spend(self) -> bool:
        """Whether there is one more."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one request is sent at most."""

    max_attempts: int
    budget: RetryBudget = field(default_factory=RetryBudget)

    def wait_seconds(self, error: VaultError, attempts_made: int, remaining_seconds: float) -> float | None:
        """How long to wait before the next attempt; None when `error` is to be raised.

        Args:
            error: How the last attempt failed.
            attempts_made: At least 1.
            remaining_seconds: Until the deadline.
        """
        if attempts_made >= self.max_attempts or not is_retryable(error):
            return None
        bound = min(_LARGEST_BOUND_SECONDS, _FIRST_BOUND_SECONDS * 2.0 ** (attempts_made - 1))
        jitter = random.uniform(0.0, bound)  # noqa: S311 - spreads load, guards nothing
        wait = (error.retry_after_seconds or 0.0) + jitter
        if wait >= remaining_seconds:
            return None
        return wait if not isinstance(error, OverloadedError) or self.budget.spend() else None


def is_retryable(error: VaultError) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, BatchAbortedError):
        return False
    if error.code == "RESOURCE_EXHAUSTED":
        return isinstance(error, OverloadedError)
    return error.code in ("UNAVAILABLE", "ABORTED", "CANCELLED")
