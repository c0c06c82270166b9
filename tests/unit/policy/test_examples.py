"""The document's own rules and examples: what is refused, and where."""

import pytest

from vault.errors import PolicyInvalidError
from vault.policy.document import parse_policy
from vault.policy.examples import require_sound, run_examples

CLASSES = ("name", "email")
BASE = """version = 1
[domains.crm]
[purposes.support]
description = "Answer"
bases = {{ "*" = ["contract"] }}
[principals.admin]
may = ["admin"]
[principals.crm]
domains = ["crm"]
reveal.support."*" = "PLAIN"
"""


def document(rules: str = "", examples: str = "") -> str:
    head = BASE.replace("{{", "{").replace("}}", "}")
    own = f"rules = '''\n{rules}\n'''\n" if rules else ""
    return head.replace("version = 1\n", "version = 1\n" + own) + examples


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyInvalidError) as caught:
        require_sound(parse_policy(text, CLASSES), CLASSES)
    return str(caught.value).splitlines()


ANY = "(principal, action, resource)"
READS = '(principal, action in [Action::"reveal_plain", Action::"reveal_masked"], resource)'


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (f'\n@id("a") permit {ANY}', "line 4: not valid Cedar: unexpected end of input"),
        (f"permit {ANY};", 'line 3: needs an @id("...")'),
        (f'@id("guard.basis") forbid {ANY};', 'line 3: needs an @id("...")'),
        (f'@id("a") permit {ANY};\n@id("a") permit {ANY};', 'line 4: the id "a" stands there twice'),
        (f'@id("a") @reson("x") permit {ANY};', "line 3: unknown annotation @reson; known: id, reason"),
        (f'@id("a") @reason("OBJECTED") permit {ANY};', "line 3: only what forbids has a @reason"),
        (f'@id("a") @reason("NO") forbid {ANY};', "line 3: a @reason is one of APPROVAL_REQUIRED"),
        ('@id("a") permit (principal, action == Action::"read", resource);', "line 3: unrecognized action"),
        (f'@id("a") forbid {READS} when {{ context.shoe }};', "line 3: attribute `shoe` "),
        (f'@id("a") forbid {READS} when {{ context.basis == Basis::"consent" }};', "line 3: unable to guar"),
        ('@id("a") permit (principal in Role::"x", action, resource);', 'line 3: there is no Role::"x"'),
        ('@id("a") permit (principal == ?principal, action, resource);', "line 3: not valid Cedar: a policy"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line(rules: str, problem: str) -> None:
    assert problems(document(rules))[0].startswith(f"rules: {problem}")


RULE = """@id("no_mail_in_france") @reason("REGION_DENIED")
@because("the agency says so") @change("another country")
forbid (principal, action == Action::"reveal_plain", resource == FieldClass::"email")
when { context.jurisdiction == "FR" };
@id("no_export") forbid (principal, action == Action::"export", resource);"""
EXAMPLE = """
[[examples]]
principal = "crm"
purpose = "support"
field_class = "email"
jurisdiction = "{place}"
reveal = "{reveal}"
expect = "{expect}"
"""


@pytest.mark.parametrize(
    ("place", "reveal", "expect"),
    [("DE", "BEST", "PLAIN"), ("FR", "BEST", "MASKED"), ("FR", "PLAIN", "REGION_DENIED")],
)
def test_an_own_rule_bears_on_reads(place: str, reveal: str, expect: str) -> None:
    text = document(RULE, EXAMPLE.format(place=place, reveal=reveal, expect=expect))
    (outcome,) = run_examples(parse_policy(text, CLASSES), CLASSES)
    assert outcome.passed, outcome
    require_sound(parse_policy(text, CLASSES), CLASSES)


@pytest.mark.parametrize(
    ("place", "reveal", "expect"),
    [
        ("DE", "COMPARE", "COMPARE"),
        ("FR", "COMPARE", "REGION_DENIED"),  # what the plain value implied goes with it
        ("FR", "PSEUDONYM", "REVEAL_DENIED"),
        ("CH", "COMPARE", "OBJECTED"),
        ("CH", "BEST", "PLAIN"),
        ("US", "BEST", "RESTRICTED"),
        ("US", "COMPARE", "RESTRICTED"),
    ],
)
def test_own_rules_bear_on_answers(place: str, reveal: str, expect: str) -> None:
    rules = f"""{RULE}
@id("no_comparing") @reason("OBJECTED")
forbid (principal, action == Action::"answer_compare", resource) when {{ context.jurisdiction == "CH" }};
@id("nothing") @reason("RESTRICTED")
forbid (principal, action in Action::"disclose", resource) when {{ context.jurisdiction == "US" }};"""
    text = document(rules, EXAMPLE.format(place=place, reveal=reveal, expect=expect))
    require_sound(parse_policy(text, CLASSES), CLASSES)


def test_an_example_that_fails_refuses_the_policy_and_says_why() -> None:
    (line,) = problems(document(RULE, EXAMPLE.format(place="FR", reveal="PLAIN", expect="PLAIN")))
    assert line.startswith(
        "examples.1: expected PLAIN, got REGION_DENIED: crm does not read email for support"
    )
    assert "the agency says so (no_mail_in_france)" in line


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('principal = "crm"\naction = "write"', "examples.1.expect: is missing"),
        ('principal = "crm"\naction = "read"\nexpect = "ALLOWED"', "examples.1.action: unknown action read"),
        (
            'principal = "x"\naction = "write"\nexpect = "ALLOWED"',
            "examples.1.principal: unknown principal x",
        ),
        ('principal = "crm"\naction = "write"\nexpect = "PLAIN"', "examples.1.expect: unknown answer PLAIN"),
        (
            'principal = "crm"\npurpose = "support"\nfield_class = "shoe"\nexpect = "PLAIN"',
            "examples.1.field_class: unknown field class shoe",
        ),
        (
            'principal = "crm"\npurpose = "support"\nfield_class = "name"\nexpect = "PLAIN"\ntime = 3',
            "examples.1.time: unknown key",
        ),
    ],
)
def test_a_wrong_example_is_a_problem(lines: str, problem: str) -> None:
    assert problems(document(examples=f"[[examples]]\n{lines}\n"))[0].startswith(problem)


