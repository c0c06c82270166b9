import json
import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from customervault.tables import journal as journal_module
from customervault.tables.csv_source import CsvSource, Dialect
from customervault.tables.errors import TableError
from customervault.tables.journal import Identity, Journal, Progress
from customervault.tables.pipeline import Pace, run_batches
from customervault.tables.plan import Place, Plan
from customervault.tables.tally import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.client.tables.fake_target import DownError, FakeTarget, customer_token_of, token_of

EMAIL, NOTE = Place("email"), Place("note")
PLAN = Plan(("id",), {"email": EMAIL, "note": NOTE})
IDENTITY = Identity("the input", "the settings")
PACE = Pace(3, 2)
RUN = uuid.UUID("00000000-0000-0000-0000-000000000001")


class Case:
    """One input file and the files that its import writes."""

    def __init__(self, folder: Path, lines: list[str]) -> None:
        self.input = folder / "in.csv"
        self.copy = folder / "out.csv"
        self.rejects = folder / "rejects.jsonl"
        self.state = folder / "out.csv.state"
        self.input.write_text("\n".join(["id,email,note", *lines, ""]))

    def run(
        self,
        target: FakeTarget,
        *,
        identity: Identity = IDENTITY,
        resume: bool = True,
        pace: Pace = PACE,
        report: Callable[[Progress], None] = lambda _: None,
    ) -> Tally:
        source = CsvSource(self.input, PLAN, Dialect())
        with Journal(identity, self.copy, self.rejects, source.start) as journal:
            journal.open(source.heading(), resume=resume)
            tally = run_batches(source, target, journal, run_id=RUN, pace=pace, report=report)
            journal.finish()
        return tally

    def written(self) -> tuple[bytes, bytes]:
        rejects = self.rejects.read_bytes() if self.rejects.exists() else b""
        return self.copy.read_bytes(), rejects


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, [f"c{n},c{n}@example.org,note {n}" for n in range(20)])


@pytest.fixture
def every_batch_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_SAVE_SECONDS", 0.0)


def test_the_copy_has_the_rows_in_order_with_tokens(case: Case) -> None:
    tally = case.run(FakeTarget())
    expected = [f"c{n},{token_of(f'c{n}', EMAIL)},{token_of(f'c{n}', NOTE)}" for n in range(20)]
    assert case.copy.read_text().splitlines() == ["id,email,note", *expected]
    assert (tally.rows, tally.customers_created, tally.values_created, tally.clean) == (20, 20, 40, True)
    assert not case.state.exists()
    assert not case.rejects.exists()


def test_refused_values_leave_an_empty_cell_and_refused_rows_leave_the_copy(tmp_path: Path) -> None:
    case = Case(tmp_path, ["a,refuse-me,x", "refused-id,b,c", "short,row", "d,,"])
    tally = case.run(FakeTarget())
    assert case.copy.read_text().splitlines()[1:] == [f"a,,{token_of('a', NOTE)}", "d,,"]
    rejects = [json.loads(line) for line in case.rejects.read_text().splitlines()]
    assert [(each["line"], each["column"], each["reason"]) for each in rejects] == [
        (2, "email", "INVALID_VALUE"),
        (3, "", "RESTRICTED"),
        (4, "", "RAGGED_ROW"),
    ]
    assert "refuse-me" not in case.rejects.read_text()
    assert (tally.rows, tally.rows_rejected, tally.values_refused) == (4, 2, 1)
    assert tally.reasons == {"INVALID_VALUE": 1, "RESTRICTED": 1, "RAGGED_ROW": 1}
    assert not tally.clean


@pytest.mark.usefixtures("every_batch_saved")
@pytest.mark.parametrize("fail_at", range(7))
def test_an_interrupted_import_continues_to_the_same_files(tmp_path: Path, fail_at: int) -> None:
    lines = [f"c{n},c{n}@example.org," for n in range(17)]
    lines[4], lines[9], lines[14] = "c4,refuse-me,", "refused-id,,", "short"
    (tmp_path / "whole").mkdir()
    whole = Case(tmp_path / "whole", lines)
    expected = whole.run(FakeTarget())
    case = Case(tmp_path, lines)
    target = FakeTarget(fail_at=fail_at)
    if fail_at < 6:
        with pytest.raises(DownError):
            case.run(target)
        assert case.state.exists()
        # What a crash leaves behind the acknowledged length is cut off.
        case.copy.write_bytes(case.copy.read_bytes() + b"half a row")
        target.fail_at = None
    assert case.run(target).as_json() == expected.as_json()
    assert case.written() == whole.written()
    assert not case.state.exists()


@pytest.mark.usefixtures("every_batch_saved")
def test_a_batch_sent_twice_has_the_same_request_id(case: Case) -> None:
    target = FakeTarget()  # it fails on a request id with two bodies

    def interrupt(progress: Progress) -> None:
        if progress.batches == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        case.run(target, report=interrupt, pace=Pace(3, 4))
    sent = dict(target.requests)
    case.run(target, pace=Pace(3, 1))
    assert sent.keys() <= target.requests.keys()
    assert len(target.requests) == 7
    assert target.calls > 7 or len(sent) == 3


