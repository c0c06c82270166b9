"""Tables of every format through the whole job, with a target in this process."""

import datetime as dt
import json
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from customervault.tables import TableError
from customervault.tables.csv_source import Dialect
from customervault.tables.files import Done, Job, Pulse, beside, format_of, open_source, pulsing, run_job
from customervault.tables.frames import FrameSource, InMemory
from customervault.tables.pipeline import Pace, run_batches
from customervault.tables.plan import Place, Plan, TokenColumns, Unmapped
from customervault.tables.row_answers import Answer
from customervault.tables.source import Record
from customervault.tables.storing import Storing
from customervault.tables.target import Refusal, StoredField, StoredRow
from customervault.v1 import token_service_pb2 as api

from tests.unit.client.tables.fake_target import DownError, FakeTarget

PLAN = Plan(("id",), {"email": Place("email"), "note": Place("note")}, unmapped=Unmapped.KEEP)
OPEN = TokenColumns(("email", "note"))
FORMATS = ["csv", "jsonl", "parquet"]
KILLED_AT = range(8)


class FakeOpening:
    """Opens what a `FakeTarget` has stored."""

    def __init__(self, stored: FakeTarget) -> None:
        from tests.unit.client.tables.fake_target import token_of

        self.values = {token_of(*key): value for key, value in stored.values.items()}

    def store(self, records: Sequence[Record], places: Any, request_id: str) -> list[StoredRow]:
        return [StoredRow(fields=[self._open(token) for token in record.values]) for record in records]

    def _open(self, token: str) -> StoredField:
        if not token:
            return StoredField("empty")
        if token not in self.values:
            return StoredField("refused", refusal=Refusal("TOKEN_UNKNOWN", "no such token"))
        return StoredField("plain", self.values[token])


class KilledError(BaseException):
    """Ends a job as a signal would: nothing after it is run but what the interpreter runs."""


def rows_of(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"c{n}", "email": f"c{n}@example.org", "note": "" if n % 5 == 0 else f"note {n}", "size": n}
        for n in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pd.DataFrame(rows).to_csv(path, index=False)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return pd.read_csv(path, keep_default_na=False).to_dict("records")


