"""The one place where it is decided who may do what.

An `AccessTable` joins a policy to the registry of principals and to the numbers of names. It is
built anew whenever the version of either changes, so whatever it has cached dies with it.

A read is decided for a whole batch at once: `Grants.reads` gives the tables of one principal, purpose, wanted
reveal and lawful basis (`reads`), in which a customer's situation is looked up. Cedar decides (`judging`),
once for each distinct situation.

Rules:
- An unregistered, revoked or suspended principal is nobody, whatever the policy says of its name.
- A registered principal that the policy does not mention is granted nothing.
- Guards and the precedence of reasons: see `judging` and `guards.cedar`.
- A domain that does not exist and one that the principal is not in get the same answer.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vault.errors import (
    ActionDeniedError,
    DomainDeniedError,
    InvalidRequestError,
    SuspendedError,
    UnauthenticatedError,
    VaultError,
)
from vault.model.access import ANSWERS, VALUE_REVEALS, Action, Reveal
from vault.model.consent import LawfulBasis
from vault.policy.cedar import Ruling
from vault.policy.compiling import Compiled
from vault.policy.judging import Judge
from vault.policy.reads import FOREVER_MS, Reads
from vault.policy.rules import Policy, Rules
from vault.policy.verdicts import DENIALS, Verdict

__all__ = ["DENIALS", "AccessTable", "Grants", "PrincipalRecord", "Verdict"]

_IDS = range(1, 256)
_MAX_READS = 256  # kept for one principal


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """What the registry says of a principal; `name` is as in its certificate.

    `break_glass` says until when, in milliseconds since 1970, it has an approval for a purpose.
    """

    id: int
    name: str
    revoked: bool = False
    suspended: bool = False
    break_glass: Mapping[str, int] = field(default_factory=dict)  # purpose -> until, ms since 1970


class Grants:
    """What one registered principal may do. Obtained from `AccessTable.principal`."""

    __slots__ = (
        "_acts",
        "_record",
        "_rules",
        "_table",
        "_tables",
        "budgets",
        "default_domain",
        "domains",
        "id",
        "judge",
        "name",
    )

    def __init__(self, record: PrincipalRecord, rules: Rules, table: "AccessTable") -> None:
        self.id = record.id
        self.name = record.name
        self.budgets = table.policy.controls.budgets_of(record.name)
        domains = [table.domain_ids[name] for name in rules.domains]
        self.domains = frozenset(domains)
        self.default_domain = domains[0] if domains else None
        self.judge = Judge(table.compiled, record.name)
        self._record = record
        self._rules = rules
        self._table = table
        self._acts: dict[bool, Mapping[Action, Ruling]] = {}
        self._tables: dict[tuple[str, Reveal, LawfulBasis | None], Reads] = {}

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
        """Whether the principal may perform `action` now."""
        return self.act(action, trained=self.trained_at(self._table.now_ms())).allowed

    def require(self, action: Action) -> None:
        """Raises ActionDeniedError unless the principal may perform `action`."""
        if not self.may(action):
            raise ActionDeniedError(f"the principal may not {action.value}", action=action.value)

    def act(self, action: Action, *, trained: bool) -> Ruling:
        """Which policies permit and forbid an act."""
        acts = self._acts.get(trained)
        if acts is None:
            acts = self._acts[trained] = self.judge.acts(trained=trained)
        return acts[action]

    def trained_at(self, now_ms: int) -> bool:
        """Whether the principal's training is valid."""
        return self._rules.training_until_ms > now_ms

    def reads(self, purpose: str, wanted: Reveal, basis: LawfulBasis | None, now_ms: int) -> Reads:
        """Decides reads: the tables in which each customer's situation is looked up.

        Args:
            purpose: As the caller states it; an undeclared one is denied throughout.
            wanted: NONE counts as BEST.
            basis: The lawful basis that the caller states, if it does.
            now_ms: The time to judge by.

        Raises:
            InvalidRequestError: `wanted` is none of the four.
        """
        if wanted not in VALUE_REVEALS:
            raise InvalidRequestError("reveal has to be BEST, PLAIN or MASKED", field="reveal")
        return self._decided(purpose, wanted, basis, now_ms)

    def answers(self, purpose: str, wanted: Reveal, basis: LawfulBasis | None, now_ms: int) -> Reads:
        """Decides who is told an answer; as `reads`, but what its tables let be opened must not be shown.

        Raises:
            InvalidRequestError: `wanted` is no answer.
        """
        if wanted not in ANSWERS:
            raise InvalidRequestError("no such answer", field="reveal")
        return self._decided(purpose, wanted, basis, now_ms)

    def _decided(self, purpose: str, wanted: Reveal, basis: LawfulBasis | None, now_ms: int) -> Reads:
        key = (purpose, wanted, basis)
        reads = self._tables.get(key)
        if reads is None or now_ms >= reads.valid_until_ms or reads.full:
            reads = self._begin(purpose, wanted, basis, now_ms)
            if (
                purpose in self._table.policy.purposes
            ):  # callers choose other texts, and could fill the memory
                if len(self._tables) >= _MAX_READS:
                    self._tables.clear()
                self._tables[key] = reads
        return reads

    def own_reads(self, purpose: str, wanted: Reveal, basis: LawfulBasis | None, now_ms: int) -> Reads:
        """As `reads`, but tables that nobody else looks into: for use outside the hot path."""
        return self._begin(purpose, wanted, basis, now_ms)

    def purpose_id(self, purpose: str) -> int:
        """The number under which `purpose` is audited; 0 when it has none."""
        return self._table.purpose_ids.get(purpose, 0)

    def glass_broken_at(self, purpose: str, now_ms: int) -> bool:
        """Whether an approval for the purpose is in force."""
        return self._record.break_glass.get(purpose, 0) > now_ms

    def breaks_glass(self, purpose: str) -> bool:
        """Whether reads for `purpose` need a grant that another principal approved."""
        declared = self._table.policy.purposes.get(purpose)
        return declared is not None and declared.break_glass

    def granted_until(self, purpose: str) -> int:
        """Until when reads for a break-glass purpose are approved (ms since 1970); 0 for never."""
        return self._record.break_glass.get(purpose, 0)

    def _begin(self, purpose: str, wanted: Reveal, basis: LawfulBasis | None, now_ms: int) -> Reads:
        declared = purpose in self._table.policy.purposes
        ends = (self._rules.training_until_ms, self._record.break_glass.get(purpose, 0))
        return Reads(
            self.judge if declared else None,
            purpose,
            self.purpose_id(purpose),
            wanted,
            basis,
            self._table.class_ids,
            trained=self.trained_at(now_ms),
            break_glass=self.glass_broken_at(purpose, now_ms),
            valid_until_ms=min((end for end in ends if end > now_ms), default=FOREVER_MS),
        )


