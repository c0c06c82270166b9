"""Random policies, every question they can be asked, and a second opinion on each answer.

The oracle reads the generated document itself and shares no code with the package.
"""

import json
from collections.abc import Mapping
from itertools import product
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vault.errors import Reason, VaultError
from vault.model import access as model
from vault.model.access import Action, Reveal
from vault.model.situation import Situation
from vault.policy.decision import DENIALS, AccessTable, PrincipalRecord
from vault.policy.document import parse_policy

CLASSES = {"name": 3, "email": 1, "iban": 200, "note": 255}
DOMAINS = {"crm": 4, "shop": 1, "erp": 255}
PURPOSES = {"support": 1, "billing": 2, "research": 3}
ROLES = ("clerk", "boss")
ANSWERS = (
    "PSEUDONYM", "COMPARE", "AGE_OVER", "COUNTRY", "EMAIL_DOMAIN", "POSTCODE_AREA", "CARD_BIN",
)  # fmt: skip
PRINCIPALS = ("admin", "crm-sales", "spiffe://example.org/ns/crm", 'Zoë "the tool"\\')

Document = Mapping[str, Any]


def some(names: Any) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(names)), unique=True)


def rules() -> dict[str, st.SearchStrategy[Any]]:
    value = st.sampled_from(["PLAIN", "MASKED"])
    answers = st.lists(st.sampled_from(ANSWERS), unique=True, min_size=1)
    both = st.tuples(value, answers).map(lambda parts: [parts[0], *parts[1]])
    one = st.sampled_from(ANSWERS)
    levels = st.dictionaries(st.sampled_from([*CLASSES, "*"]), st.one_of(value, one, answers, both))
    return {
        "domains": some(DOMAINS),
        "may": some(action.value for action in Action),
        "reveal": st.dictionaries(st.sampled_from(sorted(PURPOSES)), levels),
    }


@st.composite
def documents(draw: st.DrawFn) -> Document:
    purpose = st.fixed_dictionaries(
        {"description": st.just("Why")}, optional={"allow_restricted": st.booleans()}
    )
    principal = st.fixed_dictionaries({}, optional=rules() | {"roles": some(ROLES)})
    document = {
        "version": 1,
        "domains": {name: {} for name in DOMAINS},
        "purposes": {name: draw(purpose) for name in PURPOSES},
        "roles": {name: draw(st.fixed_dictionaries({}, optional=rules())) for name in ROLES},
        "principals": {name: draw(principal) for name in PRINCIPALS if draw(st.booleans())},
    }
    document["principals"]["keeper"] = {"may": ["admin"]}  # a policy without one is invalid
    return document


def as_toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(key)} = {as_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def sources(document: Document, principal: str) -> list[Document]:
    own = document["principals"].get(principal, {})
    return [own] + [document["roles"][role] for role in own.get("roles", [])]


def expected(
    document: Document, principal: str, purpose: str, field_class: str, wanted: Reveal, restricted: bool
) -> str:
    levels: set[str] = set()
    for source in sources(document, principal):
        lines = source.get("reveal", {}).get(purpose, {})
        granted = lines.get(field_class, lines.get("*", []))
        levels |= {granted} if isinstance(granted, str) else set(granted)
    values = levels & {"PLAIN", "MASKED"}
    told = wanted.name in levels or (
        wanted.name in ANSWERS and wanted.name != "PSEUDONYM" and "PLAIN" in levels
    )
    if not values and not told:
        return "PURPOSE_DENIED"
    if restricted and not document["purposes"][purpose].get("allow_restricted", False):
        return "RESTRICTED"
    if wanted.name in ANSWERS:
        return "PLAIN" if told else "REVEAL_DENIED"  # in a table PLAIN stands for what may be told
    if wanted == Reveal.MASKED:
        return "MASKED"
    if "PLAIN" in levels:
        return "PLAIN"
    return "REVEAL_DENIED" if wanted == Reveal.PLAIN else "MASKED"


def named(verdict: int) -> str:
    return DENIALS[verdict].value if verdict in DENIALS else Reveal(verdict).name


def outcome(table: AccessTable, principal: str) -> Reason | None:
    try:
        table.principal(principal)
    except VaultError as error:
        return error.reason
    return None


@settings(max_examples=25, deadline=None)
@given(
    document=documents(),
    registered=st.sets(st.sampled_from(PRINCIPALS)),
    revoked=st.sets(st.sampled_from(PRINCIPALS)),
    order=st.integers(0, 2**32),
)
def test_every_answer_is_the_oracles(
    document: Document, registered: set[str], revoked: set[str], order: int
) -> None:
    text = "\n".join(f"{key} = {as_toml(value)}" for key, value in document.items())
    registry = {
        name: PrincipalRecord(number, name, name in revoked)
        for number, name in enumerate(PRINCIPALS, start=1)
        if name in registered
    }
    table = AccessTable(parse_policy(text, CLASSES), registry, DOMAINS, PURPOSES, CLASSES)
    for principal in PRINCIPALS:
        if principal not in registered:
            assert outcome(table, principal) == Reason.UNAUTHENTICATED
            continue
        if principal in revoked:
            assert outcome(table, principal) == Reason.SUSPENDED
            continue
        check_reads(table, document, principal, Random(order))
        check_rest(table, document, principal)


def check_reads(access: AccessTable, document: Document, principal: str, order: Random) -> None:
    grants = access.principal(principal)
    questions = list(product([*PURPOSES, "undeclared"], CLASSES, Reveal, [False, True]))
    order.shuffle(questions)  # what is asked first must not matter to the caches
    for purpose, field_class, wanted, restricted in questions:
        door = grants.answers if wanted in model.ANSWERS else grants.reads
        table = door(purpose, wanted, None, 0).table(Situation(restricted=restricted))
        verdict = table[CLASSES[field_class]]
        assert named(verdict) == expected(document, principal, purpose, field_class, wanted, restricted)


def check_rest(table: AccessTable, document: Document, principal: str) -> None:
    grants = table.principal(principal)
    parts = sources(document, principal)
    domains = [name for part in parts for name in part.get("domains", [])]
    assert grants.domains == {DOMAINS[name] for name in domains}
    assert grants.default_domain == (DOMAINS[domains[0]] if domains else None)
    may = {name for part in parts for name in part.get("may", [])}
    assert {action.value for action in Action if grants.may(action)} == may
