import pytest

from vault.consent.events import ConsentEvent, Kind
from vault.consent.standing import remaining_bases, standings, state_after
from vault.model.consent import ConsentState, LawfulBasis
from vault.policy.rules import Purpose

NONE, GIVEN, WITHDRAWN, OBJECTED = ConsentState
CONSENT, CONTRACT, OBLIGATION, VITAL, TASK, INTERESTS = LawfulBasis
ALL = {"*": tuple(LawfulBasis)}


def event(kind: Kind, time_ms: int = 1, **more: int) -> ConsentEvent:
    return ConsentEvent(kind, more.pop("purpose", 1), "marketing", time_ms, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([Kind.GIVEN], GIVEN),
        ([Kind.GIVEN, Kind.RENEWED], GIVEN),
        ([Kind.GIVEN, Kind.WITHDRAWN], WITHDRAWN),
        ([Kind.REFUSED], WITHDRAWN),
        ([Kind.GIVEN, Kind.EXPIRED], WITHDRAWN),
        ([Kind.GIVEN, Kind.OBJECTED], OBJECTED),
        ([Kind.OBJECTED, Kind.WITHDRAWN], OBJECTED),
        ([Kind.OBJECTED, Kind.REFUSED], OBJECTED),
        ([Kind.OBJECTED, Kind.GIVEN], GIVEN),
        ([Kind.WITHDRAWN, Kind.OBJECTED], OBJECTED),
        ([Kind.WITHDRAWN, Kind.GIVEN], GIVEN),
    ],
)
def test_the_last_word_counts_and_only_consent_lifts_an_objection(
    kinds: list[Kind], state: ConsentState
) -> None:
    assert standings([event(kind) for kind in kinds])[1].state is state
    found = NONE
    for kind in kinds:
        found = state_after(kind, found)
    assert found is state


def test_purposes_stand_by_themselves() -> None:
    found = standings([event(Kind.GIVEN), event(Kind.OBJECTED, purpose=40)])
    assert {number: each.state for number, each in found.items()} == {1: GIVEN, 40: OBJECTED}


def test_a_state_began_when_it_came_about_not_when_it_was_said_again() -> None:
    found = standings([event(Kind.GIVEN, 10), event(Kind.WITHDRAWN, 20), event(Kind.REFUSED, 30)])[1]
    assert found.at(100) == (WITHDRAWN, 20)
    assert standings([event(Kind.GIVEN, 10, acted_ms=5)])[1].at(100) == (GIVEN, 5)


def test_a_consent_is_over_at_its_end() -> None:
    given = standings([event(Kind.GIVEN, 10, expires_ms=50)])[1]
    assert [given.at(now) for now in (49, 50, 51)] == [(GIVEN, 10), (WITHDRAWN, 50), (WITHDRAWN, 50)]
    expired = standings([event(Kind.GIVEN, 10, expires_ms=50), event(Kind.EXPIRED, 90, expires_ms=50)])[1]
    assert (expired.at(100), expired.expires_ms) == ((WITHDRAWN, 50), 0)
    renewed = standings([event(Kind.GIVEN, 10, expires_ms=50), event(Kind.RENEWED, 20)])[1]
    assert renewed.at(60) == (GIVEN, 20)


@pytest.mark.parametrize(
    ("state", "direct_marketing", "bases"),
    [
        (NONE, False, (CONTRACT, OBLIGATION, VITAL, TASK, INTERESTS)),
        (GIVEN, True, (CONTRACT, OBLIGATION, VITAL, TASK, INTERESTS)),
        (WITHDRAWN, True, (CONTRACT, OBLIGATION, VITAL, TASK, INTERESTS)),
        (OBJECTED, False, (CONTRACT, OBLIGATION, VITAL)),
        (OBJECTED, True, ()),
    ],
)
def test_what_remains(state: ConsentState, direct_marketing: bool, bases: tuple[LawfulBasis, ...]) -> None:
    purpose = Purpose("Offers", bases=ALL, direct_marketing=direct_marketing)
    assert remaining_bases(purpose, "DE", state) == bases


def test_bases_are_those_of_the_jurisdiction() -> None:
    purpose = Purpose("Offers", bases={"DE": (CONSENT,), "*": (INTERESTS, CONSENT)})
    assert remaining_bases(purpose, "DE", WITHDRAWN) == ()
    assert remaining_bases(purpose, "US", WITHDRAWN) == (INTERESTS,)
