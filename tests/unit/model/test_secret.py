import copy
import json
import logging
import pickle
import traceback

import pytest

from vault.model.requests import CustomerRef as Ref
from vault.model.requests import Entry, FieldInput, Revealed, ShredResult
from vault.model.secret import Secret

CONTENT = "jane.canary@example.com"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>20}".format, "%s".__mod__, ascii])
def test_no_way_of_writing_it_down_shows_the_content(show):
    assert CONTENT not in show(Secret(CONTENT))
    assert CONTENT not in show(Secret(CONTENT.encode()))


def test_text_and_bytes_are_the_same_content():
    assert Secret("é").reveal_bytes() == Secret("é".encode()).reveal_bytes() == "é".encode()
    assert Secret("é".encode()).reveal() == Secret("é").reveal() == "é"


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, hash])
def test_it_does_not_travel(act):
    with pytest.raises(TypeError):
        act(Secret(CONTENT))


def test_comparison_is_refused_rather_than_leaky():
    with pytest.raises(TypeError, match="compared"):
        _ = Secret("a") == Secret("a")


def test_it_has_no_attribute_that_a_dump_would_list():
    assert not hasattr(Secret(CONTENT), "__dict__")


def test_requests_and_answers_that_hold_values_do_not_show_them():
    entry = Entry(Ref(external_id=Secret(CONTENT)), [FieldInput("email", Secret(CONTENT))])
    shown = [repr(entry), repr(Revealed([CONTENT], [2], [])), repr(ShredResult(salt=CONTENT.encode()))]
    assert not any(CONTENT in text for text in shown)


def test_a_traceback_with_the_box_in_it_shows_nothing(caplog):
    error = ValueError("refused", Secret(CONTENT))
    logging.getLogger("test").error("failed with %s", Secret(CONTENT), exc_info=error)
    assert "failed with <secret>" in caplog.text
    assert CONTENT not in "".join(traceback.format_exception(error)) + caplog.text
