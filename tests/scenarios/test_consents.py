"""What customers agree to is written down, cannot be changed unseen, and outlives rotations and restores."""

import json
from pathlib import Path

import pytest

from tests.scenarios.support.consenting import EVIDENCE, act, events, govern, kinds, say, standing
from tests.scenarios.support.deployment import Deployment, Desks, by_id, new_id
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.tampering import tampering
from vault.consent.events import Actor, ConsentEvent, Kind
from vault.consent.receipts import verify_receipt
from vault.core.backup import create_backup
from vault.core.checking import check
from vault.erasure.publickeys import public_keys
from vault.errors import (
    ActionDeniedError,
    BatchAbortedError,
    CustomerUnknownError,
    HeldError,
    IntegrityFailedError,
    InvalidRequestError,
    PurposeUnknownError,
    Reason,
    ShreddedError,
)
from vault.keys.unlock import unlock
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.consents import Evidence, Saying
from vault.model.requests import AccessQuery, CustomerState, Scope
from vault.store.consents import TABLE, consent_key
from vault.store.entries import ConsentEnded, Ending
from vault.store.layout import CustomerRow, RowFlag, value_key
from vault.store.terms import row_consent

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
HOUR_MS = 3_600_000


def row_of(desks: Desks, number: int = 1) -> CustomerRow:
    with desks.vault.engine.store.snapshot() as snapshot:
        return CustomerRow.unpack(snapshot.get(value_key(1, number)))


def said(desks: Desks, purpose: str, number: int = 1) -> ConsentState:
    """What a read that starts now finds in the customer row."""
    engine = desks.vault.engine
    with engine.store.snapshot() as snapshot:
        numbers = engine.directory(snapshot).numbers[b"p"]
    return row_consent(row_of(desks, number).consents, numbers[purpose])


def findings(deployment: Deployment) -> list[str]:
    edk = unlock(deployment.data_dir, deployment.settings, None)
    try:
        return [each.code for each in check(deployment.data_dir, deployment.settings, edk)]
    finally:
        edk.free()


def ended(desks: Desks) -> list[ConsentEnded]:
    return [
        each.payload for each in desks.vault.engine.store.ledger() if isinstance(each.payload, ConsentEnded)
    ]


@pytest.fixture
def desks(deployment: Deployment):
    with deployment.opened() as desks:
        govern(desks)
        desks.crm.store("jane", JANE, jurisdiction="AT")
        yield desks


def test_a_consent_is_given_renewed_withdrawn_and_told(desks):
    privacy = desks.privacy
    assert standing(privacy, "jane", "marketing").state is ConsentState.NONE
    given = say(privacy, "jane", "marketing", Saying.GIVEN)
    assert (given.event, given.state) == (1, ConsentState.GIVEN)
    assert said(desks, "marketing") is ConsentState.GIVEN
    assert say(privacy, "jane", "marketing", Saying.GIVEN).event == 2
    gone = say(privacy, "jane", "marketing", Saying.WITHDRAWN)
    assert gone.state is ConsentState.WITHDRAWN
    assert gone.remaining_bases == (LawfulBasis.LEGITIMATE_INTERESTS, LawfulBasis.CONTRACT)
    assert said(desks, "marketing") is ConsentState.WITHDRAWN
    told = events(privacy, "jane")
    assert [each.kind for each in told] == [Kind.GIVEN, Kind.RENEWED, Kind.WITHDRAWN]
    assert [each.previous for each in told[1:]] == [each.digest() for each in told[:-1]]
    assert {each.principal for each in told} == {"privacy"}
    assert {each.jurisdiction for each in told} == {"AT"}
    assert told[0].notice_version == EVIDENCE.notice_version
    found = standing(privacy, "jane", "marketing")
    assert (found.state, found.event, found.needs_consent) == (ConsentState.WITHDRAWN, 3, True)
    assert standing(privacy, "jane", "support").state is ConsentState.NONE


