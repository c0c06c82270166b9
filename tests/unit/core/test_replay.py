import uuid

import pytest

from vault.core.replay import TABLE, Request, expired, parse_request_id
from vault.errors import IntegrityFailedError, InvalidRequestError, RequestIdReusedError

ID = "0190a3b4-0000-7000-8000-000000000001"


@pytest.fixture
def make(rows, secrets):
    def made(**changes) -> Request:
        given = {
            "principal_id": 1,
            "request_id": ID,
            "method": "Tokenize",
            "body": [b"a", b"b"],
            "now_s": 1000,
            "hours": 24,
        }
        return Request(rows=rows, secrets=secrets, **(given | changes))

    return made


def test_the_first_time_there_is_nothing_to_recall(make, tables):
    assert make().recall(tables) is None


def test_a_retry_is_answered_as_the_first_time(make, tables):
    make().remember(tables, [{"customer": 7, "fields": [[1, 2]]}])
    assert make().recall(tables) == [{"customer": 7, "fields": [[1, 2]]}]


def test_the_text_of_an_id_may_differ_in_spelling(make, tables):
    make().remember(tables, 1)
    assert make(request_id=ID.upper()).recall(tables) == 1
    assert make(request_id=f"{{{ID}}}").recall(tables) == 1


@pytest.mark.parametrize(
    "change",
    [{"body": [b"a", b"c"]}, {"body": [b"ab", b""]}, {"body": [b"a"]}, {"method": "UpdateValue"}],
)
def test_another_body_or_method_is_refused(make, tables, change):
    make().remember(tables, 1)
    with pytest.raises(RequestIdReusedError):
        make(**change).recall(tables)


def test_ids_of_different_principals_do_not_meet(make, tables):
    make().remember(tables, 1)
    assert make(principal_id=2, body=[b"else"]).recall(tables) is None


def test_without_an_id_nothing_is_remembered(make, tables):
    request = make(request_id="")
    request.remember(tables, 1)
    assert request.recall(tables) is None
    assert request.salt_seed is None
    assert tables.held == {}


def test_an_answer_is_kept_for_its_hours_and_no_longer(make, tables):
    make(hours=1).remember(tables, 1)
    assert make(now_s=1000 + 3599).recall(tables) == 1
    late = make(now_s=1000 + 3600, body=[b"else"])
    assert late.recall(tables) is None
    late.remember(tables, 2)
    assert late.recall(tables) == 2


def test_the_sweep_agrees_with_recall_about_what_is_old(make, tables, rows):
    make(hours=1).remember(tables, 1)
    ((_, key),) = tables.held
    body = rows.get(tables, TABLE, key)
    assert not expired(body, 1000 + 3599)
    assert expired(body, 1000 + 3600)


def test_the_id_itself_is_not_kept(make, tables):
    make().remember(tables, 1)
    ((table, key),) = tables.held
    assert table == TABLE
    for form in (uuid.UUID(ID).bytes, ID.encode()):
        assert form not in key + tables.held[table, key]


def test_a_changed_answer_is_not_believed(make, tables):
    make().remember(tables, 1)
    ((place, row),) = tables.held.items()
    tables.held[place] = row[:-17] + b"2" + row[-16:]
    with pytest.raises(IntegrityFailedError):
        make().recall(tables)


def test_the_salt_is_the_same_on_a_retry_and_other_for_another_id_or_principal(make):
    seeds = {
        make().salt_seed,
        make(principal_id=2).salt_seed,
        make(request_id=str(uuid.uuid4())).salt_seed,
    }
    assert len(seeds) == 3
    assert make().salt_seed == make(body=[b"whatever"], now_s=5).salt_seed
    assert all(seed is not None and len(seed) == 16 for seed in seeds)


@pytest.mark.parametrize("text", ["1", "not-a-uuid", ID[:-1], ID + "0", "\0"])
def test_an_id_that_is_no_uuid_is_refused_without_repeating_it(text):
    with pytest.raises(InvalidRequestError) as caught:
        parse_request_id(text)
    assert text not in str(caught.value) or len(text) < 2
