"""Each rule of the document: a policy that breaks it, beside the nearest one that does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import PolicyInvalidError
from vault.model.access import Action, Reveal
from vault.policy.document import (
    MAX_DOCUMENT_BYTES,
    MAX_DOMAINS,
    MAX_DOTS_PER_LINE,
    MAX_MESSAGE_CHARACTERS,
    parse_policy,
)
from vault.policy.rules import Grant, Purpose

CLASSES = ("name", "email", "iban")
BASE = """
version = 1
[domains.crm]
[purposes.support]
description = "Answer questions"
[principals.admin]
may = ["admin"]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyInvalidError) as caught:
        parse_policy(text, CLASSES)
    return str(caught.value).splitlines()


def test_everything_that_a_policy_can_say() -> None:
    policy = parse_policy(
        """
        version = 1
        [domains.crm]
        description = "The CRM"
        [domains.shop]
        [purposes.support]
        description = "Answer questions"
        [purposes.legal_claims]
        description = "Defend against claims"
        allow_restricted = true
        [roles.reader]
        domains = ["shop"]
        may = ["inspect"]
        [roles.reader.reveal.support]
        name = "MASKED"
        email = "PLAIN"
        [principals."spiffe://example.org/crm"]
        roles = ["reader"]
        domains = ["crm"]
        may = ["write", "admin"]
        [principals."spiffe://example.org/crm".reveal.support]
        name = "PLAIN"
        "*" = "MASKED"
        """,
        CLASSES,
    )
    assert policy.domains == {"crm": "The CRM", "shop": ""}
    assert policy.purposes == {
        "support": Purpose("Answer questions"),
        "legal_claims": Purpose("Defend against claims", allow_restricted=True),
    }
    rules = policy.principals["spiffe://example.org/crm"]
    assert rules.domains == ("crm", "shop")
    assert rules.may == {Action.WRITE, Action.ADMIN, Action.INSPECT}
    own = 'principals."spiffe://example.org/crm".reveal.support.'
    assert rules.grants["support"] == {
        "name": Grant(Reveal.PLAIN, own + "name"),
        "email": Grant(Reveal.PLAIN, "roles.reader.reveal.support.email"),
        "*": Grant(Reveal.MASKED, own + '"*"'),
    }


def test_a_named_class_is_not_lowered_by_the_line_of_another_role() -> None:
    policy = parse_policy(
        BASE
        + """
        [roles.wide.reveal.support]
        "*" = "PLAIN"
        [roles.narrow.reveal.support]
        iban = "MASKED"
        [principals.both]
        roles = ["narrow", "wide"]
        """,
        CLASSES,
    )
    wide = Grant(Reveal.PLAIN, 'roles.wide.reveal.support."*"')
    assert policy.principals["both"].grant("support", "iban") == wide


def test_answers_of_several_roles_are_united_whatever_the_values() -> None:
    policy = parse_policy(
        BASE
        + """
        [roles.analyst.reveal.support]
        email = ["PSEUDONYM", "COMPARE"]
        [roles.clerk.reveal.support]
        email = ["MASKED", "COUNTRY"]
        "*" = "PSEUDONYM"
        [principals.both]
        roles = ["analyst", "clerk"]
        """,
        CLASSES,
    )
    mail = policy.principals["both"].grant("support", "email")
    answers = {Reveal.PSEUDONYM, Reveal.COMPARE, Reveal.COUNTRY}
    assert mail == Grant(Reveal.MASKED, "roles.clerk.reveal.support.email", frozenset(answers))
    other = policy.principals["both"].grant("support", "iban")
    assert other is not None
    assert other.levels == (Reveal.PSEUDONYM,)
    assert policy.roles["clerk"].grants["support"]["email"].levels == (Reveal.MASKED, Reveal.COUNTRY)


