"""Writes the access log's records of everything but detokenization, which writes its own.

Rules:
- What reads or changes a customer is recorded before it is acknowledged; if the record cannot be
  written the call is refused with AUDIT_UNAVAILABLE.
- One exception: what takes data from readers and is in the ledger or in the customer's chain of consents goes
  through all the same, for that entry stands in: a single shred, a withdrawal, an objection, a refusal, a
  restriction, a hold, an expiry. What gives data to readers does not.
- Details are names and counts.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from vault.audit.records import ActRecord, encode_act, reason_code
from vault.audit.segments import SegmentWriter, now_ms
from vault.errors import AuditUnavailableError, Reason
from vault.policy.decision import Grants

OPERATOR: Final = "local operator"


class Trail:
    """Records acts in this process's segments."""

    def __init__(self, audit: SegmentWriter) -> None:
        self._audit = audit

    def act(
        self,
        grants: Grants,
        action: str,
        *,
        locators: Sequence[bytes] = (),
        reason: Reason | None = None,
        **detail: object,
    ) -> None:
        """Records an act of a registered principal.

        Raises:
            AuditUnavailableError: it could not be written.
        """
        self._write(grants.id, "", action, locators, reason, detail)

    def taking(
        self, grants: Grants, action: str, *, locators: Sequence[bytes] = (), **detail: object
    ) -> None:
        """Records an act that takes data from readers, whose own entry stands in if this log is full."""
        with suppress(AuditUnavailableError):
            self._write(grants.id, "", action, locators, None, detail)

    def local(self, action: str, *, locators: Sequence[bytes] = (), **detail: object) -> None:
        """Records an act of whoever has the vault's directory and passphrase, or of the vault itself.

        Raises:
            AuditUnavailableError: it could not be written.
        """
        self._write(0, OPERATOR, action, locators, None, detail)

    def refusal(self, principal: str, principal_id: int, action: str, reason: Reason) -> None:
        """Records an attempt that was turned away. A full log loses it rather than the answer."""
        try:
            self._write(principal_id, "" if principal_id else principal, action, (), reason, {})
        except AuditUnavailableError:
            return  # nothing was revealed, and the caller gets its own error

    def _write(
        self,
        principal_id: int,
        principal: str,
        action: str,
        locators: Sequence[bytes],
        reason: Reason | None,
        detail: dict[str, object],
    ) -> None:
        record = ActRecord(
            seq=self._audit.next_seq(),
            time_ms=now_ms(),
            principal_id=principal_id,
            action=action,
            principal=principal,
            outcome=0 if reason is None else reason_code(reason),
            locators=tuple(locators),
            detail=json.dumps(detail, separators=(",", ":"), sort_keys=True) if detail else "",
        )
        self._audit.append(encode_act(record))
