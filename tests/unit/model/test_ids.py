import pytest

from vault.model.ids import is_jurisdiction, is_label, is_name


@pytest.mark.parametrize("text", ["", "mobile", "work-2", "a_b", "0", "x" * 32])
def test_labels(text):
    assert is_label(text)


@pytest.mark.parametrize("text", ["Mobile", "x" * 33, "a b", "a\n", "ä", "a.b", " "])
def test_texts_that_are_no_labels(text):
    assert not is_label(text)


@pytest.mark.parametrize("text", ["a", "national_id", "x" * 63, "a1"])
def test_names(text):
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "A", "1a", "_a", "x" * 64, "a-b", "a\n", "naïve"])
def test_texts_that_are_no_names(text):
    assert not is_name(text)


@pytest.mark.parametrize("text", ["DE", "XK"])
def test_jurisdictions(text):
    assert is_jurisdiction(text)


@pytest.mark.parametrize("text", ["", "de", "DEU", "D", "D1", "DE\n"])
def test_texts_that_are_no_jurisdictions(text):
    assert not is_jurisdiction(text)
