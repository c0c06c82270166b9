"""Decisions written by hand: each reason to deny beside its nearest permit, and what Explain says of both."""

import pytest

from tests.unit.policy.oracle import Read
from tests.unit.policy.world import compiled, judge, question
from vault.policy.examples import name_of
from vault.policy.explaining import explain

FREE = Read("agent", "service", "name", "BEST", "", "none", "", False, False, True, False)
NAME = "roles.reader.reveal.{}.name"
EMAIL = "roles.reader.reveal.{}.email"
ANALYST = "roles.analyst.reveal.{}.{}"


def read(**changes: object) -> Read:
    return FREE._replace(**changes)


def told(wanted: str, **changes: object) -> Read:
    return read(principal="analyst", wanted=wanted, **changes)


CASES = [
    # what is read, the answer, what decides
    (read(), "PLAIN", NAME.format("service")),
    (read(wanted="PLAIN"), "PLAIN", NAME.format("service")),
    (read(wanted="MASKED"), "MASKED", NAME.format("service")),
    (read(field_class="email"), "MASKED", EMAIL.format("service")),
    (read(field_class="email", wanted="MASKED"), "MASKED", EMAIL.format("service")),
    (read(field_class="email", wanted="PLAIN"), "REVEAL_DENIED", EMAIL.format("service")),
    (read(field_class="iban"), "PURPOSE_DENIED", ""),
    (read(field_class="iban", wanted="PLAIN"), "PURPOSE_DENIED", ""),
    (read(principal="stranger"), "PURPOSE_DENIED", ""),
    (read(principal="stranger", restricted=True), "PURPOSE_DENIED", ""),
    (read(principal="stranger", expired=True), "PURPOSE_DENIED", ""),
    (read(principal="stranger", trained=False), "PURPOSE_DENIED", ""),
    (read(principal="stranger", purpose="marketing", jurisdiction="DE"), "PURPOSE_DENIED", ""),
    (read(principal="stranger", purpose="emergency"), "PURPOSE_DENIED", ""),
    # the lawful basis
    (read(basis="contract"), "PLAIN", NAME.format("service")),
    (read(basis="legitimate_interests"), "PLAIN", NAME.format("service")),
    (read(basis="consent"), "PURPOSE_DENIED", "guard.basis"),
    (read(basis="consent", consent="given"), "PURPOSE_DENIED", "guard.basis"),
    (read(basis="public_task"), "PURPOSE_DENIED", "guard.basis"),
    (read(purpose="marketing", jurisdiction="US"), "PLAIN", NAME.format("marketing")),
    (read(purpose="marketing"), "PURPOSE_DENIED", "guard.basis"),
    (read(purpose="marketing", jurisdiction="CH"), "PURPOSE_DENIED", "guard.basis"),
    (
        read(purpose="marketing", jurisdiction="DE", basis="legitimate_interests"),
        "PURPOSE_DENIED",
        "guard.basis",
    ),
    # consent
    (read(purpose="marketing", jurisdiction="DE"), "CONSENT_MISSING", "guard.consent_missing"),
    (read(purpose="marketing", jurisdiction="DE", consent="given"), "PLAIN", NAME.format("marketing")),
    (
        read(purpose="marketing", jurisdiction="DE", consent="given", field_class="email"),
        "MASKED",
        EMAIL.format("marketing"),
    ),
    (
        read(purpose="marketing", jurisdiction="DE", consent="withdrawn"),
        "CONSENT_WITHDRAWN",
        "guard.consent_withdrawn",
    ),
    (read(purpose="marketing", jurisdiction="FR"), "CONSENT_MISSING", "guard.consent_missing"),
    (read(purpose="marketing", jurisdiction="FR", consent="given"), "PLAIN", NAME.format("marketing")),
    (
        read(purpose="marketing", jurisdiction="DE", field_class="email", wanted="PLAIN"),
        "CONSENT_MISSING",
        "guard.consent_missing",
    ),
    (
        read(purpose="marketing", jurisdiction="US", basis="consent"),
        "CONSENT_MISSING",
        "guard.consent_missing",
    ),
    (
        read(purpose="marketing", jurisdiction="US", basis="consent", consent="given"),
        "PLAIN",
        NAME.format("marketing"),
    ),
    (
        read(purpose="marketing", jurisdiction="US", basis="consent", consent="withdrawn"),
        "CONSENT_WITHDRAWN",
        "guard.consent_withdrawn",
    ),
    # a withdrawal ends the basis of consent, and no other
    (read(purpose="marketing", jurisdiction="US", consent="withdrawn"), "PLAIN", NAME.format("marketing")),
    (read(consent="withdrawn"), "PLAIN", NAME.format("service")),
    (read(consent="withdrawn", basis="legitimate_interests"), "PLAIN", NAME.format("service")),
    # objection
    (read(consent="objected"), "PLAIN", NAME.format("service")),
    (read(consent="objected", basis="legitimate_interests"), "OBJECTED", "guard.objection"),
    (read(consent="given", basis="legitimate_interests"), "PLAIN", NAME.format("service")),
    (read(purpose="claims", consent="objected"), "OBJECTED", "guard.objection"),
    (read(purpose="claims"), "PLAIN", NAME.format("claims")),
    (
        read(purpose="marketing", jurisdiction="US", consent="objected"),
        "OBJECTED",
        "guard.direct_marketing",
    ),
    (
        read(purpose="marketing", jurisdiction="DE", consent="objected"),
        "OBJECTED",
        "guard.direct_marketing",
    ),
    (
        read(purpose="marketing", jurisdiction="US", consent="objected", basis="consent"),
        "OBJECTED",
        "guard.direct_marketing",
    ),
    (read(purpose="screening", consent="objected"), "PLAIN", NAME.format("screening")),
    # restriction and expiry
    (read(restricted=True), "RESTRICTED", "guard.restriction"),
    (read(restricted=True, wanted="MASKED"), "RESTRICTED", "guard.restriction"),
    (read(restricted=True, field_class="email", wanted="PLAIN"), "RESTRICTED", "guard.restriction"),
    (read(restricted=True, purpose="claims"), "PLAIN", NAME.format("claims")),
    (
        read(restricted=True, purpose="claims", field_class="email", wanted="PLAIN"),
        "REVEAL_DENIED",
        EMAIL.format("claims"),
    ),
    (read(restricted=True, field_class="iban"), "PURPOSE_DENIED", ""),
    (read(expired=True), "EXPIRED", "guard.expiry"),
    (read(expired=True, purpose="claims"), "EXPIRED", "guard.expiry"),
    (read(expired=True, restricted=True), "RESTRICTED", "guard.restriction"),
    (
        read(expired=True, purpose="marketing", jurisdiction="DE"),
        "EXPIRED",
        "guard.expiry",
    ),
    # training
    (read(trained=False), "TRAINING_EXPIRED", "guard.training"),
    (read(trained=False, principal="desk"), "PLAIN", NAME.format("service")),
    (read(trained=False, principal="desk", purpose="screening"), "TRAINING_EXPIRED", "guard.training"),
    (read(principal="desk", purpose="screening"), "PLAIN", NAME.format("screening")),
    (read(trained=False, restricted=True), "TRAINING_EXPIRED", "guard.training"),
    (read(trained=False, basis="consent"), "PURPOSE_DENIED", "guard.basis"),
    # region
    (read(principal="desk", jurisdiction="DE"), "REGION_DENIED", "guard.region"),
    (read(principal="desk", jurisdiction="US"), "PLAIN", NAME.format("service")),
    (read(principal="desk"), "PLAIN", NAME.format("service")),
    (read(jurisdiction="DE"), "PLAIN", NAME.format("service")),
    (read(jurisdiction="FR"), "PLAIN", NAME.format("service")),
    (read(principal="desk", jurisdiction="DE", restricted=True), "REGION_DENIED", "guard.region"),
    # break-glass
    (read(purpose="emergency"), "APPROVAL_REQUIRED", "guard.break_glass"),
    (read(purpose="emergency", approved=True), "PLAIN", NAME.format("emergency")),
    (read(purpose="emergency", approved=True, restricted=True), "RESTRICTED", "guard.restriction"),
    (read(purpose="emergency", restricted=True), "APPROVAL_REQUIRED", "guard.break_glass"),
    (read(approved=True), "PLAIN", NAME.format("service")),
    # answers: each by itself; the plain value implies all but the pseudonym, a mask none
    (told("PSEUDONYM"), "PSEUDONYM", ANALYST.format("service", "name")),
    (told("COMPARE"), "PURPOSE_DENIED", ""),
    (told("BEST"), "PURPOSE_DENIED", ""),
    (told("PLAIN"), "PURPOSE_DENIED", ""),
    (told("COMPARE", field_class="email"), "COMPARE", ANALYST.format("service", "email")),
    (told("COUNTRY", field_class="email"), "COUNTRY", ANALYST.format("service", "email")),
    (told("BEST", field_class="email"), "MASKED", ANALYST.format("service", "email")),
    (told("PSEUDONYM", field_class="email"), "REVEAL_DENIED", ANALYST.format("service", "email")),
    (told("COMPARE", field_class="iban"), "COMPARE", ANALYST.format("service", "iban")),
    (told("COUNTRY", field_class="iban"), "PURPOSE_DENIED", ""),
    (read(wanted="COMPARE"), "COMPARE", NAME.format("service")),
    (read(wanted="COUNTRY"), "COUNTRY", NAME.format("service")),
    (read(wanted="PSEUDONYM"), "REVEAL_DENIED", NAME.format("service")),
    (read(wanted="COMPARE", field_class="email"), "REVEAL_DENIED", EMAIL.format("service")),
    (read(wanted="COMPARE", principal="stranger"), "PURPOSE_DENIED", ""),
    (read(wanted="PSEUDONYM", principal="stranger", restricted=True), "PURPOSE_DENIED", ""),
    (told("PSEUDONYM", restricted=True), "RESTRICTED", "guard.restriction"),
    (told("PSEUDONYM", expired=True), "EXPIRED", "guard.expiry"),
    (told("PSEUDONYM", basis="consent"), "PURPOSE_DENIED", "guard.basis"),
    (
        told("PSEUDONYM", purpose="marketing", jurisdiction="DE", consent="withdrawn"),
        "CONSENT_WITHDRAWN",
        "guard.consent_withdrawn",
    ),
    (told("COMPARE", field_class="iban", purpose="emergency"), "APPROVAL_REQUIRED", "guard.break_glass"),
    (
        told("COUNTRY", field_class="email", purpose="claims", consent="objected"),
        "OBJECTED",
        "guard.objection",
    ),
    (read(wanted="COMPARE", restricted=True), "RESTRICTED", "guard.restriction"),
    (read(wanted="COMPARE", trained=False), "TRAINING_EXPIRED", "guard.training"),
]


