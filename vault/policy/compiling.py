"""Turns a policy into Cedar: every line that grants becomes a policy, whose id is the line.

    roles.agent.reveal.support.name = "PLAIN"

    @id("roles.agent.reveal.support.name")
    permit (principal in Role::"agent",
            action in [Action::"reveal_plain", Action::"reveal_masked"],
            resource == FieldClass::"name")
    when { context.purpose == Purpose::"support" };

Answers (`["MASKED", "COUNTRY"]`) add their actions, `answer_country`, to the list. `"*"` covers the classes
that the same table does not name. A `may` list becomes one policy for each act.
Guards (`guards.cedar`) and the document's own rules join them as they are. A principal is asked about with
its own policies and those of its roles only; no other can apply to it.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from vault.errors import Reason
from vault.model.access import ANSWERS, Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.policy.cedar import Rule, Rulebook, check_policies, entity, guards, quoted, read_rules
from vault.policy.jurisdictions import by_place, places_of
from vault.policy.reading import place
from vault.policy.rules import ANY_CLASS, Grant, Policy, Rules

REVEAL_PLAIN: Final = "reveal_plain"
REVEAL_MASKED: Final = "reveal_masked"
VAULT: Final = ("Vault", "vault")

_CONSENTS: Final = {state: entity("Consent", state.name.lower()) for state in ConsentState}
_BASES: Final = {basis: entity("Basis", basis.value) for basis in LawfulBasis}
ANSWER_ACTIONS: Final = {level: f"answer_{level.name.lower()}" for level in sorted(ANSWERS)}
_ACTIONS: Final = {
    Reveal.NONE: (),
    Reveal.PLAIN: (REVEAL_PLAIN, REVEAL_MASKED),
    Reveal.MASKED: (REVEAL_MASKED,),
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """One read as Cedar sees it, field class apart. Equal ones are decided alike."""

    purpose: str
    basis: LawfulBasis | None
    bases: tuple[LawfulBasis, ...]
    consent: ConsentState
    jurisdiction: str
    regions: tuple[str, ...] | None
    restricted: bool
    held: bool
    expired: bool
    break_glass: bool

    def json(self) -> str:
        """The context of a question."""
        context: dict[str, object] = {
            "purpose": entity("Purpose", self.purpose),
            "bases": [_BASES[basis] for basis in self.bases],
            "consent": _CONSENTS[self.consent],
            "objected": self.consent is ConsentState.OBJECTED,
            "jurisdiction": self.jurisdiction,
            "restricted": self.restricted,
            "held": self.held,
            "expired": self.expired,
            "break_glass": self.break_glass,
        }
        if self.basis is not None:
            context["basis"] = _BASES[self.basis]
        if self.regions is not None:
            context["regions"] = list(self.regions)
        return json.dumps(context)


class Compiled:
    """A policy as Cedar's engine takes it. The document's own rules have to be sound."""

    def __init__(self, policy: Policy, field_classes: Collection[str]) -> None:
        self.policy = policy
        self.field_classes = frozenset(field_classes)
        self._rules, _ = read_rules(policy.rules, {})
        self._entities = [
            *[_entity("Purpose", name, _purpose(policy, name)) for name in policy.purposes],
            *[_entity("FieldClass", name, {"name": name}) for name in field_classes],
            _entity(*VAULT, {}),
        ]

    @cached_property
    def reasons(self) -> Mapping[str, Reason]:
        """What a caller is told, by the policy that forbids, in the order of precedence."""
        return {
            rule.id: Reason(rule.annotations.get("reason", Reason.PURPOSE_DENIED))
            for rule in (*guards(), *self._rules)
            if rule.effect == "forbid"
        }

    @cached_property
    def annotated(self) -> Mapping[str, Rule]:
        """Guards and the document's own rules, by id."""
        return {rule.id: rule for rule in (*guards(), *self._rules)}

    @cached_property
    def looked_at(self) -> frozenset[str]:
        """Attributes that the document's own rules look at: what only they do can else be left out."""
        return frozenset[str]().union(*[rule.mentions for rule in self._rules])

    def rulebook(self, name: str, trained: bool) -> Rulebook:
        """The policies of a principal, whose training is valid or not."""
        merged = self.policy.principals.get(name, Rules())
        own = self.policy.own.get(name, Rules())
        sources = [(f"Principal::{quoted(name)}", place(("principals", name)), own)]
        sources += [_role(role, self.policy) for role in own.roles]
        attributes: dict[str, object] = {
            "domains": sorted(merged.domains),
            "regions": list(places_of(merged.region)),
            "trained": trained,
            "training": merged.training,
        }
        asking = _entity("Principal", name, attributes)
        asking["parents"] = [{"type": "Role", "id": role} for role in own.roles]
        permits = [text for source in sources for text in _permits(*source)]
        permits += [rule.text for rule in self._rules if rule.effect == "permit"]
        forbids = [rule.text for rule in (*guards(), *self._rules) if rule.effect == "forbid"]
        return Rulebook(name, "\n".join(permits), "\n".join(forbids), [asking, *self._entities])

    def problems(self) -> list[str]:
        """What Cedar's validator says of everything that a policy became; nothing, if all is well."""
        sources = [
            (f"Principal::{quoted(name)}", place(("principals", name)), rules)
            for name, rules in self.policy.own.items()
        ]
        sources += [_role(role, self.policy) for role in self.policy.roles]
        return check_policies("\n".join(text for source in sources for text in _permits(*source)))

    def regions_for(self, jurisdiction: str) -> tuple[str, ...] | None:
        """From where the customers of a jurisdiction may be read; None for anywhere."""
        found = by_place(self.policy.residency, jurisdiction)
        return None if found is None else tuple(found)


