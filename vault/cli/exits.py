"""Exit codes, and how errors become them.

    0 ok           everything asked for was done
    1 partial      some of it was not, or the vault refused: unknown, shredded, invalid
    2 usage        the command line, or a file that it names, is not usable as it stands
    3 denied       certificate or policy say no
    4 unavailable  the vault cannot be reached, or cannot do it now
  130 interrupted  by Ctrl-C
  141 reader gone  nobody reads the output any more (`| head`); what was asked for may be half done

Rule: a batch in which everything failed for the same kind of reason has that kind's exit code;
otherwise one failed item makes it partial.
"""

from collections.abc import Iterable
from enum import IntEnum

from vault.errors import Reason


class ExitCode(IntEnum):
    """What `cvault` returns to the shell."""

    OK = 0
    PARTIAL = 1
    USAGE = 2
    DENIED = 3
    UNAVAILABLE = 4
    INTERRUPTED = 130
    READER_GONE = 141


class CommandError(Exception):
    """A command ends here; `reason` and `code` tell scripts why."""

    def __init__(self, message: str, *, reason: str, code: ExitCode) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


class UsageError(CommandError):
    """The command line, or a file that it names, is not usable as it stands."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="USAGE", code=ExitCode.USAGE)


class RefusedError(CommandError):
    """Not done, for a reason that the caller can mend."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason=reason, code=ExitCode.PARTIAL)


_DENIED = {
    *(Reason.UNAUTHENTICATED, Reason.SUSPENDED, Reason.ACTION_DENIED, Reason.DOMAIN_DENIED),
    *(Reason.PURPOSE_DENIED, Reason.REVEAL_DENIED, Reason.RESTRICTED, "DENIED"),
    *(Reason.CONSENT_MISSING, Reason.CONSENT_WITHDRAWN, Reason.OBJECTED, Reason.HELD, Reason.REGION_DENIED),
    *(Reason.TRAINING_EXPIRED, Reason.APPROVAL_REQUIRED, Reason.BUDGET_EXCEEDED, Reason.TOKEN_BOUND),
}
_UNAVAILABLE = {
    *(Reason.REPLY_FULL, Reason.OVERLOADED, Reason.DEADLINE_EXCEEDED, Reason.STORAGE_FULL),
    *(Reason.STORAGE_STOPPED, Reason.STORAGE_FORMAT, Reason.AUDIT_UNAVAILABLE, Reason.KEY_UNAVAILABLE),
    *(Reason.WITNESS_UNAVAILABLE, Reason.LEDGER_BEHIND, Reason.SEARCH_INCOMPLETE),
    *(Reason.INTERNAL, "UNAVAILABLE", "CONNECTION_FAILED", "CLOSED"),
}
_USAGE = {"USAGE", "CONFIGURATION"}


def code_for(reason: str) -> ExitCode:
    """The exit code for the machine-readable reason of one failure."""
    if reason in _DENIED:
        return ExitCode.DENIED
    if reason in _UNAVAILABLE:
        return ExitCode.UNAVAILABLE
    return ExitCode.USAGE if reason in _USAGE else ExitCode.PARTIAL


def code_for_batch(reasons: Iterable[str], items: int) -> ExitCode:
    """The exit code of a batch of `items` whose failed ones have these reasons."""
    codes = [code_for(reason) for reason in reasons]
    if not codes:
        return ExitCode.OK
    if len(codes) == items and len(set(codes)) == 1:
        return codes[0]
    return ExitCode.PARTIAL


def reason_of(error: Exception) -> str:
    """The reason of an error of the server's tree, the client's tree, or a command's own."""
    return str(getattr(error, "reason", "INTERNAL"))


def message_of(error: Exception) -> str:
    """Its text for people, in one line."""
    return "; ".join(lines_of(error))


def lines_of(error: Exception) -> list[str]:
    """Its text for people; one that has several things to say has a line for each."""
    text = getattr(error, "message", None) or str(error)
    return [line.strip() for line in str(text).splitlines() if line.strip()]
