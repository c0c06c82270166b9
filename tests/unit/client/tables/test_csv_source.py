import csv
import io
from pathlib import Path

import pytest
from customervault.tables import csv_source
from customervault.tables.csv_source import CsvSource, Dialect
from customervault.tables.errors import BrokenInputError, TableError
from customervault.tables.plan import Place, Plan, Unmapped
from customervault.tables.source import BadRow, Finished, Position, Record
from hypothesis import given, settings
from hypothesis import strategies as st

PLAN = Plan(("id",), {"email": Place("email"), "note": Place("note")})


def opened(folder: Path, content: bytes, plan: Plan = PLAN, **dialect: str) -> CsvSource:
    path = folder / "in.csv"
    path.write_bytes(content)
    return CsvSource(path, plan, Dialect(**dialect))


def rows(source: CsvSource) -> list[Record | BadRow]:
    return list(source.rows(source.start))


def records(source: CsvSource) -> list[Record]:
    return [row for row in rows(source) if isinstance(row, Record)]


def reasons(source: CsvSource) -> list[tuple[int, str, str]]:
    return [
        (row.reject.line, row.reject.column, row.reject.reason)
        for row in rows(source)
        if isinstance(row, BadRow)
    ]


def test_rows_are_read_and_rendered_with_tokens(tmp_path: Path) -> None:
    source = opened(tmp_path, b"id,email,note\n1,a@example.org,hello\n2,,\n")
    first, second = records(source)
    assert (first.line, first.external_id, list(first.values)) == (2, "1", ["a@example.org", "hello"])
    assert list(second.values) == ["", ""]
    assert source.heading() == b"id,email,note\n"
    assert source.render([Finished(first.original, "cv1_c", ["cv1_a", "cv1_b"])]) == b"1,cv1_a,cv1_b\n"
    assert source.render([Finished(second.original, "cv1_c", ["", ""])]) == b"2,,\n"


def test_a_byte_order_mark_and_crlf_are_kept_in_the_copy(tmp_path: Path) -> None:
    source = opened(tmp_path, b"\xef\xbb\xbfid,email,note\r\n1,a@example.org,x\r\n")
    (row,) = records(source)
    assert source.heading() == b"\xef\xbb\xbfid,email,note\r\n"
    assert source.render([Finished(row.original, "", ["t", "u"])]) == b"1,t,u\r\n"


def test_line_breaks_in_quotes_belong_to_the_cell(tmp_path: Path) -> None:
    source = opened(tmp_path, b'id,email,note\r\n1,,"one\r\ntwo\rthree\nfour"\r\n2,,x\r\n')
    first, second = records(source)
    assert first.values[1] == "one\r\ntwo\rthree\nfour"
    assert (first.line, second.line) == (2, 5)


def test_rows_that_do_not_decode_are_rejected_with_their_line(tmp_path: Path) -> None:
    source = opened(tmp_path, b'id,email,note\n1,a\xff@example.org,x\n2,,"two\nlines \xc3"\n3,,fine\n')
    assert reasons(source) == [(2, "", "INVALID_ENCODING"), (3, "", "INVALID_ENCODING")]
    assert [row.external_id for row in records(source)] == ["3"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,a\0b,x", "NUL_BYTE"),
        (b"1,a", "RAGGED_ROW"),
        (b"1,a,b,c", "RAGGED_ROW"),
        (b",a,b", "MISSING_ID"),
        (b"  ,a,b", "MISSING_ID"),
        (b"x" * 257 + b",a,b", "LIMIT_EXCEEDED"),
        (b"1,a," + b"x" * 65_537, "LIMIT_EXCEEDED"),
        (b"1,a," + "ü".encode() * 32_769, "LIMIT_EXCEEDED"),
    ],
)
def test_a_bad_row_is_rejected_and_the_next_one_read(tmp_path: Path, line: bytes, reason: str) -> None:
    source = opened(tmp_path, b"id,email,note\n" + line + b"\n2,,next\n")
    assert [(at, why) for at, _, why in reasons(source)] == [(2, reason)]
    assert [row.external_id for row in records(source)] == ["2"]


def test_no_reject_repeats_the_content(tmp_path: Path) -> None:
    secret = "verysecret"
    content = f"id,email,note\n1,{secret}\n,{secret},{secret}\n1,{secret}\0,\n{secret * 30},,\n"
    source = opened(tmp_path, content.encode())
    for row in rows(source):
        assert isinstance(row, BadRow)
        assert secret not in repr(row)


def test_a_cell_cannot_pose_as_a_row(tmp_path: Path) -> None:
    # The lone carriage return would make the csv module give up inside the quoted cell's row.
    source = opened(tmp_path, b'id,email,note\n1,a\rb,"x\n666,evil@example.org,y"\n2,,\n')
    assert [row.external_id for row in rows(source) if isinstance(row, Record)] == ["1", "2"]
    assert records(source)[0].values == ["a\rb", "x\n666,evil@example.org,y"]


