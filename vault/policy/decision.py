"""The one place where it is decided who may do what.

An `AccessTable` joins a policy to the registry of principals and to the numbers of names. It is
built anew whenever the version of either changes, so whatever it has cached dies with it.

A read is decided for a whole batch at once by `Grants.reveals`: 256 bytes, indexed by field class
id, each a `Verdict`. Everything that may bear on a read is an argument of `reveals`; what a
customer's row says (today: restricted) comes in there and nowhere else.

Rules:
- An unregistered, revoked or suspended principal is nobody, whatever the policy says of its name.
- A registered principal that the policy does not mention is granted nothing.
- BEST gives the most that is granted, MASKED never more than a mask, PLAIN all or REVEAL_DENIED.
- A restricted customer is closed to every purpose without `allow_restricted`. Where nothing was
  granted to begin with the answer stays PURPOSE_DENIED: it tells a stranger nothing of the customer.
- A domain that does not exist and one that the principal is not in get the same answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from vault.errors import (
    ActionDeniedError,
    DomainDeniedError,
    InvalidRequestError,
    Reason,
    SuspendedError,
    UnauthenticatedError,
    VaultError,
)
from vault.model.access import Action, Reveal
from vault.policy.rules import Policy, Rules, spell


class Verdict(IntEnum):
    """An entry of the table. PLAIN and MASKED have the numbers of `Reveal`; the rest deny."""

    PURPOSE_DENIED = 0
    PLAIN = Reveal.PLAIN
    MASKED = Reveal.MASKED
    REVEAL_DENIED = 4
    RESTRICTED = 5


DENIALS: Mapping[int, Reason] = {
    Verdict.PURPOSE_DENIED: Reason.PURPOSE_DENIED,
    Verdict.REVEAL_DENIED: Reason.REVEAL_DENIED,
    Verdict.RESTRICTED: Reason.RESTRICTED,
}

_NOTHING = bytes(256)
_IDS = range(1, 256)


def _sieve(verdicts: Mapping[Verdict, Verdict]) -> bytes:
    """A translation table (`bytes.translate`) that replaces some verdicts and keeps the others."""
    sieve = bytearray(range(256))
    for verdict, replacement in verdicts.items():
        sieve[verdict] = replacement
    return bytes(sieve)


_BEST = _sieve({})
_WANTED: Mapping[Reveal, bytes] = {
    Reveal.NONE: _BEST,
    Reveal.BEST: _BEST,
    Reveal.PLAIN: _sieve({Verdict.MASKED: Verdict.REVEAL_DENIED}),
    Reveal.MASKED: _sieve({Verdict.PLAIN: Verdict.MASKED}),
}
_RESTRICTED = _sieve(dict.fromkeys((Verdict.PLAIN, Verdict.MASKED), Verdict.RESTRICTED))


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """What the registry says of a principal; `name` is as in its certificate."""

    id: int
    name: str
    revoked: bool = False
    suspended: bool = False
    break_glass: Mapping[str, int] = field(default_factory=dict)  # purpose -> until, ms since 1970


class Grants:
    """What one registered principal may do. Obtained from `AccessTable.principal`."""

    __slots__ = (
        "_record",
        "_rules",
        "_table",
        "_tables",
        "budgets",
        "default_domain",
        "domains",
        "id",
        "name",
    )

    def __init__(self, record: PrincipalRecord, rules: Rules, table: "AccessTable") -> None:
        self.id = record.id
        self.name = record.name
        self.budgets = table.policy.controls.budgets_of(record.name)
        domains = [table.domain_ids[name] for name in rules.domains]
        self.domains = frozenset(domains)
        self.default_domain = domains[0] if domains else None
        self._record = record
        self._rules = rules
        self._table = table
        self._tables: dict[tuple[str, Reveal, bool], bytes] = {}

    def domain(self, name: str) -> int:
        """The number of the domain `name`; the empty name is the principal's first domain.

        Raises:
            DomainDeniedError: The principal is not in it, or it does not exist.
        """
        if not name and self.default_domain is not None:
            return self.default_domain
        if name not in self._rules.domains:
            raise DomainDeniedError("the principal is not in this domain")
        return self._table.domain_ids[name]

    def may(self, action: Action) -> bool:
        """Whether the principal may perform `action`."""
        return action in self._rules.may

    def require(self, action: Action) -> None:
        """Raises ActionDeniedError unless the principal may perform `action`."""
        if not self.may(action):
            raise ActionDeniedError(f"the principal may not {action.value}", action=action.value)

    def reveals(self, purpose: str, wanted: Reveal, restricted: bool = False) -> bytes:
        """Decides a read: the verdict for each field class of a customer.

        Args:
            purpose: As the caller states it; an undeclared one is denied throughout.
            wanted: NONE counts as BEST.
            restricted: Whether processing of this customer is restricted.

        Returns:
            256 bytes indexed by field class id, each a `Verdict`. Id 0 and unknown ids are denied.

        Raises:
            InvalidRequestError: `wanted` is none of the four.
        """
        verdicts = self._tables.get((purpose, wanted, restricted))
        return verdicts if verdicts is not None else self._decide(purpose, wanted, restricted)

    def purpose_id(self, purpose: str) -> int:
        """The number under which `purpose` is audited; 0 when it has none."""
        return self._table.purpose_ids.get(purpose, 0)

    def breaks_glass(self, purpose: str) -> bool:
        """Whether reads for `purpose` need a grant that another principal approved."""
        declared = self._table.policy.purposes.get(purpose)
        return declared is not None and declared.break_glass

    def granted_until(self, purpose: str) -> int:
        """Until when reads for a break-glass purpose are approved (ms since 1970); 0 for never."""
        return self._record.break_glass.get(purpose, 0)

    def _decide(self, purpose: str, wanted: Reveal, restricted: bool) -> bytes:
        if wanted not in _WANTED:
            raise InvalidRequestError("reveal has to be BEST, PLAIN or MASKED", field="reveal")
        declared = self._table.policy.purposes.get(purpose)
        if declared is None:
            return _NOTHING  # not cached: callers choose this text, and could fill the memory
        granted = bytearray(_NOTHING)
        for field_class, number in self._table.class_ids.items():
            grant = self._rules.grant(purpose, field_class)
            if grant is not None:
                granted[number] = grant.reveal
        verdicts = bytes(granted)
        if restricted and not declared.allow_restricted:
            verdicts = verdicts.translate(_RESTRICTED)
        verdicts = verdicts.translate(_WANTED[wanted])
        self._tables[purpose, wanted, restricted] = verdicts
        return verdicts


class AccessTable:
    """A policy joined to the registry and to the numbers of names. Share one among threads.

    Args:
        policy: As parsed.
        principals: The registry, by name.
        domain_ids: Number of each domain, 1 to 255.
        purpose_ids: Number of each purpose, from 1.
        class_ids: Number of each field class, 1 to 255; `"*"` in the policy covers exactly these.

    Raises:
        VaultError: The policy names something that has no number, or a number is out of range.
    """

    def __init__(
        self,
        policy: Policy,
        principals: Mapping[str, PrincipalRecord],
        domain_ids: Mapping[str, int],
        purpose_ids: Mapping[str, int],
        class_ids: Mapping[str, int],
    ) -> None:
        if not (policy.domains.keys() <= domain_ids.keys() and policy.purposes.keys() <= purpose_ids.keys()):
            raise VaultError("a domain or a purpose of the policy has no number")
        if not all(number in _IDS for number in (*domain_ids.values(), *class_ids.values())):
            raise VaultError("the number of a domain or of a field class is not within 1 to 255")
        self.policy = policy
        self.domain_ids = dict(domain_ids)
        self.purpose_ids = dict(purpose_ids)
        self.class_ids = dict(class_ids)
        self._principals = dict(principals)
        self._grants: dict[str, Grants] = {}

    def principal(self, name: str) -> Grants:
        """What the principal with this name in its certificate may do.

        Raises:
            UnauthenticatedError: It is not registered.
            SuspendedError: It was revoked or is suspended.
        """
        grants = self._grants.get(name)
        return grants if grants is not None else self._admit(name)

    def explain(self, principal: str, purpose: str, field_class: str) -> str:
        """Says in one or two sentences what the principal reads, and which line grants it."""
        who, what = spell(principal), f"{spell(field_class)} for {spell(purpose)}"
        record = self._principals.get(principal)
        if record is None or record.revoked or record.suspended:
            why = "not registered" if record is None else "revoked" if record.revoked else "suspended"
            return f"{who} reads nothing: it is {why}."
        if purpose not in self.policy.purposes:
            return f"{who} does not read {what}: the policy declares no such purpose."
        if field_class not in self.class_ids:
            return f"{who} does not read {what}: there is no such field class."
        number = self.class_ids[field_class]
        grants = self.principal(principal)
        verdict = grants.reveals(purpose, Reveal.BEST)[number]
        grant = self.policy.principals.get(principal, Rules()).grant(purpose, field_class)
        if verdict in DENIALS or grant is None:
            return f"{who} does not read {what}: no line of the policy grants it."
        closed = grants.reveals(purpose, Reveal.BEST, restricted=True)[number] in DENIALS
        how = "in plain" if verdict == Verdict.PLAIN else "masked"
        then = "nothing" if closed else "the same"
        return f"{who} reads {what} {how}, because of {grant.line}. Of a restricted customer: {then}."

    def _admit(self, name: str) -> Grants:
        record = self._principals.get(name)
        if record is None:
            raise UnauthenticatedError("the certificate names no registered principal")
        if record.revoked:
            raise SuspendedError("the principal is revoked")
        if record.suspended:
            raise SuspendedError("the principal is suspended")
        grants = Grants(record, self.policy.principals.get(name, Rules()), self)
        self._grants[name] = grants
        return grants