def test_a_withdrawal_said_again_changes_nothing_and_leaves_an_objection(desks):
    privacy = desks.privacy
    say(privacy, "jane", "marketing", Saying.WITHDRAWN)
    assert say(privacy, "jane", "marketing", Saying.WITHDRAWN).event == 0
    say(privacy, "jane", "marketing", Saying.OBJECTED)
    again = say(privacy, "jane", "marketing", Saying.WITHDRAWN)
    assert (again.event, again.state) == (0, ConsentState.OBJECTED)
    assert say(privacy, "jane", "marketing", Saying.OBJECTED).event == 0
    assert say(privacy, "jane", "marketing", Saying.REFUSED).state is ConsentState.OBJECTED
    assert kinds(privacy, "jane") == ["withdrawn", "objected", "refused"]
    assert [each.ending for each in ended(desks)] == [Ending.WITHDRAWN, Ending.OBJECTED, Ending.REFUSED]
    assert say(privacy, "jane", "marketing", Saying.GIVEN).state is ConsentState.GIVEN


def test_an_objection_leaves_what_cannot_be_objected_to_and_for_marketing_nothing(desks):
    assert say(desks.privacy, "jane", "marketing", Saying.OBJECTED).remaining_bases == ()
    assert say(desks.privacy, "jane", "billing", Saying.OBJECTED).remaining_bases == (LawfulBasis.CONTRACT,)
    assert standing(desks.privacy, "jane", "billing").other_bases == (LawfulBasis.CONTRACT,)


def test_a_retry_with_the_same_request_id_records_once(desks):
    request_id = new_id()
    first = say(desks.privacy, "jane", "marketing", Saying.GIVEN, request_id=request_id)
    assert say(desks.privacy, "jane", "marketing", Saying.GIVEN, request_id=request_id) == first
    assert kinds(desks.privacy, "jane") == ["given"]


def test_a_consent_ends_by_time_and_the_next_event_says_so(desks, monkeypatch):
    engine, privacy = desks.vault.engine, desks.privacy
    ends = engine.now_ms() + HOUR_MS
    say(privacy, "jane", "marketing", Saying.GIVEN, expires_ms=ends)
    assert standing(privacy, "jane", "marketing").expires_ms == ends
    assert row_of(desks).flags == RowFlag.SLOW_PATH
    monkeypatch.setattr(engine, "now_ms", lambda: ends)
    monkeypatch.setattr(engine.store._shared, "clock_ms", lambda: ends)
    over = standing(privacy, "jane", "marketing")
    assert (over.state, over.since_ms) == (ConsentState.WITHDRAWN, ends)
    say(privacy, "jane", "billing", Saying.GIVEN)
    assert kinds(privacy, "jane") == ["given", "expired", "given"]
    assert events(privacy, "jane")[1].acted is Actor.VAULT
    assert said(desks, "marketing") is ConsentState.WITHDRAWN
    assert row_of(desks).flags == 0
    assert say(privacy, "jane", "marketing", Saying.GIVEN).state is ConsentState.GIVEN
    assert kinds(privacy, "jane")[-1] == "given"


@pytest.mark.parametrize(
    ("sec_gpc", "signal"),
    [("1", True), (" 1", False), ("1 ", False), ("true", False), ("0", False), ("", False), (None, False)],
)
def test_only_exactly_1_opts_out_of_sale_and_sharing(desks, sec_gpc, signal):
    privacy = desks.privacy
    answer = desks.vault.ingest_signal(privacy.caller, by_id("jane"), sec_gpc, Evidence(), "")
    assert answer.recognized is signal
    assert [each.purpose for each in answer.answers] == (["marketing", "billing"] if signal else [])
    assert kinds(privacy, "jane") == ["objected"] * (2 if signal else 0)
    assert (said(desks, "marketing") is ConsentState.OBJECTED) is signal
    assert said(desks, "support") is ConsentState.NONE
    if signal:
        assert {each.method for each in events(privacy, "jane")} == {"gpc"}
        again = desks.vault.ingest_signal(privacy.caller, by_id("jane"), sec_gpc, Evidence(), "")
        assert [each.event for each in again.answers] == [0, 0]


def test_a_signal_of_nobody_is_told_so(desks):
    with pytest.raises(CustomerUnknownError):
        desks.vault.ingest_signal(desks.privacy.caller, by_id("nobody"), "1", Evidence(), "")
    with pytest.raises(ActionDeniedError):
        desks.vault.ingest_signal(desks.crm.caller, by_id("jane"), "0", Evidence(), "")


