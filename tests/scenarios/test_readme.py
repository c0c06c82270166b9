"""The README's session, run as it is written there.

Every line after `$ ` goes to one bash, against a real development vault. What it prints must be what the
README shows; `…` there stands for text that differs from run to run, and blank lines and outer spaces do
not count.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from customervault import pytest_plugin

README = Path(__file__).parents[2] / "README.md"
_SESSION = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "----- next command -----"
_SECONDS = 120


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What `make serve` prints to be exported, and the installed `cvault`."""
    executable = pytest_plugin.find_executable()
    assert executable is not None
    vault, process = pytest_plugin.start(executable, tmp_path)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    yield os.environ | vault.environment | {"PATH": path}
    pytest_plugin.stop(process, tmp_path)


def session() -> list[tuple[str, list[str]]]:
    """Commands of the README's first block, each with the lines that it prints."""
    found = _SESSION.search(README.read_text(encoding="utf-8"))
    assert found is not None
    steps: list[tuple[str, list[str]]] = []
    for line in found[1].splitlines():
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ "), []))
        else:
            steps[-1][1].append(line)
    return steps


def fits(shown: str, printed: str) -> bool:
    """Whether a printed line is the one that the README shows."""
    pattern = ".+".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, printed) is not None


def test_session_of_the_readme(environment: dict[str, str], tmp_path: Path) -> None:
    steps = session()
    script = "".join(f"{command}\necho '{_MARK}'\n" for command, _ in steps)
    run = subprocess.run(
        ["bash"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=_SECONDS,
        check=True,
    )
    outputs = run.stdout.split(f"{_MARK}\n")[:-1]
    for (command, shown), output in zip(steps, outputs, strict=True):
        printed = [line.strip() for line in output.splitlines() if line.strip()]
        wanted = [line.strip() for line in shown if line.strip()]
        assert len(printed) == len(wanted), f"$ {command}\n{output}"
        for expected, line in zip(wanted, printed, strict=True):
            assert fits(expected, line), f"$ {command}\n{line}\ninstead of\n{expected}"


def test_session_shows_what_the_vault_is_for() -> None:
    commands = [command for command, _ in session()]
    shown = [" ".join(lines) for _, lines in session()]
    assert any("cvault tokenize" in command for command in commands)
    assert any("PURPOSE_DENIED" in lines for lines in shown)
    assert commands.index("cvault shred crm-1 --yes") < len(commands) - 1
    assert "SHREDDED" in shown[-1]


def test_the_session_stands_on_the_first_screen() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert lines.index("```console") < 8
    assert lines.index("```") < 40
