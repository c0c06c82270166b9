"""A policy with lawful bases, and what customers say, in words short enough for a scenario."""

from collections.abc import Sequence
from typing import Any

from tests.scenarios.support.deployment import Desk, Desks, by_id
from tests.scenarios.support.policies import POLICY
from vault.consent.events import ConsentEvent
from vault.model.consents import ConsentAct, ConsentAnswer, Evidence, PurposeConsent, Saying

EVIDENCE = Evidence(
    notice_version="2026-03",
    text_sha256=bytes(range(32)),
    locale="de-AT",
    method="web_form",
    acted="customer",
)
CONSENTING_POLICY = (
    POLICY.replace(
        'description = "Tell customers about offers"',
        'description = "Tell customers about offers"\n'
        'iri = "https://w3id.org/dpv#DirectMarketing"\n'
        "sale_or_sharing = true\ndirect_marketing = true\n"
        'bases = { "*" = ["consent", "legitimate_interests", "contract"] }',
    )
    .replace(
        'description = "Write invoices"',
        'description = "Write invoices"\nsale_or_sharing = true\n'
        'bases = { "*" = ["contract", "consent", "legitimate_interests"] }',
    )
    .replace('"audit", "restrict"]', '"audit", "restrict", "consent"]')
)


def govern(desks: Desks, policy: str = CONSENTING_POLICY) -> Desk:
    """Puts the policy in force; returns the desk of who records consents."""
    desks.vault.apply_policy(desks.admin.caller, policy, validate_only=False, request_id="")
    return desks.privacy


def act(external_id: str, purpose: str, saying: Saying, **more: Any) -> ConsentAct:
    """One thing that a customer says."""
    return ConsentAct(by_id(external_id), purpose, saying, more.pop("evidence", EVIDENCE), **more)


def say(desk: Desk, external_id: str, purpose: str, saying: Saying, **more: Any) -> ConsentAnswer:
    """A customer says it."""
    request_id = more.pop("request_id", "")
    return desk.vault.record_consent(
        desk.caller, act(external_id, purpose, saying, **more), request_id=request_id
    )


def standing(desk: Desk, external_id: str, purpose: str) -> PurposeConsent:
    """Where one purpose stands."""
    (found,) = desk.vault.consent_state(desk.caller, by_id(external_id), [purpose])
    return found


def events(desk: Desk, external_id: str) -> Sequence[ConsentEvent]:
    """All events of a customer."""
    return desk.vault.list_consent_events(desk.caller, by_id(external_id), "", 1000, "").items


def kinds(desk: Desk, external_id: str) -> list[str]:
    """Their kinds."""
    return [each.kind.value for each in events(desk, external_id)]