def test_batches_record_each_or_all_or_nothing(desks):
    privacy, vault = desks.privacy, desks.vault
    desks.crm.store("albert", JANE)
    acts = [act("jane", "marketing", Saying.GIVEN), act("nobody", "marketing", Saying.GIVEN),
            act("albert", "billing", Saying.REFUSED)]  # fmt: skip
    with pytest.raises(BatchAbortedError):
        vault.record_consents(privacy.caller, acts, request_id="", atomic=True)
    assert kinds(privacy, "jane") == []
    answers = vault.record_consents(privacy.caller, acts, request_id="")
    assert [each.event for each in answers] == [1, 0, 1]
    assert isinstance(answers[1].error, CustomerUnknownError)


def test_who_may_not_is_refused_and_every_act_is_in_the_customers_history(desks):
    with pytest.raises(ActionDeniedError):
        say(desks.crm, "jane", "marketing", Saying.WITHDRAWN)
    with pytest.raises(ActionDeniedError):
        standing(desks.crm, "jane", "marketing")
    say(desks.privacy, "jane", "marketing", Saying.GIVEN)
    standing(desks.privacy, "jane", "marketing")
    told = desks.vault.list_access(desks.privacy.caller, AccessQuery(customer=by_id("jane"))).items
    assert [each.action for each in told][:2] == ["GetConsentState", "RecordConsent"]
    assert json.loads(told[1].detail) == {"changed": True, "kind": "given", "purpose": "marketing"}


def test_purposes_are_declared_but_for_ending_them(desks):
    privacy = desks.privacy
    for saying in Saying:
        with pytest.raises(PurposeUnknownError):
            say(privacy, "jane", "spying", saying)
    say(privacy, "jane", "billing", Saying.GIVEN)
    policy = desks.vault.get_policy(desks.admin.caller).document
    start, end = policy.index("[purposes.billing]"), policy.index("[purposes.legal_claims]")
    govern(desks, policy[:start] + policy[end:])
    with pytest.raises(PurposeUnknownError):
        say(privacy, "jane", "billing", Saying.GIVEN)
    assert say(privacy, "jane", "billing", Saying.WITHDRAWN).state is ConsentState.WITHDRAWN


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(text_sha256=b"short"),
        Evidence(locale="de_AT"),
        Evidence(locale="x" * 36),
        Evidence(method="Web form"),
        Evidence(notice_version="a\nb"),
        Evidence(notice_version="n" * 129),
        Evidence(acted="vault"),
        Evidence(acted_ms=2**52),
    ],
)
def test_evidence_has_its_form(desks, evidence):
    with pytest.raises(InvalidRequestError):
        say(desks.privacy, "jane", "marketing", Saying.GIVEN, evidence=evidence)


@pytest.mark.parametrize(("saying", "expires_ms"), [(Saying.GIVEN, 1), (Saying.WITHDRAWN, 2**42)])
def test_only_a_consent_has_an_end_and_it_lies_ahead(desks, saying, expires_ms):
    with pytest.raises(InvalidRequestError):
        say(desks.privacy, "jane", "marketing", saying, expires_ms=expires_ms)


def test_a_clock_that_is_a_little_ahead_does_not_stop_a_withdrawal(desks):
    ahead = desks.vault.engine.now_ms() + 60_000
    answer = say(desks.privacy, "jane", "marketing", Saying.WITHDRAWN, evidence=Evidence(acted_ms=ahead))
    assert answer.state is ConsentState.WITHDRAWN


def test_events_come_in_pages(desks):
    privacy = desks.privacy
    for _ in range(5):
        say(privacy, "jane", "marketing", Saying.GIVEN)
    say(privacy, "jane", "billing", Saying.GIVEN)
    seen, token = [], ""
    while True:
        page = desks.vault.list_consent_events(privacy.caller, by_id("jane"), "marketing", 2, token)
        seen += [each.seq for each in page.items]
        token = page.next_page_token
        if not token:
            break
    assert seen == [1, 2, 3, 4, 5]


def test_a_new_data_key_carries_the_events_over(deployment):
    with deployment.opened() as desks:
        privacy = govern(desks)
        desks.crm.store("jane", JANE)
        say(privacy, "jane", "marketing", Saying.GIVEN, expires_ms=desks.vault.engine.now_ms() + HOUR_MS)
        say(privacy, "jane", "billing", Saying.WITHDRAWN)
        before = events(privacy, "jane")
        desks.vault.rotate_dek(desks.admin.caller, by_id("jane"), "")
        assert events(privacy, "jane") == before
        assert say(privacy, "jane", "marketing", Saying.WITHDRAWN).event == 3
    assert findings(deployment) == []