def test_an_act_may_be_forbidden() -> None:
    text = document(RULE, '[[examples]]\nprincipal = "admin"\naction = "export"\nexpect = "ACTION_DENIED"\n')
    require_sound(parse_policy(text, CLASSES), CLASSES)


ACT = """
[[examples]]
principal = "{}"
action = "{}"
expect = "{}"
"""


def test_an_example_of_an_act_says_who_may_and_why() -> None:
    text = document(
        examples=ACT.format("admin", "admin", "ALLOWED") + ACT.format("crm", "export", "ACTION_DENIED")
    )
    assert [each.explanation for each in run_examples(parse_policy(text, CLASSES), CLASSES)] == [
        "admin may admin, because of principals.admin.may.admin.",
        "crm may not export, for no line of the policy grants it.",
    ]


def test_a_read_that_an_approval_opens_says_so() -> None:
    opened = EXAMPLE.format(place="DE", reveal="BEST", expect="PLAIN") + "break_glass = true\n"
    text = document(examples=opened)
    emergency = text.replace('description = "Answer"', 'description = "Answer"\nbreak_glass = true')
    grant = 'crm reads name for support in plain, because of principals.crm.reveal.support."*"'
    for policy, told in ((text, f"{grant}."), (emergency, f"{grant}, while an approval is in force.")):
        (outcome,) = run_examples(parse_policy(policy, CLASSES), CLASSES)
        assert outcome.explanation.replace("email", "name") == told


def test_a_consent_that_is_no_text_is_refused() -> None:
    wrong = EXAMPLE.format(place="DE", reveal="BEST", expect="PLAIN") + "consent = true\n"
    assert problems(document(examples=wrong)) == [
        "examples.1.consent: has to be text in quotes; known: given, none, objected, withdrawn"
    ]