def test_a_quote_open_at_the_end_is_rejected(tmp_path: Path) -> None:
    source = opened(tmp_path, b'id,email,note\n1,,"never closed\n2,,x\n')
    assert reasons(source) == [(2, "", "UNCLOSED_QUOTE")]


def test_a_record_without_end_stops_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "MAX_RECORD_BYTES", 1000)
    source = opened(tmp_path, b'id,email,note\n1,,x\n2,,"' + b"never closed\n" * 100)
    reading = source.rows(source.start)
    assert isinstance(next(reading), Record)
    with pytest.raises(BrokenInputError, match="line 3"):
        next(reading)


def test_formulas_are_data(tmp_path: Path) -> None:
    source = opened(tmp_path, b"id,email,note\n=1+1,,\"=cmd|' /C calc'!A0\"\n")
    (row,) = records(source)
    assert row.external_id == "=1+1"
    assert row.values[1] == "=cmd|' /C calc'!A0"
    assert source.render([Finished(row.original, "", ["", ""])]).startswith(b"=1+1,")


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    source = opened(tmp_path, b"\nid,email,note\n\n1,,x\n\n\n2,,y")
    assert [(row.external_id, row.line) for row in records(source)] == [("1", 4), ("2", 7)]


def test_a_heading_alone_has_no_rows(tmp_path: Path) -> None:
    assert rows(opened(tmp_path, b"id,email,note")) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"id,email,email,note\n", "two columns 'email'; the second is number 3"),
        (b"id,email,note,,\n", "two columns without a name"),
        (b"id,email\xff,note\n", "the heading is unusable"),
        (b'id,email,"note\n', "the heading is unusable"),
        (b"id,email,note\r1,a,b\r2,c,d", "lone carriage return"),
        (",".join(map(str, range(4097))).encode(), "4097 columns"),
    ],
)
def test_an_unusable_heading_is_a_usage_error(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(TableError, match=complaint):
        opened(tmp_path, content)


def test_other_encodings_and_delimiters(tmp_path: Path) -> None:
    source = opened(tmp_path, "id;email;note\n1;;Zoë\n".encode("cp1252"), encoding="cp1252", delimiter=";")
    (row,) = records(source)
    assert row.values[1] == "Zoë"
    assert source.render([Finished(row.original, "", ["", "t"])]) == b"1;;t\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "utf-32-le", "no-such", "iso2022_jp", "hz"])
def test_encodings_that_do_not_extend_ascii_are_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(TableError, match="--encoding"):
        opened(tmp_path, b"id,email,note\n", encoding=encoding)


@pytest.mark.parametrize("delimiter", ["", '"', "\n", "ab", "\0", "é"])
def test_unusable_delimiters_are_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(TableError, match="--delimiter"):
        opened(tmp_path, b"id,email,note\n", delimiter=delimiter)


def test_jurisdictions_come_from_their_column(tmp_path: Path) -> None:
    plan = Plan(("id",), {"email": Place("email")}, jurisdiction_column="law")
    source = opened(tmp_path, b"id,email,law\n1,a,de\n2,b,\n3,c,Germany\n", plan)
    assert [row.jurisdiction for row in records(source)] == ["DE", ""]
    assert reasons(source) == [(4, "law", "INVALID_JURISDICTION")]


def test_dropped_columns_and_tokenized_ids(tmp_path: Path) -> None:
    plan = Plan(("id",), {"email": Place("email")}, unmapped=Unmapped.DROP, tokenize_id=True)
    source = opened(tmp_path, b"secret,id,email\ns,1,a\n", plan)
    (row,) = records(source)
    assert source.heading() == b"id,email\n"
    assert source.render([Finished(row.original, "cv1_c", ["cv1_t"])]) == b"cv1_c,cv1_t\n"


def written(row: tuple[str, ...], quoting: int) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\r\n").writerow(row)  # type: ignore[arg-type]
    return text.getvalue().removesuffix("\r\n")


def test_carriage_returns_in_kept_cells_survive_the_copy(tmp_path: Path) -> None:
    plan = Plan(("id",), {"email": Place("email")}, unmapped=Unmapped.KEEP)
    source = opened(tmp_path, b'id,email,kept\n1,a,"x\ry\r"\n', plan)
    (row,) = records(source)
    copied = opened(tmp_path, source.heading() + source.render([Finished(row.original, "", ["t"])]), plan)
    assert records(copied)[0].original == ["1", "t", "x\ry\r"]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=150)
@given(
    table=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_row_can_be_read_from_its_own_position(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str, str]],
    quoting: int,
    line_end: str,
) -> None:
    text = "".join(written(row, quoting) + line_end for row in [("id", "email", "note"), *table])
    source = opened(tmp_path_factory.mktemp("csv"), text.encode())
    at: Position = source.start
    whole = rows(source)
    assert len(whole) == len(table)
    for row, cells in zip(whole, table, strict=True):
        if isinstance(row, Record):
            assert tuple(row.original) == cells
        again = next(source.rows(at))
        assert again == row
        at = row.after
    assert list(source.rows(at)) == []