def run(file: Path, out: Path, target: Any, plan: Plan | TokenColumns = PLAN, **options: Any) -> Done:
    rows = options.pop("rows", 4)
    resume = options.pop("resume", True)
    job = Job(file, out, beside(out), {"of": str(plan)}, resume, Pace(rows, 1), **options)
    source = open_source(file, format_of(file), plan, Dialect())
    return run_job(job, source, target, pulsing(None))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_comes_back_equal(tmp_path: Path, kind: str) -> None:
    file, tokens, back = (tmp_path / f"{name}.{kind}" for name in ("in", "tokens", "back"))
    write(file, rows_of(30))
    vault = FakeTarget()
    done = run(file, tokens, vault)
    assert (done.tally.rows, done.tally.values, done.tally.clean) == (30, 54, True)
    copied = read(tokens)
    assert [row["id"] for row in copied] == [f"c{n}" for n in range(30)]
    assert [row["size"] for row in copied] == list(range(30))
    assert all(row["email"].startswith("cv1_") for row in copied)
    assert "example.org" not in tokens.read_bytes().decode(errors="replace")
    assert run(tokens, back, FakeOpening(vault), OPEN, mode=0o600).tally.values_plain == 54
    assert read(back) == read(file)
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == sorted([file, tokens, back])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("at", KILLED_AT)
def test_a_killed_job_repeats_one_batch_at_most_and_no_row(tmp_path: Path, kind: str, at: int) -> None:
    file, whole, out = (tmp_path / f"{name}.{kind}" for name in ("in", "whole", "out"))
    write(file, rows_of(30))
    run(file, whole, FakeTarget())
    target = FakeTarget(fail_at=at)
    with pytest.raises(DownError):
        run(file, out, target)
    target.fail_at = None
    sent_before, target.calls = target.calls, 0
    done = run(file, out, target)
    assert done.resumed == (at > 0)
    assert sent_before - 1 + target.calls == 8  # ceil(30 / 4) batches, and the one that failed
    assert len(target.requests) == 8
    assert read(out) == read(whole)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_job_killed_between_answer_and_record_repeats_that_batch(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from customervault.tables import journal as journal_module

    file, out = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    write(file, rows_of(30))
    target, saved, replace = FakeTarget(), 0, journal_module._replace

    def kill(path: Path, content: bytes) -> None:
        nonlocal saved
        saved += 1
        if saved >= 5:
            raise KilledError
        replace(path, content)

    monkeypatch.setattr(journal_module, "_replace", kill)
    with pytest.raises(KilledError):
        run(file, out, target)
    monkeypatch.setattr(journal_module, "_replace", replace)
    calls = target.calls
    run(file, out, target)
    assert target.calls - 8 <= 1, f"{calls} before"
    assert [row["id"] for row in read(out)] == [f"c{n}" for n in range(30)]


def test_a_job_killed_while_the_parquet_file_is_made_makes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write(file, rows_of(30))
    target, rename = FakeTarget(), Path.replace

    def kill(self: Path, to: Path) -> Path:
        if to == out:
            raise KilledError
        return rename(self, to)

    monkeypatch.setattr(Path, "replace", kill)
    with pytest.raises(KilledError):
        run(file, out, target)
    assert not out.exists()
    monkeypatch.undo()
    assert run(file, out, target).resumed
    assert target.calls == 8
    assert len(read(out)) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


@pytest.mark.parametrize("kind", FORMATS)
def test_refused_rows_and_cells_stay_at_their_place_and_are_listed(tmp_path: Path, kind: str) -> None:
    file, out = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    rows = rows_of(10)
    rows[3]["email"] = "refuse-me"
    rows[5]["id"] = "refused-id"
    rows[7]["id"] = ""
    write(file, rows)
    done = run(file, out, FakeTarget())
    assert (done.tally.rows, done.tally.rows_rejected, done.tally.values_refused) == (10, 2, 1)
    copied = read(out)
    assert [row["size"] for row in copied] == list(range(10))
    assert [bool(row["email"]) for row in copied] == [n not in (3, 5, 7) for n in range(10)]
    text = beside(out).read_text()
    rejects = [json.loads(line) for line in text.splitlines()]
    assert [(each["row"], each["column"], each["reason"]) for each in rejects] == [
        (4, "email", "INVALID_VALUE"),
        (6, "", "RESTRICTED"),
        (8, "id", "MISSING_ID"),
    ]
    assert "refuse-me" not in text
    assert "example.org" not in text


def test_a_row_that_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    file.write_text("id,email,note\nc1,a@b.org,x\nshort\nc3,c@d.org,y\n")
    done = run(file, out, FakeTarget())
    assert (done.tally.rows, done.tally.rows_rejected) == (3, 1)
    assert [row["id"] for row in read(out)] == ["c1", "c3"]
    (reject,) = [json.loads(line) for line in beside(out).read_text().splitlines()]
    assert (reject["row"], reject["line"], reject["reason"]) == (2, 3, "RAGGED_ROW")


def test_parquet_keeps_types_nulls_and_what_is_not_mapped(tmp_path: Path) -> None:
    file, tokens, back = (tmp_path / f"{name}.parquet" for name in ("in", "tokens", "back"))
    when = pa.array([1, 2, 3], pa.timestamp("ns", "UTC"))
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "email": pa.array(["a@b.org", None, ""], pa.large_string()),
            "note": pa.array(["x", "y", "x"]).dictionary_encode(),
            "when": when,
            "nested": pa.array([[1], None, [2, 3]], pa.list_(pa.int8())),
            "kind": pa.array(["p", "q", None]).dictionary_encode(),
        },
        metadata={"made by": "a test"},
    )
    pq.write_table(table, file)
    vault = FakeTarget()
    run(file, tokens, vault, rows=2)
    run(tokens, back, FakeOpening(vault), OPEN, rows=2)
    found = pq.read_table(back)
    expected = table.set_column(2, "note", table.column("note").cast(pa.string()))
    assert found.to_pylist() == expected.to_pylist()
    assert found.column("when").type == when.type
    assert found.column("email").type == pa.large_string()
    assert found.column("nested").type == pa.list_(pa.int8())
    assert found.schema.metadata[b"made by"] == b"a test"


def test_whole_numbers_and_dates_become_text(tmp_path: Path) -> None:
    file, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    born = pa.array([dt.date(1980, 5, 1)])
    pq.write_table(pa.table({"id": [7], "email": [12], "note": born}), file)
    target = FakeTarget()
    run(file, out, target)
    assert list(target.values.values()) == ["12", "1980-05-01"]
    assert {key[0] for key in target.values} == {"7"}


@pytest.mark.parametrize("column", [pa.array([1.5]), pa.array([[1]]), pa.array([b"x"])])
def test_other_types_are_refused_before_anything_is_sent(tmp_path: Path, column: Any) -> None:
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": ["a"], "email": column, "note": ["x"]}), file)
    with pytest.raises(TableError, match="email"):
        run(file, tmp_path / "out.parquet", FakeTarget())


