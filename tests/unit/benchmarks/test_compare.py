"""A regression is told from noise, and from a slower machine."""

import random

import pytest
from rich.console import Console

from benchmarks.compare import changes, noise_of, print_changes
from benchmarks.figures import C_LOOP, ECHO, EFFICIENCY, VAULT, Answer, Figure, row_of
from benchmarks.results import Result


def result(*figures: Figure) -> Result:
    return Result("", "tiny", 1.0, "", {}, (Answer("question", "", "", figures),))


def figure(*runs: float, better: str = "higher") -> Figure:
    return Figure("row", "column", "values/s", runs, better)  # type: ignore[arg-type]


def verdict(before: Figure, after: Figure) -> str:
    [change] = changes([(result(before), result(after))])
    return change.verdict


def noisy(level: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [level * rng.uniform(0.95, 1.05) for _ in range(5)]


@pytest.mark.parametrize(("factor", "expected"), [(0.7, "worse"), (1.4, "better"), (1.0, "same")])
def test_a_change_beyond_noise_is_told(factor: float, expected: str) -> None:
    assert verdict(figure(*noisy(1000, 1)), figure(*noisy(1000 * factor, 2))) == expected


def test_less_may_be_better() -> None:
    assert verdict(figure(10, 10, 10, better="lower"), figure(13, 13, 13, better="lower")) == "worse"
    assert verdict(figure(10, 10, 10, better="lower"), figure(7, 7, 7, better="lower")) == "better"


def test_what_has_no_direction_is_not_judged() -> None:
    assert verdict(figure(10, 10, 10, better=""), figure(20, 20, 20, better="")) == "not judged"


def test_a_slower_machine_is_no_regression() -> None:
    rates = {VAULT: [300.0] * 5, ECHO: [900.0] * 5, C_LOOP: [800.0] * 5}
    slower = {name: [run / 2 for run in runs] for name, runs in rates.items()}
    found = list(changes([(result(*row_of("row", rates)), result(*row_of("row", slower)))]))
    assert {each.figure.column: each.verdict for each in found} == {
        VAULT: "not judged", ECHO: "not judged", C_LOOP: "not judged", EFFICIENCY: "same",
    }  # fmt: skip


def test_a_slower_vault_on_the_same_machine_is_one() -> None:
    rates = {VAULT: [300.0] * 5, ECHO: [900.0] * 5, C_LOOP: [800.0] * 5}
    found = changes([(result(*row_of("row", rates)), result(*row_of("row", rates | {VAULT: [250.0] * 5})))])
    assert [each.figure.column for each in found if each.verdict == "worse"] == [EFFICIENCY]


def test_one_run_says_little_and_several_pairs_say_more() -> None:
    once = result(figure(100)), result(figure(85))
    assert next(changes([once])).verdict == "same"
    assert next(changes([once] * 3)).verdict == "worse"


def test_the_noise_of_runs_far_apart_is_large() -> None:
    assert noise_of([1.0] * 5) == 0.03
    assert noise_of([0.8, 0.9, 1.0, 1.1, 1.2]) > 0.2
    assert noise_of([1.0, 1.0]) == 0.30


def test_what_was_nothing_and_is_something_is_worse() -> None:
    assert verdict(figure(0, better="lower"), figure(1, better="lower")) == "worse"
    assert verdict(figure(0, better="lower"), figure(0, better="lower")) == "same"


def test_only_what_both_have_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    other = Figure("another row", "column", "values/s", (1.0,))
    found = list(changes([(result(figure(10, 10, 10), other), result(figure(5, 5, 5)))]))
    assert print_changes(Console(width=120), found) == 1
    said = capsys.readouterr().out
    assert "WORSE" in said
    assert "-50.0 %" in said
    assert "1 figures judged, 1 worse" in said
