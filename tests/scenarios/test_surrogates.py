"""Surrogates: texts of a value's format that stand for it wherever a token does, while its customer lives."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from tests.scenarios.support.deployment import (
    SMALL,
    Deployment,
    Desk,
    Desks,
    by_id,
    copy_vault,
    found_vault,
    new_id,
)
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from vault.core.backup import create_backup
from vault.core.checking import check
from vault.crypto.tokens import is_token_text
from vault.errors import (
    InvalidRequestError,
    Reason,
    SurrogatesExhaustedError,
    SurrogateTakenError,
    TokenUnknownError,
)
from vault.keys.unlock import unlock
from vault.model.access import Reveal
from vault.model.requests import Entry, FieldInput, FieldResult, Outcome, Scope, TokenForm, ValueState
from vault.model.secret import Secret
from vault.store.epochs import index_path
from vault.store.session import WriteSession

SETTINGS = (
    SMALL
    + """\
[fields.email]
surrogate = "email"
[fields.phone]
surrogate = "phone"
[fields.card]
surrogate = { format = "card", check = "invalid", always = false }
[fields.pin]
kind = "note"
surrogate = { format = "digits", length = 1 }
"""
)
ANN = {"name": "Ann Lee", "email": "ann@lee.org", "phone": "+442071838750"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return found_vault(tmp_path_factory.mktemp("founded"), settings=SETTINGS)


@pytest.fixture
def deployment(founded: Deployment, tmp_path: Path) -> Deployment:
    return copy_vault(founded, tmp_path)


@pytest.fixture
def desks(deployment: Deployment) -> Iterator[Desks]:
    with deployment.opened() as desks:
        yield desks


def findings(deployment: Deployment) -> list[str]:
    edk = unlock(deployment.data_dir, deployment.settings, None)
    try:
        return [f"{each.code} {each.detail}" for each in check(deployment.data_dir, deployment.settings, edk)]
    finally:
        edk.free()


def stored(desk: Desk, external_id: str, given: FieldInput, **options: object) -> FieldResult:
    """The answer for one field."""
    arguments = {"domain": "", "request_id": "", "atomic": False, "batch": False} | options
    (entry,) = desk.vault.tokenize(desk.caller, [Entry(by_id(external_id), [given])], **arguments)  # type: ignore[arg-type]
    return entry.results[0]


def brought(desk: Desk, external_id: str, email: str, surrogate: str, label: str = "") -> FieldResult:
    """The answer for an e-mail address that brings a token of another vault."""
    return stored(desk, external_id, FieldInput("email", Secret(email), label, Secret(surrogate)))


def surrogates_in(desks: Desks) -> int:
    with desks.vault.engine.store.keyring() as keys:
        return keys.count_surrogates()


def test_a_surrogate_stands_for_its_value_everywhere(desks: Desks) -> None:
    name, email, phone = desks.crm.tokens("ann", ANN)
    assert is_token_text(name)
    assert email.endswith("@example.com")
    assert phone.startswith("+44")
    assert phone != ANN["phone"]
    assert desks.crm.tokens("ann", ANN) == [name, email, phone]
    assert desks.crm.read([email, name, phone]).values == [ANN["email"], ANN["name"], ANN["phone"]]
    info = desks.vault.inspect(desks.crm.caller, email)
    assert (info.field_class, info.domain, info.state) == ("email", "crm", ValueState.LIVE)
    translated = desks.vault.translate(desks.bridge.caller, [email], "partner")
    assert is_token_text(translated.tokens[0])
    assert desks.partner.plain(translated.tokens[0]) == ANN["email"]
    assert desks.crm.update(email, "ann@new.org", new_id()) == Outcome.UPDATED
    assert desks.crm.plain(email) == "ann@new.org"
    desks.crm.delete(email)
    assert desks.crm.denied([email]) == [Reason.VALUE_DELETED]


def test_reads_of_surrogates_are_decided_and_recorded_like_all_others(desks: Desks) -> None:
    email = desks.crm.tokens("ann", ANN)[1]
    assert list(desks.agent.read([email]).reveals) == [Reveal.MASKED]
    assert desks.nobody.denied([email]) == [Reason.PURPOSE_DENIED]
    assert desks.partner.denied([email]) == [Reason.TOKEN_UNKNOWN]
    with pytest.raises(TokenUnknownError):
        desks.vault.inspect(desks.partner.caller, email)
    newest = desks.privacy.accesses(customer=by_id("ann"))
    assert newest


def test_what_is_neither_token_nor_surrogate_is_unknown(desks: Desks) -> None:
    texts = ["nobody@example.com", "", "x" * 300, "\udc80"]
    assert desks.crm.denied(texts) == [Reason.TOKEN_UNKNOWN] * 4


def test_the_request_says_what_it_wants(desks: Desks) -> None:
    email = FieldInput("email", Secret("ann@lee.org"))
    card = FieldInput("card", Secret("4111111111111111"))
    assert is_token_text(stored(desks.crm, "ann", email, form=TokenForm.TOKEN).token)
    assert not is_token_text(stored(desks.crm, "ann", email).token)
    assert is_token_text(stored(desks.crm, "ann", card).token)
    surrogate = stored(desks.crm, "ann", card, form=TokenForm.SURROGATE).token
    assert (surrogate[:6], surrogate[-4:], len(surrogate)) == ("411111", "1111", 16)
    assert desks.crm.plain(surrogate) == "4111111111111111"
    name = FieldInput("name", Secret("Ann"))
    assert is_token_text(stored(desks.crm, "ann", name, form=TokenForm.SURROGATE).token)


def test_a_retry_gets_the_same_surrogate(desks: Desks) -> None:
    request_id = new_id()
    first = desks.crm.tokens("ann", ANN, request_id=request_id)
    assert desks.crm.tokens("ann", ANN, request_id=request_id) == first


def test_each_domain_has_its_own(desks: Desks) -> None:
    ours = desks.crm.tokens("ann", ANN)[1]
    theirs = desks.partner.tokens("ann", ANN)[1]
    assert ours != theirs
    assert desks.partner.plain(theirs) == desks.crm.plain(ours)
    assert desks.partner.denied([ours]) == desks.crm.denied([theirs]) == [Reason.TOKEN_UNKNOWN]


def test_one_that_two_domains_have_needs_to_be_told_apart(desks: Desks) -> None:
    brought(desks.crm, "ann", "ann@lee.org", "tok-1")
    brought(desks.partner, "bob", "bob@roe.org", "tok-1")
    denied = desks.vault.translate(desks.bridge.caller, ["tok-1"], "crm").denials
    assert [denial.reason for denial in denied] == [Reason.INVALID_REQUEST]
    told = desks.vault.translate(desks.bridge.caller, ["tok-1"], "crm", "partner")
    assert desks.crm.plain(told.tokens[0]) == "bob@roe.org"
    with pytest.raises(InvalidRequestError):
        desks.vault.inspect(desks.admin.caller, "tok-1")
    assert desks.vault.inspect(desks.admin.caller, "tok-1", "crm").domain == "crm"


def test_a_small_format_says_when_it_is_used_up(desks: Desks) -> None:
    pins = [stored(desks.crm, f"c{n}", FieldInput("pin", Secret("secret"))).token for n in range(10)]
    assert sorted(pins) == list("0123456789")
    refused = stored(desks.crm, "c10", FieldInput("pin", Secret("secret")))
    assert refused.outcome == Outcome.REFUSED
    assert isinstance(refused.error, SurrogatesExhaustedError)
    assert refused.error.details["capacity"] == "10"
    assert not [held for held in desks.crm.customer(by_id("c10")).held if held.field_class == "pin"]
    desks.eraser.shred(by_id("c3"))
    assert stored(desks.crm, "c11", FieldInput("pin", Secret("other"))).token == pins[3]


def test_a_shred_ends_its_surrogates(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        gone, kept = desks.crm.tokens("gone", ANN)[1:], desks.crm.tokens("kept", ANN)[1:]
        desks.eraser.shred(by_id("gone"))
        assert desks.crm.denied(gone) == [Reason.TOKEN_UNKNOWN] * 2
        assert desks.crm.read(kept).values == [ANN["email"], ANN["phone"]]
        assert surrogates_in(desks) == 2
    assert findings(deployment) == []


def test_a_rotation_carries_surrogates_those_given_meanwhile_too(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        early, gone = desks.crm.tokens("early", ANN), desks.crm.tokens("gone", ANN)
        plain = stored(desks.crm, "plain", FieldInput("email", Secret("p@p.org")), form=TokenForm.TOKEN).token
        late: list[str] = []

        def meanwhile(step: str) -> None:
            email = FieldInput("email", Secret(f"{step}@p.org"), step)
            match step:
                case "copied" | "verified" | "followed":
                    late.append(stored(desks.crm, "plain", email).token)  # a customer that was copied before
                    late.append(stored(desks.crm, f"new-{step}", email).token)
            if step == "verified":
                desks.eraser.shred(by_id("gone"))
                desks.eraser.shred(by_id("new-copied"))

        assert rotation(desks.vault, meanwhile).rotate() == 2
        assert desks.crm.read(early).values == list(ANN.values())
        assert desks.crm.denied(gone[1:]) == [Reason.TOKEN_UNKNOWN] * 2
        assert desks.crm.plain(plain) == "p@p.org"
        assert desks.crm.denied([late.pop(1)]) == [Reason.TOKEN_UNKNOWN]
        steps = ("copied", "verified", "verified", "followed", "followed")
        assert desks.crm.read(late).values == [f"{step}@p.org" for step in steps]
        assert desks.crm.tokens("early", ANN) == early
    assert findings(deployment) == []


def test_a_new_data_key_keeps_surrogates(desks: Desks) -> None:
    tokens = desks.crm.tokens("ann", ANN)
    desks.vault.rotate_dek(desks.admin.caller, by_id("ann"), "")
    assert desks.crm.read(tokens).values == list(ANN.values())
    assert desks.crm.tokens("ann", ANN) == tokens


def test_a_held_value_keeps_its_surrogate_until_the_hold_ends(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        _, email, phone = desks.crm.tokens("ann", ANN)
        hold = desks.privacy.hold(by_id("ann"), "email")
        assert desks.crm.plain(email) == ANN["email"]
        desks.vault.rotate_dek(desks.admin.caller, by_id("ann"), "")
        assert desks.crm.plain(email) == ANN["email"]
        assert desks.eraser.shred(by_id("ann")).held_values == 2
        assert desks.crm.denied([email]) == [Reason.RESTRICTED]
        assert desks.crm.plain(email, "legal_claims") == ANN["email"]
        assert desks.crm.denied([phone], "legal_claims") == [Reason.TOKEN_UNKNOWN]
        assert surrogates_in(desks) == 1
        desks.privacy.release(by_id("ann"), hold)
        assert desks.crm.denied([email], "legal_claims") == [Reason.TOKEN_UNKNOWN]
        assert surrogates_in(desks) == 0
    assert findings(deployment) == []


def test_a_shred_under_a_hold_during_a_rotation_leaves_no_surrogate_behind(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        _, email, phone = desks.crm.tokens("ann", ANN)
        hold = desks.privacy.hold(by_id("ann"), "email")

        def meanwhile(step: str) -> None:
            if step == "verified":
                desks.eraser.shred(by_id("ann"))

        rotation(desks.vault, meanwhile).rotate()
        assert desks.crm.plain(email, "legal_claims") == ANN["email"]
        assert desks.crm.denied([phone], "legal_claims") == [Reason.TOKEN_UNKNOWN]
        assert surrogates_in(desks) == 1
        desks.privacy.release(by_id("ann"), hold)
        assert surrogates_in(desks) == 0
    assert findings(deployment) == []


def test_a_restriction_holds_for_surrogates(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        email = desks.crm.tokens("ann", ANN)[1]
        restriction = desks.privacy.restrict(by_id("ann"), Scope(("support",), ("email",)))
        assert desks.crm.denied([email]) == [Reason.RESTRICTED]
        assert desks.crm.plain(email, "legal_claims") == ANN["email"]
        assert desks.crm.tokens("ann", ANN)[1] == email
        desks.privacy.lift(by_id("ann"), restriction)
        assert desks.crm.plain(email) == ANN["email"]
    assert findings(deployment) == []


def test_a_restore_makes_the_index_anew_from_the_sheets(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        kept, gone = desks.crm.tokens("kept", ANN), desks.crm.tokens("gone", ANN)
        bundle = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
        desks.eraser.shred(by_id("gone"))
    for surrogate in (*kept[1:], *gone[1:]):
        assert not [
            each for each in bundle.rglob("*") if each.is_file() and surrogate.encode() in each.read_bytes()
        ]
    restore(deployment, bundle)
    with deployment.opened() as desks:
        assert desks.crm.read(kept).values == list(ANN.values())
        assert desks.crm.denied(gone[1:]) == [Reason.TOKEN_UNKNOWN] * 2
        assert surrogates_in(desks) == 2
    assert findings(deployment) == []


def test_tokens_of_another_vault_stay_valid(desks: Desks) -> None:
    assert brought(desks.crm, "ann", "ann@lee.org", "Tok_A").token == "Tok_A"
    again = brought(desks.crm, "ann", "ann@lee.org", "Tok_A")
    assert (again.outcome, again.token) == (Outcome.UNCHANGED, "Tok_A")
    assert brought(desks.crm, "ann", "ann@lee.org", "Tok_B").token == "Tok_B"
    assert desks.crm.read(["Tok_A", "Tok_B"]).values == ["ann@lee.org"] * 2
    assert desks.crm.denied(["tok_a"]) == [Reason.TOKEN_UNKNOWN]
    assert desks.crm.tokens("ann", {"email": "ann@lee.org"}) == ["Tok_A"]


def test_a_token_of_another_vault_never_moves_to_another_value(desks: Desks) -> None:
    brought(desks.crm, "ann", "ann@lee.org", "tok-a")
    for taken in (
        brought(desks.crm, "bob", "bob@roe.org", "tok-a"),  # another customer's
        brought(desks.crm, "ann", "ann@other.org", "tok-a", "work"),  # another value of hers
        brought(desks.crm, "ann", "ann@other.org", "tok-b"),  # her value would be another one
    ):
        assert taken.outcome == Outcome.REFUSED
        assert isinstance(taken.error, SurrogateTakenError)
    assert desks.crm.plain("tok-a") == "ann@lee.org"
    assert desks.crm.denied(["tok-b"]) == [Reason.TOKEN_UNKNOWN]


@pytest.mark.parametrize("text", ["cv1_" + "0" * 32, " tok", "a\nb", "x" * 256, "\udc80"])
def test_not_every_text_can_be_brought(desks: Desks, text: str) -> None:
    refused = brought(desks.crm, "ann", "ann@lee.org", text)
    assert refused.outcome == Outcome.REFUSED
    assert isinstance(refused.error, InvalidRequestError)


def test_the_sheet_has_to_confirm_what_the_index_says(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        ann, bob = desks.crm.tokens("ann", ANN)[1], desks.crm.tokens("bob", {"email": "bob@roe.org"})[0]
        engine = desks.vault.engine

        def swap(session: WriteSession) -> None:
            rows = dict(session.surrogates())
            hashes = [engine.index_keys.surrogate_hash(session, 1, text.encode()) for text in (ann, bob)]
            for keyed_hash, other in zip(hashes, reversed(hashes), strict=True):
                session.surrogate_put(keyed_hash, rows[other])

        engine.committer.submit(swap)
        assert desks.crm.denied([ann, bob]) == [Reason.TOKEN_UNKNOWN] * 2
    assert [each.split()[0] for each in findings(deployment)].count("INDEX_WRONG") == 2


def test_a_row_that_a_crash_left_is_in_nobodys_way(deployment: Deployment) -> None:
    """The index commits before the values: a write that ended between the two leaves a row."""
    with deployment.opened() as desks:
        desks.crm.tokens("ann", ANN)
        engine = desks.vault.engine

        def leave(session: WriteSession) -> None:
            keyed_hash = engine.index_keys.surrogate_hash(session, 1, b"tok-a")
            session.surrogate_put(keyed_hash, engine.book.value_key(1, 3))  # type: ignore[arg-type]

        engine.committer.submit(leave)
        assert desks.crm.denied(["tok-a"]) == [Reason.TOKEN_UNKNOWN]
    assert findings(deployment) == ["INDEX_ORPHAN 1 surrogates or tags that no customer has"]
    with deployment.opened() as desks:
        assert brought(desks.crm, "bob", "bob@roe.org", "tok-a").token == "tok-a"
        assert desks.crm.plain("tok-a") == "bob@roe.org"
    assert findings(deployment) == []


def test_an_index_of_before_surrogates_gets_its_tables(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        desks.crm.store("ann", {"name": "Ann"})
    with lmdb.open(str(index_path(deployment.data_dir, 1)), max_dbs=16, map_size=2**30) as environment:
        for name in (b"surrogates", b"changes"):
            with environment.begin(write=True) as transaction:
                transaction.drop(environment.open_db(name, txn=transaction))
    assert findings(deployment) == []
    with deployment.opened() as desks:
        assert desks.crm.read(desks.crm.tokens("ann", ANN)).values == list(ANN.values())


def test_a_class_without_surrogates_keeps_answering_for_those_it_gave(
    deployment: Deployment, tmp_path: Path
) -> None:
    with deployment.opened() as desks:
        email = desks.crm.tokens("ann", ANN)[1]
    toml = deployment.data_dir / "vault.toml"
    toml.write_text(toml.read_text().replace('[fields.email]\nsurrogate = "email"\n', ""))
    with replace(deployment).opened() as desks:
        assert desks.crm.plain(email) == ANN["email"]
        assert is_token_text(desks.crm.tokens("bob", {"email": "bob@roe.org"})[0])
