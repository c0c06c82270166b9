"""The Cedar engine, and nothing else imports it.

Policies are compiled or shipped by this package, or stand in the document's `rules`, where each needs an
`@id`. All are held against the schema; an evaluation that fails all the same raises.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

import cedarpy

from vault.errors import Reason, VaultError
from vault.model.ids import is_name
from vault.policy.verdicts import DENIALS

ANNOTATIONS: Final = ("id", "reason", "because", "change")
_CONTEXT: Final = {"Var": "context"}
_LEXEMES: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|;|\n|[^";/\n]+|.', re.DOTALL)


class Question(NamedTuple):
    """May the principal of a `Rulebook` do this? `context` is JSON."""

    action: str
    resource: tuple[str, str]  # type, id
    context: str = "{}"


class Ruling(NamedTuple):
    """The ids of the policies that permit something, and of those that forbid it."""

    permits: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether it may be done: something permits it, and nothing forbids it."""
        return bool(self.permits) and not self.forbids


class Rule(NamedTuple):
    """One policy as it is written."""

    id: str
    effect: str  # permit or forbid
    annotations: Mapping[str, str]
    text: str
    line: int  # in the text that it was found in, from 1
    mentions: frozenset[str]  # attributes
    entities: frozenset[tuple[str, str]]  # type, id
    whole_context: bool  # uses the context otherwise than by its attributes


class Rulebook:
    """The policies that bear on one principal, and the entities that they speak of.

    Args:
        principal: id of the principal that asks.
        permits: text of policies that permit.
        forbids: text of policies that forbid.
        entities: in Cedar's JSON.
    """

    def __init__(self, principal: str, permits: str, forbids: str, entities: Sequence[object]) -> None:
        self._principal = {"type": "Principal", "id": principal}
        self._permits = cedarpy.PolicySet.from_str(permits)
        self._all = self._permits.with_added_str(forbids)
        self._entities = cedarpy.Entities.from_json_str(json.dumps(entities), schema())

    def ask(self, questions: Sequence[Question]) -> list[Ruling]:
        """One ruling for each question. Of what is allowed, `permits` is complete; of what is not, both are.

        Raises:
            VaultError: a policy could not be evaluated.
        """
        rulings = [
            Ruling(ids) if allowed else Ruling((), ids) for allowed, ids in self._ask(self._all, questions)
        ]
        doubtful = [number for number, ruling in enumerate(rulings) if ruling.forbids]
        granted = self._ask(self._permits, [questions[number] for number in doubtful])
        for number, (_, ids) in zip(doubtful, granted, strict=True):
            rulings[number] = Ruling(ids, rulings[number].forbids)
        return rulings

    def _ask(
        self, policies: cedarpy.PolicySet, questions: Sequence[Question]
    ) -> list[tuple[bool, tuple[str, ...]]]:
        requests = [
            {
                "principal": self._principal,
                "action": {"type": "Action", "id": question.action},
                "resource": {"type": question.resource[0], "id": question.resource[1]},
                "context": question.context,
            }
            for question in questions
        ]
        found = []
        for result in cedarpy.is_authorized_batch(requests, policies, self._entities) if requests else ():
            if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
                raise VaultError("a policy could not be evaluated")
            names = result.diagnostics.id_annotations_by_reason
            found.append(
                (result.allowed, tuple(sorted(names.get(each, each) for each in result.diagnostics.reasons)))
            )
        return found


def entity(kind: str, name: str) -> dict[str, object]:
    """A reference to an entity, within JSON."""
    return {"__entity": {"type": kind, "id": name}}