class AccessTable:
    """A policy joined to the registry and to the numbers of names. Share one among threads.

    Args:
        policy: As parsed.
        principals: The registry, by name.
        domain_ids: Number of each domain, 1 to 255.
        purpose_ids: Number of each purpose, from 1.
        class_ids: Number of each field class, 1 to 255; `"*"` in the policy covers exactly these.
        now_ms: The clock by which acts are judged, milliseconds since 1970; reads bring their own time.

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
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        if not (policy.domains.keys() <= domain_ids.keys() and policy.purposes.keys() <= purpose_ids.keys()):
            raise VaultError("a domain or a purpose of the policy has no number")
        if not all(number in _IDS for number in (*domain_ids.values(), *class_ids.values())):
            raise VaultError("the number of a domain or of a field class is not within 1 to 255")
        self.policy = policy
        self.compiled = Compiled(policy, class_ids)
        self.domain_ids = dict(domain_ids)
        self.purpose_ids = dict(purpose_ids)
        self.class_ids = dict(class_ids)
        self.now_ms = now_ms
        self.records = dict(principals)
        self._grants: dict[str, Grants] = {}

    def principal(self, name: str) -> Grants:
        """What the principal with this name in its certificate may do.

        Raises:
            UnauthenticatedError: It is not registered.
            SuspendedError: It was revoked or is suspended.
        """
        grants = self._grants.get(name)
        return grants if grants is not None else self._admit(name)

    def _admit(self, name: str) -> Grants:
        record = self.records.get(name)
        if record is None:
            raise UnauthenticatedError("the certificate names no registered principal")
        if record.revoked:
            raise SuspendedError("the principal is revoked")
        if record.suspended:
            raise SuspendedError("the principal is suspended")
        grants = Grants(record, self.policy.principals.get(name, Rules()), self)
        self._grants[name] = grants
        return grants
