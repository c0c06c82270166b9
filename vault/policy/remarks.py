"""Finds what a policy allows to be written, but what was probably not meant. Stops nothing."""

from collections.abc import Mapping

from vault.model.access import Action
from vault.policy.decision import PrincipalRecord
from vault.policy.rules import Policy, Rules, spell


def remarks(policy: Policy, principals: Mapping[str, PrincipalRecord], applicant: str = "") -> list[str]:
    """Lines to show to the principal `applicant`, who applies `policy`, given the registry by name."""
    lines = []
    active = {name for name, record in principals.items() if not record.revoked}
    if not policy.administrators & active:
        lines.append('no registered principal may "admin"; nobody could change this policy')
    elif applicant and applicant not in policy.administrators:
        lines.append(f'you are {spell(applicant)}, who may no longer "admin": others have to change it back')
    for name, rules in sorted(policy.principals.items()):
        if name not in active:
            state = "revoked" if name in principals else "not registered"
            lines.append(f"{spell(name)} is {state}: its grants have no effect")
        if rules.grants and not rules.domains:
            lines.append(f"{spell(name)} is in no domain: it has no tokens to read")
    if policy.controls.approvals.asked_for or any(each.break_glass for each in policy.purposes.values()):
        approvers = {name for name in active if Action.APPROVE in policy.principals.get(name, Rules()).may}
        if not approvers:
            lines.append('approvals are asked for, and no registered principal may "approve" them')
    used = {purpose for rules in policy.principals.values() for purpose in rules.grants}
    lines += [f"purpose {spell(name)} is granted to nobody" for name in sorted(policy.purposes.keys() - used)]
    return lines