def quoted(text: str) -> str:
    """`text` as a string of Cedar."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in escaped) + '"'


@cache
def schema() -> cedarpy.Schema:
    """The schema that all policies are held against."""
    return cedarpy.Schema.from_str(_shipped("schema.cedarschema"))


@cache
def guards() -> tuple[Rule, ...]:
    """The forbidding policies that every vault has, in the order of their precedence."""
    return tuple([_parsed(text, line) for text, line in statements(_shipped("guards.cedar"))])


@cache
def actions() -> frozenset[str]:
    """Names of the acts that the schema knows, besides revealing."""
    found = re.search(r"action (write[^{]*?)\s+appliesTo", _shipped("schema.cedarschema"))
    return frozenset(found[1].split(", ")) if found else frozenset()


def statements(text: str) -> Iterator[tuple[str, int]]:
    """The single policies of a text, each with the line that it begins in."""
    line = start = 1
    part: list[str] = []
    for lexeme in _LEXEMES.findall(text):
        if not "".join(part).strip():
            part, start = [], line
        line += lexeme.count("\n")
        if not lexeme.startswith("//"):
            part.append(lexeme)
        if lexeme == ";":
            yield "".join(part).strip(), start
            part = []
    if rest := "".join(part).strip():
        yield rest, start


def read_rules(
    text: str, entities: Mapping[str, Collection[str]]
) -> tuple[list[Rule], list[tuple[int, str]]]:
    """The policies of a text, and its problems, each with the line of the policy that has it.

    Args:
        text: policies in Cedar's syntax.
        entities: the names that there are, by type.
    """
    rules: list[Rule] = []
    problems: list[tuple[int, str]] = []
    for statement, line in statements(text):
        try:
            rule = _parsed(statement, line)
        except ValueError as error:
            problems.append((line, f"not valid Cedar: {error}"))
            continue
        found = [*_faults(rule, entities), *check_policies(statement)]
        if any(rule.id == other.id for other in rules):
            found.append(f"the id {quoted(rule.id)} stands there twice")
        problems += [(line, each) for each in found]
        rules.append(rule)
    return rules, problems


def check_policies(text: str) -> list[str]:
    """What Cedar's validator says of policies; nothing where they fit the schema."""
    result = cedarpy.validate_policies(text, schema())
    return [re.sub(r"^for policy `[^`]*`[:,]? ", "", each.error) for each in result.errors]


def _faults(rule: Rule, entities: Mapping[str, Collection[str]]) -> Iterator[str]:
    if not is_name(rule.id):
        yield 'needs an @id("..."), lower-case letters, digits and _, by which an explanation can name it'
    if rule.whole_context:
        yield "context can be used by its attributes only"
    for name in sorted(rule.annotations.keys() - set(ANNOTATIONS)):
        yield f"unknown annotation @{name}; known: {', '.join(ANNOTATIONS)}"
    if rule.effect == "permit" and "reason" in rule.annotations:
        yield "only what forbids has a @reason"
    elif rule.annotations.get("reason", Reason.PURPOSE_DENIED) not in DENIALS.values():
        yield f"a @reason is one of {', '.join(sorted(DENIALS.values()))}"
    for kind, name in sorted(rule.entities):
        if kind in entities and name not in entities[kind]:
            yield f"there is no {kind}::{quoted(name)} in this policy"


def _parsed(text: str, line: int) -> Rule:
    """One policy.

    Raises:
        ValueError: it is not one, or is a template.
    """
    document = json.loads(cedarpy.policies_to_json_str(text))
    if len(document["staticPolicies"]) != 1:
        raise ValueError("a policy with slots cannot be used here")
    (policy,) = document["staticPolicies"].values()
    annotations = {name: value or "" for name, value in policy.get("annotations", {}).items()}
    scope = [policy["principal"], policy["action"], policy["resource"]]
    nodes = list(_nodes([*scope, *policy["conditions"]]))
    return Rule(
        id=annotations.get("id", ""),
        effect=policy["effect"],
        annotations=annotations,
        text=text,
        line=line,
        mentions=frozenset(node["attr"] for node in nodes if isinstance(node.get("attr"), str)),
        entities=frozenset((node["type"], node["id"]) for node in nodes if node.keys() == {"type", "id"}),
        whole_context=sum(node == _CONTEXT for node in nodes)
        > sum(node.keys() == {"left", "attr"} and node["left"] == _CONTEXT for node in nodes),
    )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _nodes(each)


def _shipped(name: str) -> str:
    return resources.files("vault.policy").joinpath(name).read_text(encoding="utf-8")
