import pytest

from tests.scenarios.support.deployment import by_id
from vault.errors import InvalidRequestError, Reason, UnauthenticatedError
from vault.model.access import Reveal
from vault.store.layout import RowState, value_key

JANE = {"name": "Jane Doe", "email": "jane@example.com", "note": "likes tea"}
MASKS = ["J••• D•••", "j•••@e•••.com", "•••"]


@pytest.fixture
def tokens(desks) -> list[str]:
    return desks.crm.tokens("crm-1", JANE)


def test_the_same_tokens_are_plain_masked_or_nothing_by_purpose(desks, tokens):
    assert desks.crm.read(tokens, "support").values == list(JANE.values())
    marketing = desks.crm.read(tokens, "marketing")
    assert marketing.values == [*MASKS[:2], ""]
    assert list(marketing.reveals) == [Reveal.MASKED, Reveal.MASKED, Reveal.NONE]
    assert [(denial.index, denial.reason) for denial in marketing.denials] == [(2, Reason.PURPOSE_DENIED)]
    assert desks.crm.denied(tokens, "billing") == [Reason.PURPOSE_DENIED] * 3


def test_who_is_granted_masks_sees_masks(desks, tokens):
    assert desks.agent.read(tokens).values == MASKS


@pytest.mark.parametrize("purpose", ["", "nonsense", "SUPPORT", "support ", "support\0", "x" * 10_000])
def test_a_purpose_that_nobody_declared_is_denied(desks, tokens, purpose):
    assert desks.crm.denied(tokens, purpose) == [Reason.PURPOSE_DENIED] * 3


def test_who_is_granted_nothing_is_told_why_within_its_domain(desks, tokens):
    for purpose in ("support", "marketing", "billing", "nonsense"):
        assert desks.nobody.denied(tokens, purpose) == [Reason.PURPOSE_DENIED] * 3


def test_asking_for_plain_where_a_mask_is_granted_is_refused_rather_than_masked(desks, tokens):
    assert desks.agent.denied(tokens, "support", Reveal.PLAIN) == [Reason.REVEAL_DENIED] * 3
    assert desks.crm.read(tokens, "support", Reveal.PLAIN).values == list(JANE.values())


def test_a_mask_can_be_asked_for_where_plain_is_granted(desks, tokens):
    revealed = desks.crm.read(tokens, "support", Reveal.MASKED)
    assert revealed.values == MASKS
    assert list(revealed.reveals) == [Reveal.MASKED] * 3


def test_an_unknown_reveal_is_refused(desks, tokens):
    with pytest.raises(InvalidRequestError):
        desks.crm.read(tokens, "support", 7)  # type: ignore[arg-type]


def test_a_foreign_domains_token_cannot_be_told_from_a_guess(desks, tokens):
    guessed = "cv1_" + "5" * 32
    revealed = desks.partner.read([tokens[0], guessed])
    assert [denial.reason for denial in revealed.denials] == [Reason.TOKEN_UNKNOWN] * 2
    # And so it stays when there would be more to say.
    desks.crm.delete(tokens[1])
    desks.eraser.shred(by_id("crm-1"))
    assert desks.partner.denied(tokens) == [Reason.TOKEN_UNKNOWN] * 3
    assert desks.crm.denied(tokens) == [Reason.SHREDDED] * 3


def test_each_domain_reads_its_own_tokens_of_the_same_value(desks, tokens):
    translated = desks.vault.translate(desks.bridge.caller, tokens, "partner")
    assert list(translated.denials) == []
    assert not set(translated.tokens) & set(tokens)
    assert desks.partner.read(translated.tokens).values == list(JANE.values())
    assert desks.crm.denied(translated.tokens) == [Reason.TOKEN_UNKNOWN] * 3


def test_who_is_registered_nowhere_reads_nothing(desks, tokens):
    with pytest.raises(UnauthenticatedError):
        desks.of("stranger").read(tokens)


def test_a_mixed_batch_answers_each_item_by_itself_in_order(desks, tokens):
    (foreign,) = desks.partner.tokens("p-1", {"name": "Zoë"})
    (gone,) = desks.crm.tokens("crm-2", {"name": "Bob"})
    desks.eraser.shred(by_id("crm-2"))
    mixed = [tokens[0], foreign, "nonsense", gone, tokens[2], "cv1_" + "0" * 32, tokens[1]]
    revealed = desks.crm.read(mixed)
    assert revealed.values == ["Jane Doe", "", "", "", "likes tea", "", "jane@example.com"]
    assert [(denial.index, denial.reason) for denial in revealed.denials] == [
        (1, Reason.TOKEN_UNKNOWN),
        (2, Reason.TOKEN_MALFORMED),
        (3, Reason.SHREDDED),
        (5, Reason.TOKEN_UNKNOWN),
    ]


def test_a_restricted_customer_is_read_only_for_purposes_that_allow_it(desks, tokens):
    restrict(desks, 1)
    assert desks.crm.denied(tokens) == [Reason.RESTRICTED] * 3
    assert desks.agent.denied(tokens) == [Reason.RESTRICTED] * 3
    assert desks.crm.denied(tokens, "billing") == [Reason.PURPOSE_DENIED] * 3
    assert desks.crm.read(tokens, "legal_claims").values == list(JANE.values())


def restrict(desks, number: int) -> None:
    """Sets the state as a restriction will: a genuine row, sealed by the vault itself."""
    engine = desks.vault.engine

    def job(session):
        with engine.book.open(session, session, number) as customer:
            customer.row = customer.row.__class__.unpack(
                customer.row.pack()[:1] + bytes([RowState.RESTRICTED]) + customer.row.pack()[2:]
            )
            engine.book.save(session, customer)
        assert session.get(value_key(1, number))[1] == RowState.RESTRICTED

    engine.committer.submit(job)
