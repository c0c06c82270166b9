"""The policy as types.

Rules:
- What no rule grants is denied; there is no rule that denies.
- A grant is a principal, a purpose and a field class at `Reveal.PLAIN` or `Reveal.MASKED`.
- `ANY_CLASS` stands for every class that the same table does not name.
- Roles add up: domains, acts and grants are united, and the higher reveal wins. A role can
  therefore never take anything away.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vault.model.access import Action, Reveal
from vault.policy.budgets import Controls

ANY_CLASS = "*"
MAX_PRINCIPAL_CHARACTERS = 255

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_SHOWN_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why values are read. Without `allow_restricted` it ends where a customer is restricted."""

    description: str
    allow_restricted: bool = False
    break_glass: bool = False  # needs a grant that another principal approved


@dataclass(frozen=True, slots=True)
class Grant:
    """How much is revealed (PLAIN or MASKED), and the line of the document that says so."""

    reveal: Reveal
    line: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What one principal, or one role, is granted. `grants` is by purpose, then field class."""

    domains: Sequence[str] = ()
    may: frozenset[Action] = frozenset()
    grants: Mapping[str, Mapping[str, Grant]] = field(default_factory=dict)

    def grant(self, purpose: str, field_class: str) -> Grant | None:
        """The grant that holds for `field_class`: its own line, else the one for every other class."""
        by_class = self.grants.get(purpose, {})
        return by_class.get(field_class) or by_class.get(ANY_CLASS)


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy. `domains` maps to descriptions; roles are merged into their principals."""

    domains: Mapping[str, str]
    purposes: Mapping[str, Purpose]
    principals: Mapping[str, Rules]
    controls: Controls = field(default_factory=Controls)

    @property
    def administrators(self) -> frozenset[str]:
        """Names of the principals that may change policy."""
        return frozenset(name for name, rules in self.principals.items() if Action.ADMIN in rules.may)


def merge(parts: Sequence[Rules]) -> Rules:
    """Unites `parts`; of equal grants the first part's is kept, and its first domain is the default."""
    purposes = dict.fromkeys(purpose for part in parts for purpose in part.grants)
    return Rules(
        domains=tuple(dict.fromkeys(domain for part in parts for domain in part.domains)),
        may=frozenset[Action]().union(*(part.may for part in parts)),
        grants={purpose: _merge_purpose(parts, purpose) for purpose in purposes},
    )


def _merge_purpose(parts: Sequence[Rules], purpose: str) -> Mapping[str, Grant]:
    named = dict.fromkeys(name for part in parts for name in part.grants.get(purpose, {}))
    merged = {}
    for field_class in named:
        grants = [grant for part in parts if (grant := part.grant(purpose, field_class))]
        merged[field_class] = next((grant for grant in grants if grant.reveal is Reveal.PLAIN), grants[0])
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
