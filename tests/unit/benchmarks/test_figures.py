"""The mathematics of the figures."""

import pytest

from benchmarks.figures import C_LOOP, ECHO, EFFICIENCY, VAULT, Answer, Figure, efficiency, percentile, row_of


def test_a_figure_is_the_median_of_its_runs() -> None:
    assert Figure("row", "column", "s", (5.0, 1.0, 2.0)).median == 2


def test_efficiency_is_one_where_a_value_costs_what_echo_and_c_loop_cost_together() -> None:
    echo, c_loop = 400.0, 100.0
    together = 1 / (1 / echo + 1 / c_loop)
    assert efficiency([together, together / 2], [echo, echo], [c_loop, c_loop]) == pytest.approx((1.0, 0.5))


def test_efficiency_is_taken_run_by_run_so_that_a_slow_minute_cancels_out() -> None:
    [row] = [
        each for each in row_of("r", {VAULT: [40, 20], ECHO: [200, 100], C_LOOP: [50, 25]}) if not each.unit
    ]
    assert row.column == EFFICIENCY
    assert row.runs == pytest.approx((1.0, 1.0))


def test_without_denominators_there_is_no_efficiency() -> None:
    assert [figure.column for figure in row_of("r", {VAULT: [40], ECHO: [200]})] == [VAULT, ECHO]


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 500), (99, 990), (99.9, 999), (99.99, 1000), (100, 1000), (0.01, 1)]
)
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(percent: float, expected: int) -> None:
    assert percentile(range(1, 1001), percent) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_rows_and_columns_keep_the_order_in_which_they_came() -> None:
    figures = [Figure(row, column, "", (1.0,)) for row in "ba" for column in "yx"]
    answer = Answer("name", "title", "note", tuple(figures))
    assert (answer.rows, answer.columns) == (["b", "a"], ["y", "x"])
    assert answer.at("a", "y") == figures[2]
    assert answer.at("a", "z") is None
