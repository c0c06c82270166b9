"""Walks a document's tables and collects its problems, each with its place."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from vault.model.ids import is_name
from vault.policy.rules import ANY_CLASS, quote, spell

Table = Mapping[str, object]
Path = tuple[str, ...]

_MAX_NAMES_SHOWN: Final = 20


class Reader:
    """The problems of one document, and what its tables hold."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def problem(self, where: Path, what: str) -> None:
        """Notes a problem."""
        self.problems.append(f"{place(where)}: {what}")

    def section(self, root: Table, name: str) -> Mapping[str, Table]:
        """A table of tables."""
        section = self.table((name,), root.get(name, {}))
        return {key: self.table((name, key), value) for key, value in section.items()}

    def known_keys(self, where: Path, table: Table, allowed: Sequence[str]) -> None:
        """An unknown key is a problem: a typing error must not quietly grant less or more."""
        for key in sorted(table.keys() - set(allowed)):
            self.problem((*where, key), f"unknown key; {known(allowed)}")

    def table(self, where: Path, value: object) -> Table:
        """A table; an empty one in place of anything else."""
        if isinstance(value, dict):
            return value
        self.problem(where, "has to be a table")
        return {}

    def text(self, where: Path, table: Table, key: str) -> str:
        """Text, where the key is there at all."""
        value = table.get(key, "")
        if key in table and not (isinstance(value, str) and value.strip()):
            self.problem((*where, key), "has to be text, and not empty")
        return value if isinstance(value, str) else ""

    def flag(self, where: Path, table: Table, key: str, otherwise: bool = False) -> bool:
        """True or false."""
        value = table.get(key, otherwise)
        if not isinstance(value, bool):
            self.problem((*where, key), "has to be true or false")
        return value is True

    def choice(self, where: Path, table: Table, key: str, allowed: Collection[str], kind: str) -> str:
        """One of the strings in `allowed`, empty where the key is missing or wrong."""
        value = table.get(key, "")
        if key not in table:
            return ""
        if not isinstance(value, str) or value not in allowed:
            wrong = f"unknown {kind} {spell(value)}" if isinstance(value, str) else "has to be text in quotes"
            self.problem((*where, key), f"{wrong}; {known(allowed)}")
            return ""
        return value

    def choices(
        self, where: Path, table: Table, key: str, allowed: Collection[str], kind: str
    ) -> tuple[str, ...]:
        """The strings of a list that are among `allowed`; everything else in it is a problem."""
        value = table.get(key, [])
        if not isinstance(value, list):
            self.problem((*where, key), f"has to be a list of {kind}s")
            return ()
        chosen: dict[str, None] = {}
        for item in value:
            if not isinstance(item, str):
                self.problem((*where, key), f"has to be a list of {kind}s, each in quotes")
            elif item not in allowed:
                self.problem((*where, key), f"unknown {kind} {spell(item)}; {known(allowed)}")
            elif item in chosen:
                self.problem((*where, key), f"{kind} {spell(item)} stands there twice")
            else:
                chosen[item] = None
        return tuple(chosen)

    def declared_name(self, where: Path) -> None:
        """The last part of `where` names something new."""
        if not is_name(where[-1]):
            self.problem(where, "a name is a lower-case letter, then up to 62 of a-z, 0-9 and _")


def place(where: Path) -> str:
    """A path as it is written in the document."""
    return ".".join(quote(key) if key == ANY_CLASS else spell(key) for key in where)


def known(names: Collection[str]) -> str:
    """What may stand where something unknown stood."""
    if not names:
        return "none is declared"
    shown = [spell(name) for name in sorted(names)[:_MAX_NAMES_SHOWN]]
    return f"known: {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}"
