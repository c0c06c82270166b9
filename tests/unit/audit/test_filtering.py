"""Every filter against records that the test made: sealed or not, newest first and in the order recorded."""

import itertools
import random
from dataclasses import dataclass

import pytest

from tests.unit.audit.samples import ALICE, BOB, NOW, writer
from tests.unit.audit.sealed.samples import seal
from vault.audit.filtering import EVERYTHING, Named, Wanted, told_in
from vault.audit.reader import AccessFilter, list_access
from vault.audit.recorded import list_recorded
from vault.audit.records import (
    BREAK_GLASS,
    MASKED,
    PLAIN,
    ActRecord,
    ReadAction,
    encode_act,
    encode_read,
    read_body_chunk,
    read_item,
    reason_code,
    unknown_counts,
)
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.state import State
from vault.audit.sealed.traits import ROW, row_at
from vault.audit.sealed.upkeep import Upkeep
from vault.errors import Reason
from vault.model.access import Decision

DENIED = reason_code(Reason.CONSENT_MISSING)
OUTCOMES = {PLAIN: Decision.PLAIN, MASKED: Decision.MASKED, DENIED: Decision.DENIED}
ACTS = ("ApplyPolicy", "ShredCustomer", "DeleteValue", "RecordConsent")
PURPOSES = {1: "support", 2: "billing", 65: "fraud"}  # 1 and 65 have the same bit
CLASSES = {1: "email", 2: "phone", 3: "iban"}


@dataclass(frozen=True)
class Made:
    """What a record says, as the test knows it."""

    seq: int
    time_ms: int
    principal: int
    action: str
    items: tuple[tuple[bytes, int, int], ...]  # locator, class, outcome
    unknown: bool
    purpose: str
    about: str  # field class of an act
    denied: bool = False


def a_read(rng: random.Random, seq: int, time_ms: int) -> tuple[Made, bytes]:
    action, purpose = (
        rng.choice([ReadAction.DETOKENIZE, ReadAction.EXPORT_CUSTOMER]),
        rng.choice(list(PURPOSES)),
    )
    groups, items = [], []
    for locator in rng.sample([ALICE, BOB], rng.randint(0, 2)):
        mine = [
            (locator, rng.choice(list(CLASSES)), rng.choice(list(OUTCOMES))) for _ in range(rng.randint(1, 3))
        ]
        items += mine
        groups.append(read_body_chunk(locator, b"".join(read_item(1, each, code) for _, each, code in mine)))
    unknown = rng.random() < 0.2
    counts = unknown_counts({Reason.TOKEN_UNKNOWN: 2}) if unknown else b""
    principal, glass = rng.randrange(5), rng.choice([0, BREAK_GLASS])
    frame = encode_read(seq, time_ms, principal, action | glass, purpose, b"".join(groups), counts)
    name = "Detokenize" if action is ReadAction.DETOKENIZE else "ExportCustomer"
    return Made(seq, time_ms, principal, name, tuple(items), unknown, PURPOSES[purpose], ""), frame


def an_act(rng: random.Random, seq: int, time_ms: int) -> tuple[Made, bytes]:
    action, denied, principal = rng.choice(ACTS), rng.random() < 0.3, rng.randrange(5)
    locators = tuple(rng.sample([ALICE, BOB], rng.randint(0, 2)))
    about = rng.choice(["", *CLASSES.values()])
    purpose = rng.choice(["", *PURPOSES.values()])
    detail = ",".join(
        f'"{what}":"{name}"' for what, name in (("field_class", about), ("purpose", purpose)) if name
    )
    outcome = DENIED if denied else 0
    frame = encode_act(
        ActRecord(seq, time_ms, principal, action, "", outcome, locators, f"{{{detail}}}" if detail else "")
    )
    items = tuple((locator, 0, 0) for locator in locators)
    return Made(seq, time_ms, principal, action, items, False, purpose, about, denied), frame


def answers(made: Made, wanted: Wanted) -> bool:
    """Whether a record answers a filter, said again in plain words."""
    is_act = made.action in ACTS
    if wanted.principal_id is not None and made.principal != wanted.principal_id:
        return False
    if wanted.actions and made.action not in wanted.actions:
        return False
    if wanted.purpose is not None and made.purpose != wanted.purpose.name:
        return False
    if is_act:
        concerned = wanted.locators is None or any(each[0] in wanted.locators for each in made.items)
        about = wanted.field_class is None or made.about == wanted.field_class.name
        return (
            concerned
            and about
            and (wanted.decision is None or (wanted.decision is Decision.DENIED and made.denied))
        )
    anybody = wanted.locators is None and wanted.field_class is None
    if anybody and (wanted.decision is None or (wanted.decision is Decision.DENIED and made.unknown)):
        return True
    return any(
        (wanted.locators is None or locator in wanted.locators)
        and (wanted.field_class is None or field_class == wanted.field_class.number)
        and (wanted.decision is None or OUTCOMES[outcome] is wanted.decision)
        for locator, field_class, outcome in made.items
    )