@pytest.mark.parametrize(("asked", "expected", "decider"), CASES)
def test_cases(asked: Read, expected: str, decider: str) -> None:
    told = explain(compiled(), judge(asked.principal), question(asked))
    assert (name_of(told), told.deciders[:1]) == (expected, (decider,) if decider else ())
    if expected in ("PLAIN", "MASKED", "PSEUDONYM", "COMPARE", "COUNTRY"):
        assert decider in told.text
        assert not told.changes
    else:
        assert told.changes
        assert told.granted_by == () or decider.startswith("guard.")


def test_there_are_enough() -> None:
    assert len(CASES) >= 60
    assert len({asked for asked, _, _ in CASES}) == len(CASES)


def test_every_guard_decides_a_case() -> None:
    guards = {name for name in compiled().annotated if name.startswith("guard.")}
    assert guards == {decider for _, _, decider in CASES if decider.startswith("guard.")}


MENDED = [  # a denial, and the one change that makes it a permit
    (read(field_class="email", wanted="PLAIN"), {"wanted": "BEST"}, "ask for the masked value"),
    (read(field_class="iban"), {"field_class": "email"}, "a line such as roles.reader.reveal.service.iban"),
    (read(basis="consent"), {"basis": "contract"}, "state a basis"),
    (read(purpose="marketing", jurisdiction="DE"), {"consent": "given"}, "a consent that the customer gives"),
    (
        read(purpose="marketing", jurisdiction="DE", consent="withdrawn"),
        {"consent": "given"},
        "a consent that the customer gives anew",
    ),
    (
        read(purpose="claims", consent="objected"),
        {"consent": "given"},
        "a consent that the customer gives later",
    ),
    (
        read(purpose="marketing", jurisdiction="US", consent="objected"),
        {"consent": "given"},
        "a consent that the customer gives later",
    ),
    (read(restricted=True), {"restricted": False}, "lift the restriction"),
    (read(expired=True), {"expired": False}, "remove or postpone the expiry"),
    (read(trained=False), {"trained": True}, "renew the training"),
    (read(principal="desk", jurisdiction="DE"), {"principal": "agent"}, "read from a region"),
    (read(purpose="emergency"), {"approved": True}, "have a second principal approve"),
    (
        read(wanted="PSEUDONYM"),
        {"principal": "analyst"},
        'add "PSEUDONYM" to roles.reader.reveal.service.name',
    ),
    (
        told("PSEUDONYM", field_class="iban"),
        {"wanted": "COMPARE"},
        'a line such as roles.analyst.reveal.service.iban = "PSEUDONYM"',
    ),
]


@pytest.mark.parametrize(("denied", "change", "advice"), MENDED)
def test_what_explain_advises_makes_it_a_permit(denied: Read, change: dict[str, object], advice: str) -> None:
    told = explain(compiled(), judge(denied.principal), question(denied))
    assert told.reason is not None
    assert told.changes[0].startswith(advice)
    mended = denied._replace(**change)
    after = explain(compiled(), judge(mended.principal), question(mended))
    assert after.reason is None