def test_dropped_columns_are_not_in_the_copy(tmp_path: Path) -> None:
    file, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write(file, rows_of(3))
    plan = Plan(("id",), {"email": Place("email")}, unmapped=Unmapped.DROP, tokenize_id=True)
    run(file, out, FakeTarget(), plan)
    assert pq.read_schema(out).names == ["id", "email"]
    assert all(row["id"].startswith("cv1_") for row in read(out))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_copy_of_something_else_is_not_touched(tmp_path: Path, kind: str) -> None:
    file, out = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    write(file, rows_of(3))
    out.write_text("mine")
    with pytest.raises(TableError, match="no-resume"):
        run(file, out, FakeTarget())
    assert out.read_text() == "mine"
    run(file, out, FakeTarget(), resume=False)
    assert len(read(out)) == 3


def test_what_is_no_parquet_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    file.write_text("id,email\n")
    with pytest.raises(TableError, match="not a Parquet file"):
        run(file, tmp_path / "out.parquet", FakeTarget())


def test_a_missing_column_of_tokens_is_named(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    write(file, rows_of(1))
    with pytest.raises(TableError, match="'phone'"):
        run(file, tmp_path / "out.csv", FakeTarget(), TokenColumns(("phone",)))


def framed(frame: pd.DataFrame, target: Any, plan: Plan | TokenColumns) -> tuple[pd.DataFrame, InMemory]:
    from uuid import uuid4

    source = FrameSource(frame, plan)
    memory = InMemory(source.start)
    pace = Pace(4, 1)
    run_batches(source, target, memory, run_id=uuid4(), pace=pace, keep_refused=True, report=lambda _: None)
    return source.finished(), memory


def test_a_frame_comes_back_equal_and_is_not_changed() -> None:
    frame = pd.DataFrame(rows_of(12), index=range(100, 112))
    frame.loc[103, "note"] = None
    before, vault = frame.copy(), FakeTarget()
    tokens, _ = framed(frame, vault, PLAN)
    pd.testing.assert_frame_equal(frame, before)
    assert tokens["email"].str.startswith("cv1_").all()
    assert tokens["note"].isna().sum() == 1
    back, _ = framed(tokens, FakeOpening(vault), OPEN)
    pd.testing.assert_frame_equal(back, frame)


def test_refused_cells_of_a_frame_are_empty_and_listed() -> None:
    frame = pd.DataFrame(rows_of(6))
    frame.loc[2, "email"] = "refuse-me"
    frame.loc[4, "id"] = None
    tokens, memory = framed(frame, FakeTarget(), PLAN)
    assert list(tokens["email"].str.startswith("cv1_")) == [n not in (2, 4) for n in range(6)]
    assert [(each.row, each.reason) for each in memory.rejects] == [(3, "INVALID_VALUE"), (5, "MISSING_ID")]


def test_progress_has_rate_and_time_left(tmp_path: Path) -> None:
    file, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write(file, rows_of(20))
    pulses: list[Pulse] = []
    job = Job(file, out, beside(out), {}, True, Pace(5, 1))
    run_job(job, open_source(file, "parquet", PLAN, Dialect()), FakeTarget(), pulsing(pulses.append))
    assert [(pulse.rows, pulse.fraction) for pulse in pulses] == [(5, 0.25), (10, 0.5), (15, 0.75), (20, 1.0)]
    assert all(pulse.rows_per_second > 0 for pulse in pulses)
    assert pulses[-1].seconds_left == 0


class Answering:
    """As much of a client as `Storing` needs: remembers what came in which request."""

    _config = SimpleNamespace(domain="", max_batch=1000)

    def __init__(self) -> None:
        self.requests: dict[str, list[str]] = {}

    def _run_in_turn(self, exchanges: Iterable[Any]) -> list[Any]:
        rows: list[Any] = []
        for exchange in exchanges:
            request = next(exchange).message
            self.requests[request.request_id] = [entry.customer.external_id for entry in request.entries]
            reply = api.BatchTokenizeResponse()
            for entry in request.entries:
                answer = reply.results.add(customer_token="c", customer_created=True)
                answer.results.add(token=f"t-{entry.fields[0].value}", outcome=api.FIELD_OUTCOME_CREATED)
            with pytest.raises(StopIteration) as stop:
                exchange.send(Answer(reply.SerializeToString()))
            rows += stop.value.value
        return rows


def test_a_batch_of_several_requests_keeps_customers_together_and_rows_in_order(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("id,email\n" + "".join(f"c{n % 9},v{n}\n" for n in range(40)))
    source = open_source(file, "csv", Plan(("id",), {"email": Place("email")}), Dialect())
    records = [row for row in source.rows(source.start) if isinstance(row, Record)]
    request_id = "00000000-0000-0000-0000-000000000001"
    once, again = Answering(), Answering()
    for client in (once, again):
        rows = Storing(client, "", 4).store(records, source.layout.places, request_id)  # type: ignore[arg-type]
        assert [row.fields[0].token for row in rows] == [f"t-v{n}" for n in range(40)]
    assert once.requests == again.requests
    homes = [set(request) for request in once.requests.values()]
    assert sum(map(len, homes)) == len(set().union(*homes)) == 9
