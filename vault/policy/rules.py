"""The policy as types.

Rules:
- What no rule grants is denied. Grants never deny; what denies is a guard of the vault, or one of the
  document's own Cedar rules.
- A grant is a principal, a purpose and a field class at `Reveal.PLAIN` or `Reveal.MASKED`, answers, or both.
- `ANY_CLASS` stands for every class that the same table does not name.
- Roles add up: domains, acts, answers and grants are united, and the higher reveal wins. A role can
  therefore never take anything away, except by `training`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vault.model.access import Action, Reveal
from vault.model.consent import LawfulBasis
from vault.model.situation import Situation
from vault.policy.budgets import Controls
from vault.policy.jurisdictions import by_place

ANY_CLASS = "*"
MAX_PRINCIPAL_CHARACTERS = 255

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_SHOWN_CHARACTERS = 64
_MOST_FIRST = (Reveal.PLAIN, Reveal.MASKED)


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why values are read.

    Attributes:
        description: plain language, in English.
        allow_restricted: goes on where processing of a customer is restricted, as for legal claims.
        iri: of the purpose in the W3C Data Privacy Vocabulary.
        descriptions: further ones, by BCP 47 locale.
        benefits: what the customer has from it, by BCP 47 locale.
        bases: lawful bases by jurisdiction, group of them or `*`; the first is meant where none is stated.
        sale_or_sharing: sells or shares data, so that a browser's Global Privacy Control opts out of it.
        direct_marketing: an objection ends it, whatever the basis (GDPR art. 21(3)).
        break_glass: open only to whoever has an approval that has not ended.
        training: open only to principals whose training is valid.
    """

    description: str
    allow_restricted: bool = False
    iri: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    benefits: Mapping[str, str] = field(default_factory=dict)
    bases: Mapping[str, Sequence[LawfulBasis]] = field(default_factory=dict)
    sale_or_sharing: bool = False
    direct_marketing: bool = False
    break_glass: bool = False
    training: bool = False

    def bases_in(self, jurisdiction: str) -> tuple[LawfulBasis, ...]:
        """The lawful bases in a jurisdiction, the default one first; none where the purpose is closed.

        A purpose that declares no bases stands on legitimate interests everywhere.
        """
        if not self.bases:
            return (LawfulBasis.LEGITIMATE_INTERESTS,)
        return tuple(by_place(self.bases, jurisdiction) or ())

    def needs_consent(self, jurisdiction: str) -> bool:
        """Whether it stands on consent there, unless the caller states another basis."""
        return self.bases_in(jurisdiction)[:1] == (LawfulBasis.CONSENT,)


@dataclass(frozen=True, slots=True)
class Grant:
    """How much is revealed (PLAIN, MASKED or NONE), the line of the document that says so, and answers."""

    reveal: Reveal
    line: str
    answers: frozenset[Reveal] = frozenset()

    @property
    def levels(self) -> tuple[Reveal, ...]:
        """Everything that is granted, the value first."""
        value = (self.reveal,) if self.reveal is not Reveal.NONE else ()
        return (*value, *sorted(self.answers))


@dataclass(frozen=True, slots=True)
class Rules:
    """What one principal, or one role, is granted. `grants` is by purpose, then field class.

    Attributes:
        domains: the first is the default one.
        may: acts.
        grants: reads.
        training: whether reading takes a valid training.
        roles: of a principal.
        region: where a principal is: a jurisdiction or a group of them, empty where the policy does not say.
        training_until_ms: when a principal's training ends, in milliseconds since 1970; 0 for none.
    """

    domains: Sequence[str] = ()
    may: frozenset[Action] = frozenset()
    grants: Mapping[str, Mapping[str, Grant]] = field(default_factory=dict)
    training: bool = False
    roles: Sequence[str] = ()
    region: str = ""
    training_until_ms: int = 0

    def grant(self, purpose: str, field_class: str) -> Grant | None:
        """The grant that holds for `field_class`: its own line, else the one for every other class."""
        by_class = self.grants.get(purpose, {})
        return by_class.get(field_class) or by_class.get(ANY_CLASS)


@dataclass(frozen=True, slots=True)
class Example:
    """A question and the answer that the policy has to give.

    `expect` is PLAIN, MASKED, ALLOWED or a reason. Either `action` is set, or `purpose` and `field_class`.
    """

    line: str
    principal: str
    expect: str
    purpose: str = ""
    field_class: str = ""
    action: str = ""
    reveal: Reveal = Reveal.BEST
    basis: LawfulBasis | None = None
    situation: Situation = field(default_factory=Situation)
    trained: bool = True
    break_glass: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy.

    Attributes:
        domains: their descriptions.
        purposes: by name.
        principals: by name, their roles merged into them.
        own: the same without their roles.
        roles: by name.
        residency: by jurisdiction, group or `*`: from which regions its customers may be read.
        rules: the document's own Cedar policies.
        examples: what the policy is expected to answer.
    """

    domains: Mapping[str, str]
    purposes: Mapping[str, Purpose]
    principals: Mapping[str, Rules]
    own: Mapping[str, Rules] = field(default_factory=dict)
    roles: Mapping[str, Rules] = field(default_factory=dict)
    residency: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rules: str = ""
    examples: Sequence[Example] = ()
    controls: Controls = field(default_factory=Controls)

    @property
    def administrators(self) -> frozenset[str]:
        """Names of the principals that may change policy."""
        return frozenset(name for name, rules in self.principals.items() if Action.ADMIN in rules.may)


def merge(parts: Sequence[Rules]) -> Rules:
    """Unites `parts`, a principal's own and its roles'.

    Of equal grants the first part's is kept, and its first domain is the default. Where one part needs
    training, the whole does.
    """
    purposes = dict.fromkeys(purpose for part in parts for purpose in part.grants)
    return replace(
        parts[0],
        domains=tuple(dict.fromkeys(domain for part in parts for domain in part.domains)),
        may=frozenset[Action]().union(*(part.may for part in parts)),
        grants={purpose: _merge_purpose(parts, purpose) for purpose in purposes},
        training=any(part.training for part in parts),
    )


def _merge_purpose(parts: Sequence[Rules], purpose: str) -> Mapping[str, Grant]:
    named = dict.fromkeys(name for part in parts for name in part.grants.get(purpose, {}))
    merged = {}
    for field_class in named:
        grants = [grant for part in parts if (grant := part.grant(purpose, field_class))]
        most = next(
            (grant for level in _MOST_FIRST for grant in grants if grant.reveal is level),
            grants[0],
        )
        answers = frozenset[Reveal]().union(*(grant.answers for grant in grants))
        merged[field_class] = replace(most, answers=answers)
    return merged


def is_principal_name(text: str) -> bool:
    """Whether `text` may name a principal: printable, not empty, no outer space, 255 characters at most."""
    return 0 < len(text) <= MAX_PRINCIPAL_CHARACTERS and text.isprintable() and text == text.strip()


def spell(name: str) -> str:
    """`name` as a key of a TOML path: quoted unless bare, escaped, and cut when very long."""
    if _BARE_KEY.match(name) and len(name) <= _SHOWN_CHARACTERS:
        return name
    shown = name if len(name) <= MAX_PRINCIPAL_CHARACTERS else name[:_SHOWN_CHARACTERS] + "..."
    return quote(shown)


def quote(text: str) -> str:
    """`text` as a basic string of TOML on one line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