def _role(name: str, policy: Policy) -> tuple[str, str, Rules]:
    return f"Role::{quoted(name)}", place(("roles", name)), policy.roles[name]


def _permits(who: str, line: str, rules: Rules) -> Iterator[str]:
    """The policies of one principal's or role's lines."""
    relation = "==" if who.startswith("Principal") else "in"
    for act in sorted(rules.may):
        yield (
            f"@id({quoted(f'{line}.may.{act}')})\n"
            f"permit (principal {relation} {who}, action == Action::{quoted(act)}, resource);"
        )
    for purpose, by_class in rules.grants.items():
        for field_class, grant in by_class.items():
            which = (
                "resource" if field_class == ANY_CLASS else f"resource == FieldClass::{quoted(field_class)}"
            )
            others = sorted(by_class.keys() - {ANY_CLASS}) if field_class == ANY_CLASS else []
            named = "".join(f" && resource != FieldClass::{quoted(other)}" for other in others)
            yield (
                f"@id({quoted(grant.line)})\n"
                f"permit (principal {relation} {who}, {_scope(grant)}, {which})\n"
                f"when {{ context.purpose == Purpose::{quoted(purpose)}{named} }};"
            )


def _scope(grant: Grant) -> str:
    """The actions that a line permits."""
    names = [*_ACTIONS[grant.reveal], *[ANSWER_ACTIONS[level] for level in sorted(grant.answers)]]
    if len(names) == 1:
        return f"action == Action::{quoted(names[0])}"
    return f"action in [{', '.join([f'Action::{quoted(name)}' for name in names])}]"


def _purpose(policy: Policy, name: str) -> dict[str, object]:
    purpose = policy.purposes[name]
    return {
        "allow_restricted": purpose.allow_restricted,
        "direct_marketing": purpose.direct_marketing,
        "break_glass": purpose.break_glass,
        "training": purpose.training,
    }


def _entity(kind: str, name: str, attributes: Mapping[str, object]) -> dict[str, object]:
    return {"uid": {"type": kind, "id": name}, "attrs": dict(attributes), "parents": []}
