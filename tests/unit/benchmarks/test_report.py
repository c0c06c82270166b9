"""The mathematics of the report, and the file that it is kept in."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.import_rate import ImportRate
from benchmarks.report import YARDSTICK, Contest, Run, document, print_detokenize, print_import, ratio, save

VAULT = Contest("vault", "contact", (Run(100, 1.0, 2.0), Run(300, 1.0, 2.0), Run(200, 2.0, 1.0)))
PLAIN = Contest(YARDSTICK, "contact", (Run(400, 1.0, 1.0),))
PLAIN_RANDOM = Contest(YARDSTICK, "random", (Run(50, 1.0, 1.0),))
IMPORTED = ImportRate(contacts=10, values=60, seconds=3.0, server_cpu_seconds=2.0)


def test_rates_are_medians_of_the_runs_not_of_their_sums() -> None:
    assert VAULT.per_core == 100
    assert VAULT.per_second == 150
    assert VAULT.spread == (100, 300)


def test_the_rate_for_a_core_divides_by_cpu_and_the_other_by_the_wall() -> None:
    run = Run(values=600, cpu_seconds=2.0, seconds=3.0)
    assert (run.per_core, run.per_second) == (300, 200)


def test_a_ratio_is_taken_to_the_yardstick_of_the_same_shape() -> None:
    assert ratio(VAULT, [PLAIN_RANDOM, PLAIN, VAULT]) == 0.25
    assert ratio(PLAIN, [PLAIN]) == 1
    assert ratio(VAULT, [PLAIN_RANDOM, VAULT]) is None


def test_the_tables_show_rates_and_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=120)
    print_import(console, IMPORTED, Run(60, 0.5, 0.25))
    print_detokenize(console, [VAULT, PLAIN])
    said = capsys.readouterr().out
    [imported] = [line.split() for line in said.splitlines() if "cvault import" in line]
    assert imported[-4:] == ["60", "3.0", "20", "2.0"]
    [vault] = [line.split() for line in said.splitlines() if line.split()[:1] == ["vault"]]
    assert vault[1:] == ["100", "100", "300", "150", "0.25"]


def test_a_saved_result_holds_machine_rates_and_every_run(tmp_path: Path) -> None:
    path = save(
        "a-name", document({"cores": 2}, IMPORTED, Run(60, 0.5, 0.25), [VAULT, PLAIN]), tmp_path / "new"
    )
    assert path.name.endswith("-a-name.json")
    found = json.loads(path.read_text())
    assert found["machine"] == {"cores": 2}
    assert found["import"]["values_per_second"] == 20
    vault = found["detokenize"][0]
    assert (vault["values_per_second_a_core"], vault["of_plain_loop"], len(vault["runs"])) == (100, 0.25, 3)