BROKEN = [
    # what it is, addition to BASE, its nearest valid form, the problem
    ("root key", "[principal.x]", "[principals.x]", "principal: unknown key"),
    (
        "domain key",
        "[domains.a]\nname = 'x'",
        "[domains.a]\ndescription = 'x'",
        "domains.a.name: unknown key",
    ),
    ("domain name", "[domains.A]", "[domains.a]", "domains.A: a name is"),
    ("domain type", "[domains]\na = 1", "[domains.a]", "domains.a: has to be a table"),
    (
        "empty description",
        "[domains.a]\ndescription = ' '",
        "[domains.a]\ndescription = 'x'",
        "domains.a.description: has to be text",
    ),
    (
        "purpose without description",
        "[purposes.a]",
        "[purposes.a]\ndescription = 'x'",
        "purposes.a: needs a description",
    ),
    (
        "purpose name",
        "[purposes.a-b]\ndescription = 'x'",
        "[purposes.a_b]\ndescription = 'x'",
        "purposes.a-b: a name is",
    ),
    (
        "purpose key",
        "[purposes.a]\ndescription = 'x'\nrestricted = true",
        "[purposes.a]\ndescription = 'x'\nallow_restricted = true",
        "purposes.a.restricted: unknown key",
    ),
    (
        "purpose flag",
        "[purposes.a]\ndescription = 'x'\nallow_restricted = 1",
        "[purposes.a]\ndescription = 'x'\nallow_restricted = false",
        "purposes.a.allow_restricted: has to be true or false",
    ),
    ("role name", "[roles.A]", "[roles.a]", "roles.A: a name is"),
    (
        "role of a role",
        "[roles.a]\nroles = []",
        "[roles.a]\ndomains = []",
        "roles.a.roles: unknown key; known: domains, may, reveal",
    ),
    (
        "principal key",
        "[principals.x]\ncan = []",
        "[principals.x]\nmay = []",
        "principals.x.can: unknown key",
    ),
    ("empty name", '[principals.""]', '[principals."x"]', 'principals."": a principal\'s name is'),
    ("outer space", '[principals."x "]', '[principals."x y"]', 'principals."x ": a principal\'s name is'),
    (
        "control",
        '[principals."x\\n"]',
        '[principals."xn"]',
        'principals."x\\U0000000A": a principal\'s name is',
    ),
    ("invisible", '[principals."x\\u200B"]', '[principals."x\\u00DF"]', 'principals."x\\U0000200B": a prin'),
    ("long name", f'[principals."{"x" * 256}"]', f'[principals."{"x" * 255}"]', 'principals."xxxx'),
    (
        "action",
        "[principals.x]\nmay = ['read']",
        "[principals.x]\nmay = ['write']",
        "principals.x.may: unknown action read; known: admin, approve, audit",
    ),
    (
        "action's type",
        "[principals.x]\nmay = [1]",
        "[principals.x]\nmay = ['shred']",
        "principals.x.may: has to be a list of actions, each in quotes",
    ),
    (
        "action not in a list",
        "[principals.x]\nmay = 'write'",
        "[principals.x]\nmay = ['write']",
        "principals.x.may: has to be a list of actions",
    ),
    (
        "action twice",
        "[principals.x]\nmay = ['write', 'write']",
        "[principals.x]\nmay = ['write', 'shred']",
        "principals.x.may: action write stands there twice",
    ),
    (
        "domain undeclared",
        "[principals.x]\ndomains = ['erp']",
        "[principals.x]\ndomains = ['crm']",
        "principals.x.domains: unknown domain erp; known: crm",
    ),
    (
        "role undeclared",
        "[principals.x]\nroles = ['r']",
        "[principals.x]\nroles = ['r']\n[roles.r]",
        "principals.x.roles: unknown role r; none is declared",
    ),
    (
        "purpose undeclared",
        "[principals.x.reveal.sales]",
        "[principals.x.reveal.support]",
        "principals.x.reveal.sales: unknown purpose; known: support",
    ),
    (
        "class undeclared",
        "[roles.x.reveal.support]\nemial = 'PLAIN'",
        "[roles.x.reveal.support]\nemail = 'PLAIN'",
        "roles.x.reveal.support.emial: unknown field class; known: email, iban, name",
    ),
    (
        "level",
        "[principals.x.reveal.support]\n'*' = 'masked'",
        "[principals.x.reveal.support]\n'*' = 'MASKED'",
        'principals.x.reveal.support."*": has to be "PLAIN", "MASKED" or a list of',
    ),
    (
        "level's type",
        "[principals.x.reveal.support]\nname = 2",
        "[principals.x.reveal.support]\nname = 'PLAIN'",
        'principals.x.reveal.support.name: has to be "PLAIN", "MASKED" or a list of',
    ),
    *[
        (
            f"answers {wrong}",
            f"[principals.x.reveal.support]\nname = {wrong}",
            "[principals.x.reveal.support]\nname = ['MASKED', 'COMPARE']",
            'principals.x.reveal.support.name: has to be "PLAIN", "MASKED" or a list of answers',
        )
        for wrong in (
            "[]",
            "['PLAIN', 'MASKED']",
            "['COMPARE', 'COMPARE']",
            "['BEST']",
            "['AGE']",
            "[2]",
            "[['COMPARE']]",
        )
    ],
    (
        "reveal without classes",
        "[principals.x.reveal]\nsupport = 'PLAIN'",
        "[principals.x.reveal]\nsupport = { name = 'PLAIN' }",
        "principals.x.reveal.support: has to be a table",
    ),
]


