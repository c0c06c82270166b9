"""Says what a new policy changes, in lines for the audit. Names only, roles already resolved.

Compared is what holds, not how it is written: moving a grant from a principal into its role
changes nothing and gives no line.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from vault.model.access import Action
from vault.model.consent import LawfulBasis
from vault.policy.budgets import Approvals, Budget, Controls
from vault.policy.cedar import read_rules
from vault.policy.rules import Policy, Purpose, Rules, spell

_EMPTY = Policy({}, {}, {})
_PURPOSE_PARTS = ("descriptions", "benefits", "iri")
_BUDGET_PARTS = ("principals", "purposes", "window_seconds", "customers", "compare", "alert_at", "suspend")
_PURPOSE_FLAGS = ("direct_marketing", "sale_or_sharing", "break_glass", "training")


def describe_change(old: Policy | None, new: Policy) -> list[str]:
    """One line for each change; `old` is None for a vault's first policy."""
    before = old or _EMPTY
    lines = [
        *_domains(before, new),
        *_purposes(before, new),
        *_residency(before, new),
        *_own_rules(before, new),
        *_controls(before.controls, new.controls),
    ]
    for name in sorted(before.principals.keys() | new.principals.keys()):
        who = spell(name)
        if name not in new.principals:
            lines.append(f"{who}: removed")
            continue
        if name not in before.principals:
            lines.append(f"{who}: added")
        rules = before.principals.get(name, Rules())
        lines += [f"{who}: {change}" for change in _rules(rules, new.principals[name])]
    return lines


def _domains(old: Policy, new: Policy) -> Iterator[str]:
    for name in sorted(old.domains.keys() | new.domains.keys()):
        if (name in old.domains) != (name in new.domains):
            yield f"domain {spell(name)}: {'added' if name in new.domains else 'removed'}"
        elif old.domains[name] != new.domains[name]:
            yield f"domain {spell(name)}: description changed"


def _purposes(old: Policy, new: Policy) -> Iterator[str]:
    for name in sorted(old.purposes.keys() | new.purposes.keys()):
        before, after = old.purposes.get(name), new.purposes.get(name)
        if (before is None) != (after is None):
            yield f"purpose {spell(name)}: {'removed' if after is None else 'added'}"
        if after is None:
            continue
        if before and after and before.description != after.description:
            yield f"purpose {spell(name)}: description changed"
        if before and after:
            for what in _PURPOSE_PARTS:
                if getattr(before, what) != getattr(after, what):
                    yield f"purpose {spell(name)}: {what} changed"
        for flag in _PURPOSE_FLAGS:
            if getattr(before, flag, False) != getattr(after, flag, False):
                yield f"purpose {spell(name)}: {flag} {'on' if getattr(after, flag, False) else 'off'}"
        if _bases(before) != _bases(after):
            yield f"purpose {spell(name)}: bases {_bases(before)} -> {_bases(after)}"
        if _open(before) != _open(after):
            yield f"purpose {spell(name)}: restricted customers {_open(before)} -> {_open(after)}"


def _open(purpose: Purpose | None) -> str:
    return "allowed" if purpose and purpose.allow_restricted else "denied"


def _bases(purpose: Purpose | None) -> str:
    if purpose is None or not purpose.bases:
        return f"*: {LawfulBasis.LEGITIMATE_INTERESTS.value}"
    return "; ".join(f"{place}: {', '.join(purpose.bases[place])}" for place in sorted(purpose.bases))


def _residency(old: Policy, new: Policy) -> Iterator[str]:
    for place in sorted(old.residency.keys() | new.residency.keys()):
        before, after = old.residency.get(place), new.residency.get(place)
        if before != after:
            yield f"residency {place}: {_regions(before)} -> {_regions(after)}"


def _regions(regions: Sequence[str] | None) -> str:
    return "anywhere" if regions is None else ", ".join(regions) or "nowhere"


def _own_rules(old: Policy, new: Policy) -> Iterator[str]:
    before, after = ({rule.id: rule.text for rule in read_rules(each.rules, {})[0]} for each in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            changed = (
                "changed" if name in before and name in after else "added" if name in after else "removed"
            )
            yield f"rule {name}: {changed}"


def _rules(old: Rules, new: Rules) -> Iterator[str]:
    for domain in sorted({*old.domains} ^ {*new.domains}):
        yield f"{'joins' if domain in new.domains else 'leaves'} domain {spell(domain)}"
    if old.domains and new.domains and old.domains[0] != new.domains[0]:
        yield f"default domain {spell(old.domains[0])} -> {spell(new.domains[0])}"
    if old.region != new.region:
        yield f"region {old.region or 'unknown'} -> {new.region or 'unknown'}"
    if old.training != new.training:
        yield "reading takes a training" if new.training else "reading takes no training"
    if old.training_until_ms != new.training_until_ms:
        yield f"training valid until {_day(old.training_until_ms)} -> {_day(new.training_until_ms)}"
    for action in Action:
        if (action in old.may) != (action in new.may):
            yield f"{'may' if action in new.may else 'may no longer'} {action.value}"
    for purpose in sorted(old.grants.keys() | new.grants.keys()):
        named = old.grants.get(purpose, {}).keys() | new.grants.get(purpose, {}).keys()
        for field_class in sorted(named):
            before, after = _level(old, purpose, field_class), _level(new, purpose, field_class)
            if before != after:
                yield f"{spell(purpose)}.{field_class} {before} -> {after}"


def _day(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ") if moment_ms else "none"


def _level(rules: Rules, purpose: str, field_class: str) -> str:
    grant = rules.grant(purpose, field_class)
    return ", ".join([level.name for level in grant.levels]) if grant else "nothing"


def _controls(old: Controls, new: Controls) -> Iterator[str]:
    for name in sorted(old.budgets.keys() | new.budgets.keys()):
        before, after = old.budgets.get(name), new.budgets.get(name)
        if before is None or after is None:
            yield f"budget {spell(name)}: {'added' if before is None else 'removed'}"
            continue
        for part in _BUDGET_PARTS:
            if getattr(before, part) != getattr(after, part):
                yield f"budget {spell(name)}: {part} {_part(before, part)} -> {_part(after, part)}"
    for key in Approvals.__slots__:
        before_value, after_value = getattr(old.approvals, key), getattr(new.approvals, key)
        if before_value != after_value:
            yield f"approvals {key}: {_shown(before_value)} -> {_shown(after_value)}"


def _part(budget: Budget, part: str) -> str:
    value = getattr(budget, part)
    if value is None:
        return "no limit"
    if isinstance(value, frozenset):
        return ", ".join(map(spell, sorted(value))) or "nobody"
    return str(value).lower()


def _shown(value: object) -> str:
    return "never" if value is None else str(value).lower()
