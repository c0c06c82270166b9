"""What a run of the suite found, as a file that later runs are compared with.

{"format": 1, "time": ..., "size": ..., "seconds": ..., "commit": ..., "machine": {...},
"answers": [{"name", "title", "note", "figures": [{"row", "column", "unit", "better", "runs"}]}]}
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Answer, Figure

FOLDER = Path(__file__).parent / "results"
_FORMAT = 1


class ResultError(Exception):
    """A file is no result of this suite."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the suite.

    Attributes:
        time: When it ended, ISO 8601 in UTC.
        size: Name of the size.
        seconds: How long it took.
        commit: Of the tree, with "+" where files had been changed; empty outside a repository.
        machine: As `machine.facts` tells.
        answers: In the order asked.
    """

    time: str
    size: str
    seconds: float
    commit: str
    machine: Mapping[str, object]
    answers: tuple[Answer, ...]

    def answer(self, name: str) -> Answer | None:
        """To one question, if it was asked."""
        return next((each for each in self.answers if each.name == name), None)


def result_now(size: str, seconds: float, machine: Mapping[str, object], answers: Sequence[Answer]) -> Result:
    """A result that ends at this moment, of this tree."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return Result(time, size, round(seconds, 1), _commit(), machine, tuple(answers))


def save(result: Result, path: Path) -> None:
    """Writes a result; figures keep six digits."""
    document = {"format": _FORMAT} | asdict(result)
    for answer in document["answers"]:
        for figure in answer["figures"]:
            figure["runs"] = [float(f"{run:.6g}") for run in figure["runs"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def load(path: Path) -> Result:
    """Reads a result.

    Raises:
        ResultError: It is none, or of another format.
    """
    try:
        document = json.loads(path.read_text())
        if document.pop("format") != _FORMAT:
            raise ResultError(f"{path} is of another format")
        answers = tuple(
            Answer(
                answer["name"],
                answer["title"],
                answer["note"],
                tuple(Figure(**figure | {"runs": tuple(figure["runs"])}) for figure in answer["figures"]),
            )
            for answer in document.pop("answers")
        )
        return Result(answers=answers, **document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{path} is no result of this suite") from error


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=FOLDER.parent, check=False, capture_output=True, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    short = git("rev-parse", "--short=12", "HEAD")
    return short + ("+" if short and git("status", "--porcelain", "--untracked-files=no") else "")