@pytest.mark.parametrize(
    ("broken", "valid", "problem"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_one_broken_rule_is_the_one_problem(broken: str, valid: str, problem: str) -> None:
    assert parse_policy(BASE + valid, CLASSES).administrators == {"admin"}
    (line,) = problems(BASE + broken)
    assert line.startswith(problem)


@pytest.mark.parametrize("version", ["2", "true", "1.0", '"1"'])
def test_the_version_is_the_number_one(version: str) -> None:
    assert problems(BASE.replace("version = 1", f"version = {version}")) == ["version: has to be 1"]


def test_the_version_is_required() -> None:
    assert problems(BASE.replace("version = 1", "")) == ["version: has to be 1"]


@pytest.mark.parametrize("section", ["domains", "purposes", "roles", "principals"])
def test_a_section_is_a_table(section: str) -> None:
    assert f"{section}: has to be a table" in problems(f"version = 1\n{section} = 3")


def test_somebody_has_to_hold_admin() -> None:
    (line,) = problems(BASE.replace('["admin"]', '["audit"]'))
    assert line.startswith("principals: nobody may")


def test_admin_may_come_from_a_role() -> None:
    text = BASE.replace('may = ["admin"]', 'roles = ["boss"]') + '[roles.boss]\nmay = ["admin"]'
    assert parse_policy(text, CLASSES).administrators == {"admin"}


def test_every_problem_is_listed() -> None:
    text = BASE + "[domains.A]\n[purposes.p]\n[principals.x]\nmay = ['x']\ndomains = ['x']\n[x]"
    assert sorted(line.split(":")[0] for line in problems(text)) == [
        "domains.A",
        "principals.x.domains",
        "principals.x.may",
        "purposes.p",
        "x",
    ]


def test_a_flood_of_problems_is_cut_and_counted() -> None:
    lines = problems(BASE + "".join(f"[domains.D{i}]\n" for i in range(200)))
    assert sum(map(len, lines)) < MAX_MESSAGE_CHARACTERS + 20
    assert lines[-1] == f"and {200 - (len(lines) - 1)} more"


def test_a_token_has_room_for_255_domains() -> None:
    text = BASE + "".join(f"[domains.d{i}]\n" for i in range(MAX_DOMAINS - 1))
    assert len(parse_policy(text, CLASSES).domains) == MAX_DOMAINS
    assert problems(text + "[domains.one_more]") == ["domains: 256 domains; the limit is 255"]


def test_a_syntax_error_names_its_line() -> None:
    (line,) = problems("version = 1\n[domains.crm\n")
    assert line.startswith("not valid TOML: ")
    assert "at line 2" in line


def test_the_size_is_limited_in_bytes() -> None:
    room = MAX_DOCUMENT_BYTES - len(BASE.encode())
    assert parse_policy(BASE + "#" * room, CLASSES).administrators
    assert problems(BASE + "#" + "é" * (room // 2)) == [
        f"the document has {len(BASE) + 1 + room // 2 * 2} bytes; the limit is {MAX_DOCUMENT_BYTES}"
    ]


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000], ids=["nesting", "number"])
def test_what_the_parser_cannot_hold_is_a_problem_and_not_a_crash(text: str) -> None:
    assert problems(text) == ["not valid TOML: a number is too long or the nesting too deep"]


def test_a_key_of_many_parts_is_refused_before_the_parser_sees_it() -> None:
    key = ".".join("a" for _ in range(MAX_DOTS_PER_LINE + 1))
    assert problems(f"{BASE}[{key}]")[0].startswith("a: unknown key")
    number = BASE.count("\n") + 1
    assert problems(f"{BASE}[a.{key}]") == [f"line {number} has more than 64 dots; break it up"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for document in (text, BASE + text):
        try:
            policy = parse_policy(document, CLASSES)
        except PolicyInvalidError:
            continue
        assert policy.administrators == {"admin"}
