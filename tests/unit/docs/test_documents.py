"""What the documents name is there: links, paths, symbols, commands, settings, reasons, vectors."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from vault.cli.main import build
from vault.config import Settings
from vault.errors import Reason
from vault.store.entries import EntryType

ROOT = Path(__file__).parents[3]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "clients" / "python" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = ("vault", "docs", "tests", "clients", "proto", "deploy", "benchmarks", ".ci", ".github")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_SYMBOL = re.compile(r"`([\w./-]+\.py)` \(`([\w.]+)`\)")
_MACHINE_PATH = re.compile(r"(?<![\w.~}-])/(?:work|root|home|Users|tmp)(?:/|\b)")

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(path: Path) -> str:
    """The document without its fenced blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def blocks(path: Path, *languages: str) -> Iterator[str]:
    for language, content in _FENCE.findall(path.read_text(encoding="utf-8")):
        if language in languages:
            yield content


def anchors(path: Path) -> set[str]:
    """What links can point to within a document: its headings in lower case, without signs."""
    headings = [heading.lower() for heading in _HEADING.findall(prose(path))]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@every_document
def test_relative_links_resolve(path: Path) -> None:
    broken = []
    for target in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert not broken


@every_document
def test_paths_of_the_repository_exist(path: Path) -> None:
    named = {text for text in _CODE.findall(prose(path)) if re.fullmatch(r"[\w./*-]+/[\w./*-]*", text)}
    here = {text for text in named if text.split("/")[0] in SOURCES}
    missing = [text for text in here if not list(ROOT.glob(text.rstrip("/")))]
    assert not missing


@every_document
def test_symbols_stand_in_the_files_that_are_said_to_hold_them(path: Path) -> None:
    lost = []
    for file, symbol in _SYMBOL.findall(prose(path)):
        held = (ROOT / file).read_text(encoding="utf-8")
        if not re.search(rf"\b{re.escape(symbol.split('.')[-1])}\b", held):
            lost.append((file, symbol))
    assert not lost


@every_document
def test_reasons_and_entries_are_real(path: Path) -> None:
    known = {*Reason, *EntryType.__members__}
    known |= set(re.findall(r"\bCVAULT_[A-Z_]+\b|\b[A-Z]+_[A-Z_]+\b", code_of_the_project()))
    named = {text for text in _CODE.findall(prose(path)) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", text)}
    assert named <= known


def code_of_the_project() -> str:
    folders = (ROOT / "vault", ROOT / "clients" / "python" / "customervault")
    return "\n".join(file.read_text(encoding="utf-8") for folder in folders for file in folder.rglob("*.py"))


@every_document
def test_settings_are_real(path: Path) -> None:
    known = {
        f"{section.name}.{key.name}"
        for section in fields(Settings)
        if section.name not in ("fields", "search")
        for key in fields(getattr(Settings(), section.name))
    }
    sections = {name.split(".")[0] for name in known}
    named = {text for text in _CODE.findall(prose(path)) if re.fullmatch(r"[a-z]+\.[a-z_]+", text)}
    assert {text for text in named if text.split(".")[0] in sections} <= known


@every_document
def test_commands_are_real(path: Path) -> None:
    root = typer.main.get_command(build())
    wrong = []
    for block in blocks(path, "console", "sh"):
        for line in re.findall(r"(?:^|[|($ ])cvault ([^|)\n#]*)", block, re.MULTILINE):
            command, words = root, line.split()
            while words and hasattr(command, "commands") and words[0] in command.commands:
                command = command.commands[words.pop(0)]
            if hasattr(command, "commands"):
                wrong.append(f"{line}: no such command")
                continue
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            used = [word.partition("=")[0] for word in words if word.startswith("--")]
            wrong += [f"{line}: no {option}" for option in used if option not in known]
    assert not wrong


@every_document
def test_nothing_of_the_machine_it_was_written_on_is_named(path: Path) -> None:
    assert not _MACHINE_PATH.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", list(blocks(ROOT / "docs" / "formats.md", "vector")))
def test_quoted_vectors_are_the_ones_in_the_vector_files(block: str) -> None:
    title, *lines = block.splitlines()
    file, _, comment = title.partition(": ")
    document = json.loads((ROOT / file).read_text(encoding="utf-8"))
    (case,) = [each for each in document["tests"] if each["comment"] == comment]
    quoted: dict[str, str] = {}
    name = ""
    for line in lines:
        if not line.startswith(" "):
            name, _, line = line.partition(" ")
            quoted[name] = ""
        quoted[name] += line.strip() if not quoted[name] else line.lstrip()
    assert quoted
    assert quoted == {name: case[name] for name in quoted}


def test_every_own_format_is_quoted() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    own = {path.name for path in (ROOT / "tests" / "vectors").glob("*_v1.json")}
    assert own
    assert own <= set(re.findall(r"^tests/vectors/(\S+\.json): ", text, re.MULTILINE))


def test_the_document_of_formats_names_every_type_of_ledger_entry() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    listed = {name: int(number) for number, name in re.findall(r"^\| (\d+) ([A-Z_]+) \|", text, re.MULTILINE)}
    assert listed == {entry.name: entry.value for entry in EntryType}
