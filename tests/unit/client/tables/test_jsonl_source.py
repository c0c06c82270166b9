import json
from pathlib import Path

import pytest
from customervault.tables import jsonl_source
from customervault.tables.errors import TableError
from customervault.tables.jsonl_source import JsonlSource
from customervault.tables.plan import Place, Plan, Unmapped
from customervault.tables.source import BadRow, Finished, Record

PLAN = Plan(("id",), {"email": Place("email"), "phone": Place("phone")}, frozenset({"phone"}))


def opened(folder: Path, content: bytes, plan: Plan = PLAN) -> JsonlSource:
    path = folder / "in.jsonl"
    path.write_bytes(content)
    return JsonlSource(path, plan)


def rows(source: JsonlSource) -> list[Record | BadRow]:
    return list(source.rows(source.start))


def test_rows_are_read_and_rendered_with_tokens(tmp_path: Path) -> None:
    source = opened(
        tmp_path, b'\xef\xbb\xbf{"email":"a@example.org","id":7}\n\n{"id":"8","email":null,"phone":""}'
    )
    first, second = rows(source)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.external_id, list(first.values), first.line) == ("7", ["a@example.org", ""], 1)
    assert (second.external_id, list(second.values), second.line) == ("8", ["", ""], 3)
    assert json.loads(source.render([Finished(first.original, "c", ["t", ""])])) == {"email": "t", "id": 7}
    assert json.loads(source.render([Finished(second.original, "c", ["", ""])])) == {
        "id": "8",
        "email": None,
        "phone": "",
    }


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b"not json", "", "INVALID_JSON"),
        (b'["id"]', "", "INVALID_JSON"),
        (b'{"id":"1","email":NaN}', "", "INVALID_JSON"),
        (b'{"id":' + b"9" * 5000 + b"}", "", "INVALID_JSON"),
        (b"[" * 100_000, "", "INVALID_JSON"),
        (b'{"id":"1","email":"a","email":"b"}', "", "DUPLICATE_KEY"),
        (b'{"id":"1","email":"\xff"}', "", "INVALID_ENCODING"),
        (b'{"id":"1","email":"\\ud800"}', "", "INVALID_ENCODING"),
        (b'{"id":"1","email":"a\\u0000b"}', "email", "NUL_BYTE"),
        (b'{"id":"1","email":1.5}', "email", "NOT_TEXT"),
        (b'{"id":"1","email":true}', "email", "NOT_TEXT"),
        (b'{"id":"1","email":{"value":"a"}}', "email", "NOT_TEXT"),
        (b'{"email":"a"}', "id", "MISSING_ID"),
        (b'{"id":null,"email":"a"}', "id", "MISSING_ID"),
    ],
)
def test_a_bad_row_is_rejected_and_the_next_one_read(
    tmp_path: Path, line: bytes, column: str, reason: str
) -> None:
    source = opened(tmp_path, line + b'\n{"id":"2","email":"b"}\n')
    bad, good = rows(source)
    assert isinstance(bad, BadRow)
    assert (bad.reject.line, bad.reject.column, bad.reject.reason) == (1, column, reason)
    assert isinstance(good, Record)
    assert good.line == 2


def test_an_overlong_row_is_skipped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_source, "MAX_RECORD_BYTES", 100)
    long = b'{"id":"1","email":"' + b"x" * 5000 + b'"}'
    source = opened(tmp_path, long + b'\n{"id":"2","email":"b"}\n')
    bad, good = rows(source)
    assert isinstance(bad, BadRow)
    assert bad.reject.reason == "LIMIT_EXCEEDED"
    assert isinstance(good, Record)
    assert next(source.rows(bad.after)) == good


def test_a_key_that_appears_late_is_refused_without_naming_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl_source, "_SAMPLE_ROWS", 1)
    content = b'{"id":"1","email":"a"}\n{"id":"2","email":"b","secretkey":"x"}\n'
    _, bad = rows(opened(tmp_path, content))
    assert isinstance(bad, BadRow)
    assert bad.reject.reason == "UNMAPPED_COLUMN"
    assert "secretkey" not in repr(bad)


def test_dropped_keys_leave_the_copy_even_when_they_appear_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl_source, "_SAMPLE_ROWS", 1)
    plan = Plan(("id",), {"email": Place("email")}, unmapped=Unmapped.DROP)
    source = opened(tmp_path, b'{"id":"1","email":"a","x":1}\n{"id":"2","email":"b","late":2}\n', plan)
    rendered = [
        json.loads(source.render([Finished(row.original, "", ["t"])]))
        for row in rows(source)
        if isinstance(row, Record)
    ]
    assert rendered == [{"id": "1", "email": "t"}, {"id": "2", "email": "t"}]


def test_a_file_without_objects_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no JSON object"):
        opened(tmp_path, b"\n[]\n")


def test_a_mapped_key_that_no_row_has_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no column 'email'"):
        opened(tmp_path, b'{"id":"1","e-mail":"a"}\n')
