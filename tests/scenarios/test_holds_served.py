"""Restrictions and legal holds through the API: two workers, the SDK, and the keeper that ends a shred."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from customervault.errors import HeldError, InvalidRequestError, PurposeUnknownError, RestrictedError

from tests.scenarios.support.server import Server, serving

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone": "+4930123456"}
WAIT_SECONDS = 60.0


@pytest.fixture
def server(deployment, tmp_path):
    with serving(deployment, tmp_path) as running:
        yield running


def final_word(server: Server, shred_id: str) -> str:
    """The stage, once no hold keeps anything."""
    end = time.monotonic() + WAIT_SECONDS
    with server.connect("eraser") as eraser:
        while eraser.get_erasure(shred_id).stage == "held":
            assert time.monotonic() < end, server.log()[-2000:]
            time.sleep(0.2)
        return eraser.get_erasure(shred_id).stage


def test_restrictions_holds_and_expiries_come_and_go(server):
    with server.connect("crm") as crm, server.connect("privacy") as privacy:
        mail = crm.tokenize("c1", JANE).tokens["email"]
        until = datetime(2099, 1, 1, tzinfo=UTC)
        partly = privacy.restrict(
            external_id="c1", purposes=["marketing"], field_classes=["email", "name"], until=until
        )
        assert crm.detokenize([mail], purpose="support")[0].get() == JANE["email"]
        wholly = privacy.restrict(token=mail)
        with pytest.raises(RestrictedError):
            crm.detokenize([mail], purpose="support")[0].get()
        assert crm.detokenize([mail], purpose="legal_claims")[0].get() == JANE["email"]
        expiry = privacy.set_expiry(until, external_id="c1", purposes=["marketing"])
        hold = privacy.hold(external_id="c1", field_classes=["email"], reference="4 O 123/26")
        found = crm.get_customer(external_id="c1")
        assert found.state == "restricted"
        assert [(each.id, each.purpose, each.field_class, each.until) for each in found.restrictions] == [
            (partly, "marketing", "name", until),
            (partly, "marketing", "email", until),
            (wholly, "", "", None),
        ]
        assert [(each.id, each.field_class, each.reference) for each in found.holds] == [
            (hold, "email", "4 O 123/26")
        ]
        assert [(each.id, each.purpose, each.at) for each in found.expiries] == [(expiry, "marketing", until)]
        with pytest.raises(HeldError):
            crm.delete(mail)
        for end in (privacy.lift, privacy.release, privacy.clear_expiry):
            with pytest.raises(InvalidRequestError):
                end(4_000_000_000, external_id="c1")
        privacy.lift(wholly, external_id="c1")
        privacy.lift(partly, external_id="c1")
        privacy.clear_expiry(expiry, external_id="c1")
        privacy.release(hold, external_id="c1")
        found = crm.get_customer(external_id="c1")
        assert (found.state, found.restrictions, found.holds, found.expiries) == ("active", (), (), ())
        assert crm.detokenize([mail], purpose="support")[0].get() == JANE["email"]
        with pytest.raises(PurposeUnknownError):
            privacy.restrict(external_id="c1", purposes=["astrology"])


def test_a_shred_under_a_hold_ends_with_its_release(server):
    with (
        server.connect("crm") as crm,
        server.connect("privacy") as privacy,
        server.connect("eraser") as eraser,
    ):
        tokens = crm.tokenize("c1", JANE).tokens
        hold = privacy.hold(external_id="c1", field_classes=["email"])
        assert eraser.shred(external_id="c1", validate_only=True).held_values == 2
        gone = eraser.shred(external_id="c1")
        assert (gone.outcome, gone.values, gone.held_values) == ("held", 2, 2)
        assert [each.step for each in gone.erasure.waits_for] == ["hold"]
        assert [each.shred_id for each in eraser.list_erasures(stage="held")] == [gone.shred_id]
        with pytest.raises(HeldError):
            crm.tokenize("c1", {"note": "one more"})
        with pytest.raises(HeldError):
            eraser.certificate(gone.shred_id)
        assert crm.detokenize([tokens["email"]], purpose="legal_claims")[0].get() == JANE["email"]
        privacy.release(hold, external_id="c1")
        assert eraser.get_erasure(gone.shred_id).stage == "effective"
        assert eraser.certificate(gone.shred_id).stage == "effective"
        assert list(eraser.list_erasures(stage="held")) == []


def test_the_keeper_ends_a_shred_whose_hold_has_passed(server):
    with (
        server.connect("crm") as crm,
        server.connect("privacy") as privacy,
        server.connect("eraser") as eraser,
    ):
        crm.tokenize("c1", JANE)
        privacy.hold(external_id="c1", until=datetime.now(UTC) + timedelta(seconds=2))
        gone = eraser.shred(external_id="c1")
        assert (gone.outcome, gone.values, gone.held_values) == ("held", 0, 4)
        assert gone.erasure.waits_for[0].due is not None
    assert final_word(server, gone.shred_id) == "effective"
