"""The suite runs, start to end: the smallest version of each question, on real vaults."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.figures import C_LOOP, ECHO, EFFICIENCY, VAULT
from benchmarks.questions import QUESTIONS
from benchmarks.results import Result

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def benchmarks(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    done = benchmarks("run", "--size", "tiny", "--out", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = folder.glob("*.json")
    return found


@pytest.fixture(scope="module")
def result(path: Path) -> Result:
    return results.load(path)


def test_every_question_is_answered(result: Result) -> None:
    assert [answer.name for answer in result.answers] == list(QUESTIONS)


def test_every_rate_was_measured(result: Result) -> None:
    for answer in result.answers:
        for figure in answer.figures:
            if "/s" in figure.unit:
                assert figure.median > 0, (answer.name, figure.row, figure.column)


def test_batches_stand_beside_their_denominators(result: Result) -> None:
    answer = result.answer("batches")
    assert answer is not None
    for row in answer.rows:
        assert {VAULT, ECHO, C_LOOP, EFFICIENCY} <= {
            each.column for each in answer.figures if each.row == row
        }


def test_no_read_succeeded_after_its_shred(result: Result) -> None:
    answer = result.answer("shred_storm")
    assert answer is not None
    shredded, read = (answer.at("shreds", column) for column in ("acknowledged", "read afterwards"))
    assert shredded is not None
    assert read is not None
    assert shredded.median > 0
    assert read.median == 0


def test_no_call_failed_at_half_of_the_peak(result: Result) -> None:
    answer = result.answer("latency")
    assert answer is not None
    failed = [each for each in answer.figures if each.column == "failed" and "50 % of peak" in each.row]
    assert {each.median for each in failed} == {0}


def test_a_result_is_no_worse_than_itself_and_has_a_page(path: Path) -> None:
    done = benchmarks("compare", path, path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 worse" in done.stdout
    assert "</html>" in path.with_suffix(".html").read_text(encoding="utf-8")
