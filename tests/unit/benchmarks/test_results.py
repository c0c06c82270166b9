"""A result is kept as it was, shown as tables and as a page, and fills the README."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import page, readme, results
from benchmarks.figures import C_LOOP, ECHO, VAULT, Answer, Figure, merged, row_of
from benchmarks.questions import batches
from benchmarks.results import Result, ResultError
from benchmarks.table import print_result

ROOT = Path(__file__).parents[3]
RATES = {VAULT: [300_000.0, 310_000.0, 290_000.0], ECHO: [1e6, 1e6, 1e6], C_LOOP: [1e6, 1e6, 1e6]}
MACHINE = {"cpu": "A <fast> one", "cores": 2, "memory_gib": 4.0, "python": "3.11", "lmdb": "0.9.36"}


def answers() -> tuple[Answer, ...]:
    rows = [
        row_of(batches.row(shape, batch), RATES) for shape in ("contact", "random") for batch in (100, 1000)
    ]
    curve = [Figure("100 values a call, 50 % of peak", name, "ms", (took,), "lower") for name, took in
             (("p50", 0.5), ("p99", 2.0), ("max", 30.0))]  # fmt: skip
    return (
        Answer("batches", "Batches & co", "a note", merged(rows)),
        Answer("unary", "Single values", "a note", tuple(row_of("one value a call", RATES))),
        Answer("latency", "Latency", "a note", tuple(curve)),
        Answer(
            "imports", "Import", "a note", (Figure("20 countries", "on the wall", "values/s", (41_234.0,)),)
        ),
    )


@pytest.fixture
def result() -> Result:
    return results.result_now("tiny", 12.34, MACHINE, answers())


class Parsed(HTMLParser):
    """What a page holds and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "data", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_saved_result_is_read_as_it_was(result: Result, tmp_path: Path) -> None:
    results.save(result, tmp_path / "new" / "result.json")
    assert results.load(tmp_path / "new" / "result.json") == result


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "answers": []}'])
def test_another_file_is_no_result(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ResultError):
        results.load(path)


def test_the_tables_show_medians_efficiency_and_how_to_read_them(
    result: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(Console(width=160), result)
    said = capsys.readouterr().out
    [row] = [line for line in said.splitlines() if batches.row("contact", 1000) in line]
    assert re.findall(r"[\d,.]+(?= |$)", row.split("customer")[1].replace("±", " ±"))[0] == "300,000"
    assert "0.60 ±3%" in row
    assert "1.0 would be nothing but gRPC and the C loop" in said


def test_the_page_loads_nothing_and_shows_every_row(result: Result) -> None:
    text = page.page(result)
    parsed = Parsed(text)
    assert not parsed.loaded
    assert "url(" not in text
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    assert "prefers-color-scheme: dark" in text
    assert parsed.tags.count("svg") == 6  # rates and efficiency of two, curves, import
    for answer in result.answers:
        for row in answer.rows:
            assert row in parsed.text
    assert "A <fast> one" in parsed.text


def test_a_figure_without_runs_above_zero_is_plotted_all_the_same(result: Result) -> None:
    nothing = Answer(
        "shreds", "Shreds", "", (Figure("shreds", "read afterwards", "values", (0.0,), "lower"),)
    )
    assert "<rect" in page.page(replace(result, answers=(nothing,)))


def test_the_readme_s_block_is_made_from_a_result(result: Result, tmp_path: Path) -> None:
    target = tmp_path / "README.md"
    target.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    readme.fill(result, "some.json", target)
    text = target.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "old" not in text
    assert "| batches of 1,000, five values a customer | 300,000 | 1,000,000 | 1,000,000 | 0.60 |" in text
    assert "41,200 values/s" in text


def test_a_readme_without_a_block_is_an_error(result: Result, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="no block"):
        readme.fill(result, "some.json", tmp_path / "README.md")


def test_the_figures_in_the_readme_are_those_of_the_result_that_it_names() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [held] = re.findall(f"{readme.BEGIN}.*?{readme.END}", text, re.DOTALL)
    [source] = re.findall(r"`benchmarks/results/([\w.-]+\.json)`", held)
    assert held == readme.block(results.load(results.FOLDER / source), source)