FILTERS = [
    {"locators": locators, "principal_id": principal, "field_class": field_class, "purpose": purpose}
    | {"actions": actions, "decision": decision}
    for locators, principal, field_class, purpose, actions, decision in itertools.product(
        (None, frozenset([ALICE])),
        (None, 3),
        (None, Named(3, "iban")),
        (None, Named(1, "support")),
        (frozenset(), frozenset(["Detokenize", "ShredCustomer"])),
        (None, *Decision),
    )
]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of which the older part is sealed, indexed and described; and what is in it."""
    directory = tmp_path_factory.mktemp("log")
    rng = random.Random(11)
    made = []
    workers = [writer(directory, f"w{n}", segment_bytes=16 * 1024) for n in range(2)]
    for seq in range(1, 1400):
        one, frame = (an_act if rng.random() < 0.2 else a_read)(rng, seq, NOW + seq // 2)
        made.append(one)
        rng.choice(workers).append(frame)
        if seq == 1100:
            seal(directory)
            state = State.read(directory / TREE)
            upkeep = Upkeep(TreeFiles(directory / TREE))
            while upkeep.step(state, eager=True):
                pass
    yield directory, made
    for each in workers:
        each.close()


@pytest.mark.parametrize("wanted", FILTERS)
def test_a_list_holds_exactly_what_answers_the_filter(log, wanted):
    directory, made = log
    expected = {each.seq for each in made if answers(each, Wanted(**wanted))}
    found, token = [], ""
    while True:
        page = list_access(directory, AccessFilter(page_size=200, page_token=token, **wanted))
        found += page.accesses
        token = page.next_page_token
        if not token:
            break
    assert {each.seq for each in found} == expected
    assert len(found) == len(expected)
    assert [each.time_ms for each in found] == sorted((each.time_ms for each in found), reverse=True)
    as_recorded = list_recorded(directory, AccessFilter(page_size=1000, **wanted))
    seqs, token = [each.seq for each in as_recorded.accesses], as_recorded.next_page_token
    while not as_recorded.is_complete:
        as_recorded = list_recorded(directory, AccessFilter(page_size=1000, page_token=token, **wanted))
        seqs, token = seqs + [each.seq for each in as_recorded.accesses], as_recorded.next_page_token
    assert sorted(seqs) == sorted(expected)


def test_counts_are_of_the_customer_and_the_field_class_that_were_asked_for(log):
    directory, made = log
    for locators, number in itertools.product((None, frozenset([BOB])), (None, 2)):
        wanted = AccessFilter(
            locators=locators,
            field_class=None if number is None else Named(number, CLASSES[number]),
            actions=frozenset(["Detokenize"]),
            page_size=1000,
        )
        by_seq = {each.seq: each for each in made}
        for access in list_access(directory, wanted).accesses:
            mine = [
                outcome
                for locator, field_class, outcome in by_seq[access.seq].items
                if (locators is None or locator in locators) and number in (None, field_class)
            ]
            unknown = 2 * (by_seq[access.seq].unknown and locators is None and number is None)
            assert (access.values_plain, access.values_masked, access.values_denied) == (
                mine.count(PLAIN),
                mine.count(MASKED),
                mine.count(DENIED) + unknown,
            )


def test_acts_of_nobody_registered_are_found_by_name(tmp_path):
    one = writer(tmp_path)
    one.append(encode_act(ActRecord(1, NOW, 0, "RotateSigningKey", "local operator")))
    one.append(encode_act(ActRecord(2, NOW, 0, "RotateSigningKey", "stranger", DENIED)))
    one.append(encode_act(ActRecord(3, NOW, 4, "RotateEpoch")))
    one.append(encode_read(4, NOW, 0, 1, 1, b""))
    assert [a.seq for a in list_access(tmp_path, AccessFilter(principal="local operator")).accesses] == [1]
    one.close()


def test_a_detail_that_is_no_object_says_nothing():
    assert [told_in(text) for text in ("", "[1]", "{", "7")] == [{}, {}, {}, {}]
    assert EVERYTHING.matches(ActRecord(1, 1, 1, "Act", detail="{"))


def test_bundles_without_a_match_are_passed_over_and_unknown_ones_are_not(tmp_path):
    one = writer(tmp_path)
    for seq in range(1, 1025):
        rare = 256 < seq <= 512
        item = read_item(1, 3 if rare else 1, MASKED if rare else PLAIN)
        action = ReadAction.EXPORT_CUSTOMER if rare else ReadAction.DETOKENIZE
        one.append(encode_read(seq, NOW + seq, 7, action, 2 if rare else 1, read_body_chunk(ALICE, item)))
    one.close()
    seal(tmp_path)
    files = TreeFiles(tmp_path / TREE)
    asked = [
        AccessFilter(field_class=Named(3, "iban"), page_size=1000),
        AccessFilter(purpose=Named(2, "billing"), page_size=1000),
        AccessFilter(actions=frozenset(["ExportCustomer"]), page_size=1000),
        AccessFilter(decision=Decision.MASKED, page_size=1000),
    ]
    before = [[each.seq for each in list_access(tmp_path, wanted).accesses] for wanted in asked]
    assert before == [list(range(512, 256, -1))] * 4
    upkeep = Upkeep(files)
    while upkeep.step(State.read(files.root), eager=True):
        pass
    rows = SealedLog.open(tmp_path).traits()
    assert len(rows) == 4 * ROW.size
    for wanted in asked:
        assert [row_at(rows, bundle).may_hold(wanted) for bundle in range(5)] == [
            False,
            True,
            False,
            False,
            True,
        ]
    for bundle in (0, 2, 3):  # what is passed over is not read
        (files.root / "tile" / "entries" / f"00{bundle}.gz").unlink()
    for wanted in asked:
        assert [each.seq for each in list_access(tmp_path, wanted).accesses] == before[0]