def test_a_withdrawal_stays_done_after_a_restore_over_three_epochs_and_a_new_data_key(
    deployment: Deployment, tmp_path: Path
) -> None:
    with deployment.opened() as desks:
        privacy = govern(desks)
        name, mail = desks.crm.tokens("jane", JANE)
        say(privacy, "jane", "marketing", Saying.GIVEN)
        bundle = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store)
        desks.crm.update(name, "Joan Doe")
        rotation(desks.vault).rotate()
        before = events(privacy, "jane")
        say(privacy, "jane", "marketing", Saying.WITHDRAWN)
        assert events(privacy, "jane")[:1] == before
        for _ in range(2):
            rotation(desks.vault).rotate()
    report = restore(deployment, bundle.path)
    assert (report.exact, report.lost_generation, report.consents_ended) == (True, [], 1)
    with deployment.opened() as desks:
        assert standing(desks.privacy, "jane", "marketing").state is ConsentState.WITHDRAWN
        rotation(desks.vault).rotate()
        assert standing(desks.privacy, "jane", "marketing").state is ConsentState.WITHDRAWN
        assert desks.crm.plain(mail) == JANE["email"]
    assert findings(deployment) == []


def test_a_shred_takes_the_events_along(deployment):
    with deployment.opened() as desks:
        privacy = govern(desks)
        desks.crm.store("jane", JANE)
        token = desks.crm.customer(by_id("jane")).customer_token
        say(privacy, "jane", "marketing", Saying.GIVEN)
        desks.eraser.shred(by_id("jane"))
        with desks.vault.engine.store.snapshot() as snapshot:
            assert list(snapshot.rows(TABLE)) == []
        with pytest.raises(CustomerUnknownError):
            standing(privacy, "jane", "marketing")
        with pytest.raises(ShreddedError):
            desks.vault.consent_state(privacy.caller, by_id("jane")._replace(external_id=None, token=token))
    assert findings(deployment) == []


@pytest.mark.parametrize("tampered", ["dropped", "dropped last", "swapped", "edited", "replayed"])
def test_a_chain_that_was_touched_is_refused_and_found(deployment, tampered):
    with deployment.opened() as desks:
        privacy = govern(desks)
        desks.crm.store("jane", JANE)
        for purpose in ("marketing", "billing", "support"):
            say(privacy, "jane", purpose, Saying.GIVEN)
    with tampering(deployment) as session:
        first, second, third = (consent_key(1, 1, seq) for seq in (1, 2, 3))
        rows = {key: session.row(TABLE, key) for key in (first, second, third)}
        match tampered:
            case "dropped":
                session.delete_row(TABLE, second)
            case "dropped last":
                session.delete_row(TABLE, third)
            case "swapped":
                session.put_row(TABLE, first, rows[second])
                session.put_row(TABLE, second, rows[first])
            case "edited":
                session.put_row(TABLE, second, rows[second][:-1] + bytes([rows[second][-1] ^ 1]))
            case "replayed":
                session.put_row(TABLE, consent_key(1, 1, 4), rows[third])
    assert "CONSENTS_WRONG" in findings(deployment)
    with deployment.opened() as desks:
        with pytest.raises(IntegrityFailedError):
            events(desks.privacy, "jane")
        with pytest.raises(IntegrityFailedError):
            standing(desks.privacy, "jane", "marketing")


def test_an_older_row_and_sheet_do_not_bring_a_consent_back(deployment):
    with deployment.opened() as desks:
        privacy = govern(desks)
        desks.crm.store("jane", JANE)
        say(privacy, "jane", "marketing", Saying.GIVEN)
    with tampering(deployment) as session:
        row, sheet = session.get(value_key(1, 1)), session.sheet(value_key(1, 1)[:6])
    with deployment.opened() as desks:
        say(desks.privacy, "jane", "marketing", Saying.WITHDRAWN)
    with tampering(deployment) as session:
        session.put_value(value_key(1, 1), row)
        session.put_sheet(value_key(1, 1)[:6], sheet)
    with deployment.opened() as desks, pytest.raises(IntegrityFailedError):
        standing(desks.privacy, "jane", "marketing")


