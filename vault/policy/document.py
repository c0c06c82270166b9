"""Reads the policy document: TOML in, `Policy` out, or every problem at once.

    version = 1
    [domains.<domain>]          description (optional)
    [purposes.<purpose>]        description, allow_restricted = false, break_glass = false
    [roles.<role>]              domains, may
    [roles.<role>.reveal.<purpose>]           <field class or "*"> = "PLAIN" | "MASKED"
    [principals.<name>]         roles, domains, may
    [principals.<name>.reveal.<purpose>]      as for roles
    [budgets.<budget>]  [approvals]           see `controls`

Rules:
- An unknown key is a problem, not a remark: a typing error must not quietly grant less or more.
- Everything named (domain, purpose, role, action, field class) must be declared.
- Somebody must hold `admin`, or nobody could ever mend the policy.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence

from vault.errors import PolicyInvalidError
from vault.model.access import Action, Reveal
from vault.model.ids import is_name
from vault.policy.controls import read_controls
from vault.policy.rules import (
    ANY_CLASS,
    Grant,
    Policy,
    Purpose,
    Rules,
    is_principal_name,
    merge,
    quote,
    spell,
)

__all__ = ["MAX_DOCUMENT_BYTES", "Policy", "parse_policy"]

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_DOMAINS = 255  # a domain is one byte of a token, and 0 is none
MAX_DOTS_PER_LINE = 64  # tomllib takes memory by the square of a dotted key's parts
MAX_MESSAGE_CHARACTERS = 4000  # a reply's status has to fit into the trailers of one call

_MAX_LINE_CHARACTERS = 500
_MAX_NAMES_SHOWN = 20
_VERSION = 1
_LEVELS = {"PLAIN": Reveal.PLAIN, "MASKED": Reveal.MASKED}
_ACTIONS = {action.value: action for action in Action}

_Table = Mapping[str, object]
_Path = tuple[str, ...]


def parse_policy(text: str, field_classes: Collection[str]) -> Policy:
    """Reads and validates a policy.

    Args:
        text: The document, at most 1 MiB of UTF-8.
        field_classes: Names of the declared field classes.

    Raises:
        PolicyInvalidError: The message names each problem and its place, one a line; what exceeds
            4,000 characters is counted instead.
    """
    root = _load(text)
    reader = _Reader(field_classes)
    policy = reader.read(root)
    if reader.problems:
        raise _invalid(reader.problems)
    return policy


def _load(text: str) -> _Table:
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_DOCUMENT_BYTES:
        raise _invalid([f"the document has {size} bytes; the limit is {MAX_DOCUMENT_BYTES}"])
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_DOTS_PER_LINE:
            raise _invalid([f"line {number} has more than {MAX_DOTS_PER_LINE} dots; break it up"])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid([f"not valid TOML: {error}"]) from error
    except (ValueError, RecursionError) as error:
        # tomllib lets these escape for endless numbers and for nesting beyond the stack.
        raise _invalid(["not valid TOML: a number is too long or the nesting too deep"]) from error


def _invalid(problems: Sequence[str]) -> PolicyInvalidError:
    lines: list[str] = []
    room = MAX_MESSAGE_CHARACTERS
    for problem in problems:
        line = problem[:_MAX_LINE_CHARACTERS]
        room -= len(line) + 1
        if room < 0:
            lines.append(f"and {len(problems) - len(lines)} more")
            break
        lines.append(line)
    return PolicyInvalidError("\n".join(lines), problems=str(len(problems)))


class _Reader:
    """Walks one document and collects its problems."""

    def __init__(self, field_classes: Collection[str]) -> None:
        self.problems: list[str] = []
        self._field_classes = frozenset(field_classes)
        self._domains: Collection[str] = ()
        self._purposes: Collection[str] = ()
        self._members: dict[str, Collection[str]] = {}  # each principal's roles

    def read(self, root: _Table) -> Policy:
        self._known_keys(
            (),
            root,
            ("version", "domains", "purposes", "roles", "principals", "budgets", "approvals"),
        )
        version = root.get("version")
        if type(version) is not int or version != _VERSION:
            self._problem(("version",), f"has to be {_VERSION}")
        # Known names first, so that one bad declaration is not also reported at each use.
        domains, purposes = self._section(root, "domains"), self._section(root, "purposes")
        self._domains, self._purposes = domains.keys(), purposes.keys()
        roles = self._read_roles(self._section(root, "roles"))
        policy = Policy(
            domains=self._read_domains(domains),
            purposes=self._read_purposes(purposes),
            principals=self._read_principals(self._section(root, "principals"), roles),
            controls=read_controls(
                root, members=self._members, roles=roles, purposes=purposes, problem=self._problem
            ),
        )
        if not policy.administrators:
            self._problem(("principals",), 'nobody may "admin"; this policy could never be changed again')
        return policy

    def _read_domains(self, section: Mapping[str, _Table]) -> Mapping[str, str]:
        domains = {}
        for name, table in section.items():
            where = ("domains", name)
            self._declared_name(where)
            self._known_keys(where, table, ("description",))
            domains[name] = self._text(where, table, "description")
        if len(domains) > MAX_DOMAINS:
            self._problem(("domains",), f"{len(domains)} domains; the limit is {MAX_DOMAINS}")
        return domains

    def _read_purposes(self, section: Mapping[str, _Table]) -> Mapping[str, Purpose]:
        purposes = {}
        for name, table in section.items():
            where = ("purposes", name)
            self._declared_name(where)
            self._known_keys(where, table, ("description", "allow_restricted", "break_glass"))
            if "description" not in table:
                self._problem(where, "needs a description: what the values are read for")
            allow_restricted = table.get("allow_restricted", False)
            if not isinstance(allow_restricted, bool):
                self._problem((*where, "allow_restricted"), "has to be true or false")
            break_glass = table.get("break_glass", False)
            if not isinstance(break_glass, bool):
                self._problem((*where, "break_glass"), "has to be true or false")
            purposes[name] = Purpose(
                self._text(where, table, "description"), allow_restricted is True, break_glass is True
            )
        return purposes

    def _read_roles(self, section: Mapping[str, _Table]) -> Mapping[str, Rules]:
        roles = {}
        for name, table in section.items():
            where = ("roles", name)
            self._declared_name(where)
            self._known_keys(where, table, ("domains", "may", "reveal"))
            roles[name] = self._rules(where, table)
        return roles

    def _read_principals(
        self, section: Mapping[str, _Table], roles: Mapping[str, Rules]
    ) -> Mapping[str, Rules]:
        principals = {}
        for name, table in section.items():
            where = ("principals", name)
            if not is_principal_name(name):
                self._problem(where, "a principal's name is 1 to 255 printable characters, no outer spaces")
            self._known_keys(where, table, ("roles", "domains", "may", "reveal"))
            chosen = self._choices(where, table, "roles", roles, "role")
            self._members[name] = chosen
            principals[name] = merge([self._rules(where, table), *(roles[role] for role in chosen)])
        return principals

    def _rules(self, where: _Path, table: _Table) -> Rules:
        acts = self._choices(where, table, "may", _ACTIONS, "action")
        return Rules(
            domains=self._choices(where, table, "domains", self._domains, "domain"),
            may=frozenset(_ACTIONS[act] for act in acts),
            grants={
                purpose: self._grants((*where, "reveal", purpose), by_class)
                for purpose, by_class in self._table((*where, "reveal"), table.get("reveal", {})).items()
            },
        )

    def _grants(self, where: _Path, value: object) -> Mapping[str, Grant]:
        if where[-1] not in self._purposes:
            self._problem(where, f"unknown purpose; {_known(self._purposes)}")
        grants = {}
        for field_class, level in self._table(where, value).items():
            line = (*where, field_class)
            if field_class != ANY_CLASS and field_class not in self._field_classes:
                self._problem(line, f"unknown field class; {_known(self._field_classes)}")
            reveal = _LEVELS.get(level) if isinstance(level, str) else None
            if reveal is None:
                self._problem(line, 'has to be "PLAIN" or "MASKED"; to deny, leave the line out')
            else:
                grants[field_class] = Grant(reveal, _place(line))
        return grants

    def _section(self, root: _Table, name: str) -> Mapping[str, _Table]:
        section = self._table((name,), root.get(name, {}))
        return {key: self._table((name, key), value) for key, value in section.items()}

    def _known_keys(self, where: _Path, table: _Table, known: Sequence[str]) -> None:
        for key in sorted(table.keys() - set(known)):
            self._problem((*where, key), f"unknown key; {_known(known)}")

    def _table(self, where: _Path, value: object) -> _Table:
        if isinstance(value, dict):
            return value
        self._problem(where, "has to be a table")
        return {}

    def _text(self, where: _Path, table: _Table, key: str) -> str:
        value = table.get(key, "")
        if key in table and not (isinstance(value, str) and value.strip()):
            self._problem((*where, key), "has to be text, and not empty")
        return value if isinstance(value, str) else ""

    def _choices(
        self, where: _Path, table: _Table, key: str, known: Collection[str], kind: str
    ) -> tuple[str, ...]:
        """The strings of a list that are among `known`; everything else in it is a problem."""
        value = table.get(key, [])
        if not isinstance(value, list):
            self._problem((*where, key), f"has to be a list of {kind}s")
            return ()
        chosen: dict[str, None] = {}
        for item in value:
            if not isinstance(item, str):
                self._problem((*where, key), f"has to be a list of {kind}s, each in quotes")
            elif item not in known:
                self._problem((*where, key), f"unknown {kind} {spell(item)}; {_known(known)}")
            elif item in chosen:
                self._problem((*where, key), f"{kind} {spell(item)} stands there twice")
            else:
                chosen[item] = None
        return tuple(chosen)

    def _declared_name(self, where: _Path) -> None:
        if not is_name(where[-1]):
            self._problem(where, "a name is a lower-case letter, then up to 62 of a-z, 0-9 and _")

    def _problem(self, where: _Path, what: str) -> None:
        self.problems.append(f"{_place(where)}: {what}")


def _place(where: _Path) -> str:
    return ".".join(quote(key) if key == ANY_CLASS else spell(key) for key in where)


def _known(names: Collection[str]) -> str:
    if not names:
        return "none is declared"
    shown = [spell(name) for name in sorted(names)[:_MAX_NAMES_SHOWN]]
    return f"known: {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}"
