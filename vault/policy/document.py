"""Reads the policy document: TOML in, `Policy` out, or every problem at once.

    version = 1
    rules = '...'               Cedar policies of one's own; see `compiling`
    [domains.<domain>]          description (optional)
    [purposes.<purpose>]        see `purposes`
    [residency]                 see `purposes`
    [roles.<role>]              domains, may, training = false
    [roles.<role>.reveal.<purpose>]           <field class or "*"> = "PLAIN" | "MASKED" | an answer
                                              or a list of them: ["MASKED", "PSEUDONYM"]
    [principals.<name>]         roles, domains, may, training = false, training_valid_until, region
    [principals.<name>.reveal.<purpose>]      as for roles
    [[examples]]                see `examples`
    [budgets.<budget>]  [approvals]           see `controls`

Rules:
- An unknown key is a problem, not a remark: a typing error must not quietly grant less or more.
- Everything named (domain, purpose, role, action, field class) must be declared.
- Somebody must hold `admin`, or nobody could ever mend the policy.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from vault.errors import PolicyInvalidError
from vault.model.access import ANSWERS, Action, Reveal
from vault.policy.cedar import read_rules
from vault.policy.controls import read_controls
from vault.policy.examples import read_examples
from vault.policy.jurisdictions import is_place
from vault.policy.purposes import read_purposes, read_residency
from vault.policy.reading import Path, Reader, Table, known, place
from vault.policy.rules import (
    ANY_CLASS,
    Grant,
    Policy,
    Rules,
    is_principal_name,
    merge,
)

__all__ = ["MAX_DOCUMENT_BYTES", "Policy", "parse_policy"]

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_DOMAINS = 255  # a domain is one byte of a token, and 0 is none
MAX_DOTS_PER_LINE = 64  # tomllib takes memory by the square of a dotted key's parts
MAX_MESSAGE_CHARACTERS = 4000  # a reply's status has to fit into the trailers of one call

_MAX_LINE_CHARACTERS = 500
_VERSION = 1
_VALUES = {"PLAIN": Reveal.PLAIN, "MASKED": Reveal.MASKED}
_ANSWERS = {each.name: each for each in sorted(ANSWERS)}
_WRONG_LEVEL = (
    'has to be "PLAIN", "MASKED" or a list of answers, with one of the two or without: '
    f"{', '.join(_ANSWERS)}; to deny, leave the line out"
)
_PRINCIPAL_KEYS = ("roles", "domains", "may", "reveal", "training", "training_valid_until", "region")
_A_DAY = timedelta(days=1)
_ACTIONS = {action.value: action for action in Action}

_SECTIONS = (
    "version",
    "rules",
    "domains",
    "purposes",
    "residency",
    "roles",
    "principals",
    "examples",
    "budgets",
    "approvals",
)


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
    reader = _DocumentReader(text, field_classes)
    policy = reader.read(root)
    if reader.problems:
        raise _invalid(reader.problems)
    return policy


def _load(text: str) -> Table:
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


def _grant(level: object, line: str) -> Grant | None:
    """What a line says; None where it says nothing that can be granted."""
    named = level if isinstance(level, list) else [level]
    if not named or not all(isinstance(each, str) and each in (*_VALUES, *_ANSWERS) for each in named):
        return None
    values = [_VALUES[each] for each in named if each in _VALUES]
    answers = frozenset(_ANSWERS[each] for each in named if each in _ANSWERS)
    if len(values) > 1 or len(values) + len(answers) != len(named):
        return None
    return Grant(values[0] if values else Reveal.NONE, line, answers)


class _DocumentReader(Reader):
    """Walks one document."""

    def __init__(self, document: str, field_classes: Collection[str]) -> None:
        super().__init__()
        self._document = document
        self._field_classes = frozenset(field_classes)
        self._domains: Collection[str] = ()
        self._purposes: Collection[str] = ()
        self._members: dict[str, Collection[str]] = {}  # each principal's roles

    def read(self, root: Table) -> Policy:
        self.known_keys((), root, _SECTIONS)
        version = root.get("version")
        if type(version) is not int or version != _VERSION:
            self.problem(("version",), f"has to be {_VERSION}")
        # Known names first, so that one bad declaration is not also reported at each use.
        domains, purposes = self.section(root, "domains"), self.section(root, "purposes")
        self._domains, self._purposes = domains.keys(), purposes.keys()
        roles = self._read_roles(self.section(root, "roles"))
        own = self._read_principals(self.section(root, "principals"), roles)
        policy = Policy(
            domains=self._read_domains(domains),
            purposes=read_purposes(self, purposes),
            principals={
                name: merge([rules, *(roles[role] for role in rules.roles)]) for name, rules in own.items()
            },
            own=own,
            controls=read_controls(
                root,
                members={name: rules.roles for name, rules in own.items()},
                roles=roles,
                purposes=purposes,
                problem=self.problem,
            ),
            roles=roles,
            residency=read_residency(self, root.get("residency", {})),
            rules=self._read_rules(self.text((), root, "rules"), own, roles),
            examples=read_examples(
                self,
                root.get("examples", []),
                {"principal": own, "purpose": purposes, "field_class": self._field_classes},
            ),
        )
        if not policy.administrators:
            self.problem(("principals",), 'nobody may "admin"; this policy could never be changed again')
        return policy

    def _read_domains(self, section: Mapping[str, Table]) -> Mapping[str, str]:
        domains = {}
        for name, table in section.items():
            where = ("domains", name)
            self.declared_name(where)
            self.known_keys(where, table, ("description",))
            domains[name] = self.text(where, table, "description")
        if len(domains) > MAX_DOMAINS:
            self.problem(("domains",), f"{len(domains)} domains; the limit is {MAX_DOMAINS}")
        return domains

    def _read_roles(self, section: Mapping[str, Table]) -> Mapping[str, Rules]:
        roles = {}
        for name, table in section.items():
            where = ("roles", name)
            self.declared_name(where)
            self.known_keys(where, table, ("domains", "may", "reveal", "training"))
            roles[name] = self._rules(where, table)
        return roles

    def _read_principals(
        self, section: Mapping[str, Table], roles: Mapping[str, Rules]
    ) -> Mapping[str, Rules]:
        principals = {}
        for name, table in section.items():
            where = ("principals", name)
            if not is_principal_name(name):
                self.problem(where, "a principal's name is 1 to 255 printable characters, no outer spaces")
            self.known_keys(where, table, _PRINCIPAL_KEYS)
            chosen = self.choices(where, table, "roles", roles, "role")
            region = self.text(where, table, "region")
            if region and not is_place(region):
                self.problem((*where, "region"), 'has to be a code such as "DE", or "EU" or "EEA"')
            principals[name] = replace(
                self._rules(where, table),
                roles=chosen,
                region=region,
                training_until_ms=self._moment(where, table, "training_valid_until"),
            )
        return principals

    def _read_rules(self, text: str, principals: Collection[str], roles: Collection[str]) -> str:
        """The document's own Cedar policies; a problem names the line of the document, if it can be told."""
        names = {
            "Principal": principals,
            "Role": roles,
            "Purpose": self._purposes,
            "FieldClass": self._field_classes,
        }
        position = self._document.find(text)
        before = self._document.count("\n", 0, position) if position > 0 else 0
        for line, problem in read_rules(text, names)[1]:
            where = f"line {line + before}" if position > 0 else f"its line {line}"
            self.problem(("rules",), f"{where}: {problem}")
        return text

    def _rules(self, where: Path, table: Table) -> Rules:
        acts = self.choices(where, table, "may", _ACTIONS, "action")
        return Rules(
            domains=self.choices(where, table, "domains", self._domains, "domain"),
            may=frozenset(_ACTIONS[act] for act in acts),
            grants={
                purpose: self._grants((*where, "reveal", purpose), by_class)
                for purpose, by_class in self.table((*where, "reveal"), table.get("reveal", {})).items()
            },
            training=self.flag(where, table, "training"),
        )

    def _grants(self, where: Path, value: object) -> Mapping[str, Grant]:
        if where[-1] not in self._purposes:
            self.problem(where, f"unknown purpose; {known(self._purposes)}")
        grants = {}
        for field_class, level in self.table(where, value).items():
            line = (*where, field_class)
            if field_class != ANY_CLASS and field_class not in self._field_classes:
                self.problem(line, f"unknown field class; {known(self._field_classes)}")
            grant = _grant(level, place(line))
            if grant is None:
                self.problem(line, _WRONG_LEVEL)
            else:
                grants[field_class] = grant
        return grants

    def _moment(self, where: Path, table: Table, key: str) -> int:
        """The end of a day, or a moment, in milliseconds since 1970; 0 where there is none. UTC."""
        value = table.get(key)
        if value is None:
            return 0
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        elif isinstance(value, date):
            moment = datetime.combine(value, time(0), UTC) + _A_DAY  # the day itself is included
        else:
            self.problem((*where, key), "has to be a date such as 2027-01-31, not in quotes")
            return 0
        return max(1, int(moment.timestamp() * 1000))
