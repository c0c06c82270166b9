"""A customer asks who saw what, and gets exactly what was done, in words; after a shred, nothing."""

import pytest
from customervault.errors import ActionDeniedError, NotFoundError, ShreddedError

from tests.scenarios.support.controls import CONTROLS, apply
from tests.scenarios.support.deployment import Desks, by_id, by_token
from tests.scenarios.support.policies import AGENT, CRM, ERASER, NOBODY, POLICY, PRIVACY
from tests.scenarios.support.server import serving
from vault import errors
from vault.model.access import Reveal
from vault.model.blast import ReadCounts
from vault.model.consent import LawfulBasis
from vault.model.controls import ApprovalAct, ApprovalRequest
from vault.model.history import AccessEvent, AccessHistory, HistoryQuery

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
JANES = by_id("crm-1")


def history(desks: Desks, ref=JANES, **query: object) -> AccessHistory:
    return desks.vault.access_history(desks.privacy.caller, HistoryQuery(ref, **query))  # type: ignore[arg-type]


def events(desks: Desks, ref=JANES, **query: object) -> list[AccessEvent]:
    return list(history(desks, ref, **query).events)


def test_everything_done_is_told_newest_first_and_nothing_of_others(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", {"name": "Bob"})
    desks.crm.read([*jane, *bob])
    desks.crm.read(bob)
    desks.agent.read(jane[:1])
    desks.nobody.read(jane[1:])
    desks.crm.update(jane[0], "Janet")
    hold = desks.privacy.hold(JANES, "name")
    desks.privacy.release(JANES, hold)
    desks.vault.export_customer(desks.privacy.caller, JANES, "support", "")
    desks.vault.rotate_dek(desks.admin.caller, JANES, "")
    desks.crm.delete(jane[1])
    assert [(each.principal, each.action) for each in reversed(events(desks))] == [
        ("crm", "Tokenize"),
        ("crm", "Detokenize"),
        ("agent", "Detokenize"),
        ("nobody", "Detokenize"),
        ("crm", "UpdateValue"),
        ("privacy", "PlaceHold"),
        ("privacy", "ReleaseHold"),
        ("privacy", "ExportCustomer"),
        ("admin", "RotateDek"),
        ("crm", "DeleteValue"),
    ]
    first, *rest = events(desks)
    assert (first.principal, first.action) == ("privacy", "GetAccessHistory")  # asking is told, too
    texts = [each.text for each in reversed(rest)]
    assert texts[1] == (
        "crm saw data of yours. In full: e-mail address, name. Purpose: Answer a customer's question. "
        "Usual legal basis of this purpose: a legitimate interest."
    )
    assert texts[2].startswith("agent saw data of yours. Partly hidden: name.")
    assert texts[3].startswith("nobody asked for data of yours and saw none of it. Refused: e-mail address (")
    assert texts[4] == "crm corrected your name."
    assert texts[-1] == "crm deleted your e-mail address."


def test_counts_reasons_and_the_basis_stated_are_the_customers_own(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", {"name": "Bob"})
    caller = desks.crm.caller
    desks.vault.detokenize(
        caller, [*jane, *bob, *bob], "support", Reveal.BEST, LawfulBasis.LEGITIMATE_INTERESTS
    )
    (read,) = [each for each in events(desks) if each.action == "Detokenize"]
    assert read.counts == {"name": ReadCounts(1, 0, 0, 1), "email": ReadCounts(1, 0, 0, 1)}
    assert (read.basis, read.basis_stated, read.purpose) == (
        LawfulBasis.LEGITIMATE_INTERESTS,
        True,
        "support",
    )
    desks.crm.read(jane, "billing")
    denied = events(desks)[0]
    assert (denied.counts["name"], list(denied.reasons)) == (ReadCounts(0, 0, 1, 0), ["PURPOSE_DENIED"])


def test_an_emergency_access_is_told_as_one(desks):
    apply(desks, CONTROLS)
    jane = desks.crm.tokens("crm-1", JANE)
    wanted = ApprovalRequest(ApprovalAct.BREAK_GLASS, "fire", purpose="emergency", minutes=5)
    asked = desks.vault.request_approval(desks.agent.caller, wanted, "")
    desks.vault.approve(desks.privacy.caller, asked.approval_id, "", "")
    desks.agent.read(jane, "emergency")
    (read,) = [each for each in events(desks) if each.action == "Detokenize"]
    assert read.break_glass
    assert "emergency access that a second person had approved" in read.text


def test_each_language_tells_and_purposes_have_their_own_texts(desks):
    texts = POLICY.replace(
        '''description = "Answer a customer's question"''',
        '''description = "Answer a customer's question"\ndescriptions.de = "Ihre Frage beantworten"''',
    )
    desks.vault.apply_policy(desks.admin.caller, texts, validate_only=False, request_id="")
    desks.crm.read(desks.crm.tokens("crm-1", JANE))
    told = {locale: history(desks, locale=locale) for locale in ("de-AT", "fr", "es", "")}
    assert {locale: page.locale for locale, page in told.items()} == {
        "de-AT": "de",
        "fr": "fr",
        "es": "es",
        "": "en",
    }
    read = {
        locale: next(each for each in page.events if each.action == "Detokenize")
        for locale, page in told.items()
    }
    assert "Zweck: Ihre Frage beantworten." in read["de-AT"].text
    assert read["fr"].purpose_description == "Answer a customer's question"
    assert read["es"].text.startswith("crm vio datos suyos. Completos: correo electrónico, nombre.")


def test_pages_follow_each_other(desks):
    jane = desks.crm.tokens("crm-1", JANE)
    for count in range(1, 8):
        desks.crm.read(jane[:1] * count)
    seen, token = [], ""
    while True:
        page = history(desks, page_size=3, page_token=token)
        seen += [each.counts["name"].plain for each in page.events if each.action == "Detokenize"]
        token = page.next_page_token
        if not token:
            break
    assert seen == list(range(7, 0, -1))


def test_after_a_shred_there_is_no_history_and_the_call_says_so(desks):
    jane = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(jane)
    assert events(desks)
    desks.eraser.shred(JANES)
    with pytest.raises(errors.ShreddedError, match="erased, and the access history with it"):
        history(desks, by_token(jane[0]))
    with pytest.raises(errors.CustomerUnknownError, match="no access history any more"):
        history(desks)


def test_only_auditors_ask_and_about_somebody(desks):
    desks.crm.tokens("crm-1", JANE)
    for principal in ("crm", "agent", "eraser", "nobody"):
        with pytest.raises(errors.ActionDeniedError):
            desks.vault.access_history(desks.of(principal).caller, HistoryQuery(JANES))
    with pytest.raises(errors.InvalidRequestError):
        history(desks, page_token="x")


def test_served_the_history_is_what_was_done_whatever_is_sealed(deployment, tmp_path):
    with serving(deployment, tmp_path) as server:
        with server.connect(CRM) as crm, server.connect(AGENT) as agent, server.connect(NOBODY) as nobody:
            tokens = list(crm.tokenize("crm-1", JANE).tokens.values())
            crm.detokenize(tokens, purpose="support")
            agent.detokenize(tokens[:1], purpose="support")
            nobody.detokenize(tokens, purpose="support")
            with pytest.raises(ActionDeniedError):
                list(crm.access_history(external_id="crm-1"))
        with server.connect(PRIVACY) as privacy:
            (page,) = privacy.access_history(external_id="crm-1", locale="de")
            assert [(each.principal, each.action) for each in page.events] == [
                ("nobody", "Detokenize"),
                ("agent", "Detokenize"),
                ("crm", "Detokenize"),
                ("crm", "Tokenize"),
            ]
            assert page.events[2].text.startswith("crm hat Daten von Ihnen gesehen. Vollständig: ")
            assert (page.locale, page.removed_until) == ("de", None)
        with server.connect(ERASER) as eraser:
            eraser.shred(external_id="crm-1")
        with server.connect(PRIVACY) as privacy:
            with pytest.raises(NotFoundError, match="no access history any more"):
                list(privacy.access_history(external_id="crm-1"))
            with pytest.raises(ShreddedError, match="erased"):
                list(privacy.access_history(token=tokens[0]))