def test_a_restore_ends_again_what_was_ended_since_the_backup(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        privacy = govern(desks)
        for name in ("withdrew", "objected", "kept", "shredded"):
            desks.crm.store(name, JANE)
            say(privacy, name, "marketing", Saying.GIVEN)
        bundle = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store)
        withdrawn = say(privacy, "withdrew", "marketing", Saying.WITHDRAWN)
        say(privacy, "objected", "marketing", Saying.OBJECTED)
        say(privacy, "shredded", "marketing", Saying.WITHDRAWN)
        desks.crm.store("newer", JANE)
        say(privacy, "newer", "marketing", Saying.REFUSED)
        desks.eraser.shred(by_id("shredded"))
    report = restore(deployment, bundle.path)
    assert report.exact
    assert report.consents_ended == 3
    assert findings(deployment) == []
    with deployment.opened() as desks:
        states = [
            standing(desks.privacy, name, "marketing").state for name in ("withdrew", "objected", "kept")
        ]
        assert states == [ConsentState.WITHDRAWN, ConsentState.OBJECTED, ConsentState.GIVEN]
        assert [said(desks, "marketing", number) for number in (1, 2, 3)] == states
        last: ConsentEvent = events(desks.privacy, "withdrew")[-1]
        assert (last.kind, last.acted, last.method) == (Kind.WITHDRAWN, Actor.VAULT, "ledger")
        assert (last.time_ms, last.purpose_name) == (withdrawn.time_ms, "marketing")


@pytest.mark.parametrize("dies_after", ["ledger", "values"])
def test_a_withdrawal_that_a_crash_interrupts_took_effect_once_it_is_in_the_ledger(deployment, dies_after):
    class Crash(BaseException):
        """The process ends here."""

    def die(step: str) -> None:
        if step == dies_after:
            raise Crash

    with deployment.opened() as desks:
        privacy = govern(desks)
        desks.crm.store("jane", JANE)
        say(privacy, "jane", "marketing", Saying.GIVEN)
        engine = desks.vault.engine
        with engine.store.snapshot() as snapshot:
            purpose = engine.directory(snapshot).numbers[b"p"]["marketing"]
        engine.store._shared.after_step = die
        ending = ConsentEnded(1, 1, Ending.WITHDRAWN, purpose, engine.now_ms())
        with engine.store.write("erase") as session:
            session.append(ending)
            if dies_after == "values":
                with engine.book.open(session, session, 1) as customer:
                    event = ConsentEvent(Kind.WITHDRAWN, purpose, "marketing", ending.time_ms)
                    engine.consents.record(session, customer, event)
                    engine.book.save(session, customer)
            with pytest.raises(Crash):
                session.commit()
    with deployment.opened() as desks:
        desks.crm.store("albert", JANE)  # whoever writes next finishes it
        assert standing(desks.privacy, "jane", "marketing").state is ConsentState.WITHDRAWN
        assert kinds(desks.privacy, "jane") == ["given", "withdrawn"]


def test_a_withdrawal_reaches_a_customer_whose_sheet_is_damaged(deployment: Deployment) -> None:
    """A crash left it in the ledger alone; the row, which reads go by, is closed without the sheet."""
    with deployment.opened() as desks:
        privacy = govern(desks)
        desks.crm.store("jane", JANE)
        say(privacy, "jane", "marketing", Saying.GIVEN)
    key = value_key(1, 1)[:6]
    with tampering(deployment) as session:
        sheet = session.sheet(key)
        session.put_sheet(key, sheet[:-1] + bytes([sheet[-1] ^ 1]))
    with deployment.opened() as desks:
        engine = desks.vault.engine
        with engine.store.snapshot() as snapshot:
            purpose = engine.directory(snapshot).numbers[b"p"]["marketing"]
        ending = ConsentEnded(1, 1, Ending.OBJECTED, purpose, engine.now_ms())
        engine.committer.submit(lambda session: engine.effects.end_consent(session, ending), erase=True)
        assert said(desks, "marketing") is ConsentState.OBJECTED


def test_a_receipt_is_checked_offline_and_fails_on_any_changed_byte(deployment, desks):
    privacy = desks.privacy
    say(privacy, "jane", "marketing", Saying.GIVEN)
    receipt = desks.vault.consent_receipt(privacy.caller, by_id("jane"), 1, "")
    keys = public_keys((deployment.data_dir / "public" / "keys.json").read_bytes())
    now_ms = desks.vault.engine.now_ms()
    facts = verify_receipt(receipt.content, keys, now_ms=now_ms)
    assert facts.event == events(privacy, "jane")[0]
    assert facts.customer == desks.crm.customer(by_id("jane")).customer_token
    assert receipt.key_id in keys
    for at in range(len(receipt.content)):
        changed = bytearray(receipt.content)
        changed[at] ^= 1
        with pytest.raises((IntegrityFailedError, InvalidRequestError)):
            verify_receipt(bytes(changed), keys, now_ms=now_ms)
    with pytest.raises(IntegrityFailedError):
        verify_receipt(receipt.content, keys, now_ms=now_ms - 10 * 60_000)
    with pytest.raises(InvalidRequestError):
        desks.vault.consent_receipt(privacy.caller, by_id("jane"), 2, "")


