"""`make bench`: the suite.

python -m benchmarks run                      5 to 8 minutes; with `--size full` 40, `--size tiny` seconds
python -m benchmarks run --only unary,batches some of the questions
python -m benchmarks compare BEFORE AFTER     what changed beyond noise; more pairs may follow
python -m benchmarks show RESULT              the tables of a result
python -m benchmarks readme RESULT            puts a result's figures into the README
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import compare, machine, page, readme, results
from benchmarks.figures import Answer
from benchmarks.questions import QUESTIONS
from benchmarks.results import FOLDER, Result
from benchmarks.sizes import SIZES, Size
from benchmarks.stage import Stage
from benchmarks.table import print_answer, print_result
from benchmarks.throwaway import ending_on_sigterm

_WIDTH = 132  # of tables; a narrower terminal wraps lines, not cells
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    try:
        return int(options.act(options, console))
    except results.ResultError as error:
        console.print(str(error))
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the suite")
    run.add_argument("--size", choices=SIZES, default="bench")
    run.add_argument("--only", type=_questions, default=list(QUESTIONS), metavar="QUESTION,...")
    run.add_argument("--values", type=int, help="in the store that most questions share")
    run.add_argument("--stores", type=_numbers, metavar="N,...", help="values of the stores compared by size")
    run.add_argument("--name", type=_name, help="of the result; the size if left out")
    run.add_argument("--out", type=Path, default=FOLDER, help="where the result goes")
    run.add_argument(
        "--keep", type=Path, help="a folder for filled vaults, to be used again; has secrets of none"
    )
    run.set_defaults(act=_run)
    compared = commands.add_parser("compare", help="what changed beyond noise")
    compared.add_argument("results", type=Path, nargs="+", metavar="BEFORE AFTER")
    compared.set_defaults(act=_compare)
    for name, act, said in (
        ("show", _show, "the tables of a result"),
        ("page", _page, "a result as a page with plots, beside it"),
        ("readme", _readme, "put a result's figures into the README"),
    ):
        command = commands.add_parser(name, help=said)
        command.add_argument("result", type=Path)
        command.set_defaults(act=act)
    return parser


def _run(options: argparse.Namespace, console: Console) -> int:
    size: Size = SIZES[options.size]
    if options.values:
        size = replace(size, values=options.values)
    if options.stores:
        size = replace(size, stores=options.stores)
    found = machine.facts()
    console.print(machine.line(found), soft_wrap=True)
    begun = time.monotonic()
    with ending_on_sigterm():
        answers = _answers(console, size, options.only, options.keep)
    result = results.result_now(options.size, time.monotonic() - begun, found, answers)
    path = options.out / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-{options.name or options.size}.json"
    results.save(result, path)
    page.save(result, path.with_suffix(".html"))
    print_result(console, result)
    console.print(f"\n{result.seconds:,.0f} s. Saved to {path} and beside it as a page.", soft_wrap=True)
    return 0


def _answers(console: Console, size: Size, asked: Sequence[str], keep: Path | None) -> list[Answer]:
    answers = []
    with console.status("") as status:

        def tell(what: str) -> None:
            status.update(what)

        stage = Stage(size, tell, keep)
        try:
            for name, ask in QUESTIONS.items():
                if name in asked:
                    begun = time.monotonic()
                    answers.append(ask(stage))
                    console.print(f"{answers[-1].title}: {time.monotonic() - begun:.0f} s", style="dim")
        except BaseException:
            for answer in answers:  # what was measured before it failed
                print_answer(console, answer)
            raise
        finally:
            stage.close()
    return answers


def _compare(options: argparse.Namespace, console: Console) -> int:
    if len(options.results) % 2:
        raise results.ResultError("results are compared in pairs: before, after")
    read = [results.load(path) for path in options.results]
    pairs = list(zip(read[::2], read[1::2], strict=True))
    return int(compare.print_changes(console, list(compare.changes(pairs))) > 0)


def _show(options: argparse.Namespace, console: Console) -> int:
    print_result(console, results.load(options.result))
    return 0


def _page(options: argparse.Namespace, console: Console) -> int:
    path = options.result.with_suffix(".html")
    page.save(results.load(options.result), path)
    console.print(f"saved to {path}", soft_wrap=True)
    return 0


def _readme(options: argparse.Namespace, console: Console) -> int:
    result: Result = results.load(options.result)
    readme.fill(result, options.result.name)
    console.print("the README has these figures now")
    return 0


def _questions(text: str) -> list[str]:
    asked = text.split(",")
    if unknown := set(asked) - set(QUESTIONS):
        raise argparse.ArgumentTypeError(f"no such question: {', '.join(sorted(unknown))}")
    return asked


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(each) for each in text.split(",")))


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise argparse.ArgumentTypeError("a name consists of lower-case letters, digits and hyphens")
    return text


if __name__ == "__main__":
    sys.exit(main())
