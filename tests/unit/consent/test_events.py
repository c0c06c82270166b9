from dataclasses import replace

import pytest

from vault.consent.events import NO_HASH, Actor, ConsentEvent, Kind, is_locale, require_chain
from vault.erasure.canonical import canonical
from vault.errors import IntegrityFailedError

FULL = ConsentEvent(
    kind=Kind.RENEWED,
    purpose=33,
    purpose_name="marketing",
    time_ms=1_767_225_600_000,
    seq=2,
    previous=bytes(range(32)),
    notice_version="2026-03 – neu",
    text_sha256=bytes(32),
    locale="zh-Hant-TW",
    method="web_form",
    acted=Actor.GUARDIAN,
    principal="crm",
    acted_ms=1_767_225_500_000,
    expires_ms=1_798_761_600_000,
    jurisdiction="DE",
)
BARE = ConsentEvent(Kind.WITHDRAWN, 1, "support", 1)


def chain(*events: ConsentEvent) -> list[ConsentEvent]:
    chained, previous = [], NO_HASH
    for seq, event in enumerate(events, 1):
        chained.append(replace(event, seq=seq, previous=previous))
        previous = chained[-1].digest()
    return chained


@pytest.mark.parametrize("event", [FULL, BARE])
def test_an_event_is_read_back_as_it_was(event: ConsentEvent) -> None:
    assert ConsentEvent.unpack(event.pack()) == event


@pytest.mark.parametrize("name", list(BARE.to_json()))
def test_an_event_without_one_of_its_members_is_refused(name: str) -> None:
    document = FULL.to_json()
    del document[name]
    with pytest.raises(IntegrityFailedError):
        ConsentEvent.unpack(canonical(document))


@pytest.mark.parametrize("name", list(BARE.to_json()))
@pytest.mark.parametrize("wrong", [[], {}, "", -1.0, True, None])
def test_a_member_of_another_type_is_refused_or_is_another_event(name: str, wrong: object) -> None:
    document = FULL.to_json() | {name: wrong}
    try:
        plaintext = canonical(document)  # type: ignore[arg-type]
    except ValueError:
        return  # a fraction has no canonical form
    try:
        event = ConsentEvent.unpack(plaintext)
    except IntegrityFailedError:
        return
    assert event.pack() == plaintext
    assert event != FULL


def test_a_chain_holds_as_it_was_made_and_in_no_other_way() -> None:
    events = chain(BARE, FULL, BARE, FULL)
    head = events[-1].digest()
    require_chain(events, 4, head)
    require_chain([], 0, NO_HASH)
    first, second, third, last = events
    for touched in (
        events[:-1],
        events[1:],
        [first, third, last],
        [second, first, third, last],
        [first, replace(second, method="verbal"), third, last],
        [first, second, third, replace(last, expires_ms=0)],
        [*events, last],
        [],
    ):
        with pytest.raises(IntegrityFailedError):
            require_chain(touched, 4, head)
    with pytest.raises(IntegrityFailedError):
        require_chain(events, 3, head)
    with pytest.raises(IntegrityFailedError):
        require_chain(events, 4, third.digest())


@pytest.mark.parametrize(
    ("text", "good"),
    [("de", True), ("de-AT", True), ("zh-Hant-TW", True), ("x" * 36, False), ("de_AT", False), ("", False),
     ("d", False), ("de-", False), ("de\n", False)],
)  # fmt: skip
def test_locales(text: str, good: bool) -> None:
    assert is_locale(text) is good