def test_the_export_is_json_ld_with_every_event(desks):
    privacy = desks.privacy
    say(privacy, "jane", "marketing", Saying.GIVEN, expires_ms=2**42)
    say(privacy, "jane", "marketing", Saying.OBJECTED)
    document = json.loads(desks.vault.export_consents(privacy.caller, by_id("jane"), ""))
    (record,) = document["@graph"]
    assert record["@type"] == "dpv:ConsentRecord"
    assert record["dpv:hasProcess"]["dpv:hasPurpose"]["@id"] == "https://w3id.org/dpv#DirectMarketing"
    assert record["dpv:hasLegalBasis"][0] == {"@id": "eu-gdpr:A6-1-a"}
    given, objected, present = record["dpv:hasConsentStatus"]
    assert (given["@type"], given["dct:valid"]) == ("dpv:ConsentGiven", "2109-05-15T07:35:11.104Z")
    assert objected["dpv:hasRight"] == present["dpv:hasRight"] == {"@id": "eu-gdpr:A21"}
    assert objected["cv:previous"] == given["cv:sha256"]
    prefixes = {name.partition(":")[0] for name in record if ":" in name}
    assert prefixes <= document["@context"].keys()


def test_while_an_erasure_waits_for_a_hold_consent_ends_and_is_not_given(desks):
    privacy, her = desks.privacy, by_id("jane")
    say(privacy, "jane", "marketing", Saying.GIVEN)
    hold = privacy.hold(her, "email")
    desks.eraser.shred(her)
    for purpose in ("marketing", "billing"):
        with pytest.raises(HeldError):
            say(privacy, "jane", purpose, Saying.GIVEN)
    acts = [act("jane", "marketing", Saying.WITHDRAWN), act("jane", "billing", Saying.GIVEN)]
    with pytest.raises(BatchAbortedError) as refused:
        desks.vault.record_consents(privacy.caller, acts, request_id="", atomic=True)
    assert refused.value.details["cause"] == Reason.HELD
    assert kinds(privacy, "jane") == ["given"]  # sealed anew with what the hold keeps
    assert say(privacy, "jane", "marketing", Saying.WITHDRAWN).state is ConsentState.WITHDRAWN
    assert say(privacy, "jane", "billing", Saying.REFUSED).state is ConsentState.WITHDRAWN
    assert say(privacy, "jane", "marketing", Saying.OBJECTED).state is ConsentState.OBJECTED
    assert kinds(privacy, "jane") == ["given", "withdrawn", "refused", "objected"]
    assert (desks.crm.customer(her).state, len(desks.crm.customer(her).holds)) == (
        CustomerState.RESTRICTED,
        1,
    )
    privacy.release(her, hold)
    with desks.vault.engine.store.snapshot() as snapshot:
        assert list(snapshot.rows(TABLE)) == []


def test_terms_and_consents_of_one_customer_do_not_touch_each_other(desks):
    privacy, her = desks.privacy, by_id("jane")
    until_ms = desks.vault.engine.now_ms() + HOUR_MS
    whole = privacy.restrict(her)
    say(privacy, "jane", "marketing", Saying.GIVEN, expires_ms=until_ms)
    say(privacy, "jane", "billing", Saying.OBJECTED)
    narrow = privacy.restrict(her, Scope(["billing"]), until_ms=until_ms)
    assert standing(privacy, "jane", "marketing").expires_ms == until_ms
    assert desks.crm.customer(her).state is CustomerState.RESTRICTED
    for each in (whole, narrow):
        privacy.lift(her, each)
    assert (desks.crm.customer(her).state, desks.crm.customer(her).restrictions) == (CustomerState.ACTIVE, [])
    assert standing(privacy, "jane", "marketing").state is ConsentState.GIVEN
    assert standing(privacy, "jane", "billing").state is ConsentState.OBJECTED