def test_what_was_not_saved_is_done_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    # A kill between two saves: the state is older than the copy.
    monkeypatch.setattr(journal_module, "_SAVE_SECONDS", 3600.0)
    monkeypatch.setattr(Journal, "finish", lambda _: None)
    case.run(FakeTarget())
    assert json.loads(case.state.read_text())["batches"] == 0
    monkeypatch.undo()
    case.run(FakeTarget())
    assert len(case.copy.read_text().splitlines()) == 21


def test_several_batches_are_in_flight_but_never_one_customer_twice(tmp_path: Path) -> None:
    import threading

    gate = threading.Barrier(3, timeout=10)

    entered = count()  # not `calls`, which a call adds to later

    class Waiting(FakeTarget):
        def store(self, *arguments: Any) -> Any:
            if next(entered) < 3:
                gate.wait()
            return super().store(*arguments)

    target = Waiting()
    Case(tmp_path, [f"c{n},x,y" for n in range(30)]).run(target, pace=Pace(2, 3))
    # The first three calls could only pass the barrier together.
    assert target.calls == 15
    repeated = FakeTarget()
    case = Case(tmp_path, [f"same,value {n},y" for n in range(30)])
    case.run(repeated, pace=Pace(2, 3), resume=False)
    assert not repeated.overlapped
    assert repeated.most_active == 1
    assert repeated.values[("same", EMAIL)] == "value 29"


def test_a_copy_that_is_not_ours_is_left_alone(case: Case) -> None:
    case.copy.write_text("precious")
    with pytest.raises(TableError, match="belongs to no interrupted run"):
        case.run(FakeTarget())
    assert case.copy.read_text() == "precious"
    case.run(FakeTarget(), resume=False)
    assert len(case.copy.read_text().splitlines()) == 21


@pytest.mark.usefixtures("every_batch_saved")
@pytest.mark.parametrize(
    "identity", [Identity("another input", "the settings"), Identity("the input", "other settings")]
)
def test_another_input_or_other_settings_do_not_continue(case: Case, identity: Identity) -> None:
    with pytest.raises(DownError):
        case.run(FakeTarget(fail_at=2))
    before = case.written()
    with pytest.raises(TableError, match="another file or with other settings"):
        case.run(FakeTarget(), identity=identity)
    assert case.written() == before
    assert case.run(FakeTarget(), identity=identity, resume=False).rows == 20


@pytest.mark.usefixtures("every_batch_saved")
@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 2}', '{"version": 1}'])
def test_a_damaged_state_is_refused(case: Case, damage: str) -> None:
    with pytest.raises(DownError):
        case.run(FakeTarget(fail_at=2))
    case.state.write_text(damage)
    with pytest.raises(TableError, match="--no-resume"):
        case.run(FakeTarget())


@pytest.mark.usefixtures("every_batch_saved")
def test_a_copy_shorter_than_its_state_is_refused(case: Case) -> None:
    with pytest.raises(DownError):
        case.run(FakeTarget(fail_at=2), pace=Pace(3, 1))
    case.copy.write_bytes(case.copy.read_bytes()[:-1])
    with pytest.raises(TableError, match="shorter"):
        case.run(FakeTarget())


def test_one_import_writes_a_copy_at_a_time(case: Case) -> None:
    source = CsvSource(case.input, PLAN, Dialect())
    with Journal(IDENTITY, case.copy, case.rejects, source.start) as first:
        first.open(source.heading(), resume=True)
        with pytest.raises(TableError, match="being written by another run"):
            case.run(FakeTarget())


def test_an_import_repeated_after_its_end_needs_another_name(case: Case) -> None:
    case.run(FakeTarget())
    with pytest.raises(TableError, match="exists"):
        case.run(FakeTarget())


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.sampled_from(["a", "b", "c", "d", "refused-id", ""]), max_size=25),
    stops=st.lists(st.integers(0, 4), max_size=4),
    batch=st.integers(1, 5),
    parallel=st.integers(1, 4),
)
def test_any_row_of_interruptions_ends_in_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], stops: list[int], batch: int, parallel: int
) -> None:
    """The later row of a customer wins, and copy and rejects are those of an undisturbed run."""
    lines = [f"{name},value {number},{number % 3 or ''}" for number, name in enumerate(ids)]
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "whole").mkdir()
    whole, case = Case(folder / "whole", lines), Case(folder, lines)
    pace = Pace(batch, parallel)
    undisturbed, target = FakeTarget(), FakeTarget()
    whole.run(undisturbed, pace=pace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "_SAVE_SECONDS", 0.0)
        done = False
        for stop in stops:
            target.fail_at = target.calls + stop
            try:
                case.run(target, pace=pace)
            except DownError:
                continue
            done = True
            break
        target.fail_at = None
        if not done:
            case.run(target, pace=pace)
    assert case.written() == whole.written()
    assert target.values == undisturbed.values
    assert not target.overlapped
    assert all(customer_token_of(name) not in whole.copy.read_text() for name in ids)
