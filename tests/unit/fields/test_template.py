import re

import pytest

from vault.fields.template import Template, TemplateError


@pytest.mark.parametrize(
    ("text", "shape", "capacity"),
    [
        ("KD-######", r"KD-[0-9]{6}", 10**6),
        ("[A-HJ-NP-Z]{2}-#{6}", r"[A-HJ-NP-Z]{2}-[0-9]{6}", 24**2 * 10**6),
        (r"CUST\A-*{3}a", r"CUSTA-[A-Z0-9]{3}[a-z]", 36**3 * 26),
        (r"\#{2}[xy-]", r"##[xy-]", 3),
    ],
)
def test_templates_stand_for_their_texts(text: str, shape: str, capacity: int) -> None:
    space = Template.parse(text).space
    assert space.capacity == capacity
    for number in (0, 1, capacity // 2, capacity - 1):
        assert re.fullmatch(shape, space.at(number) or "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FIXED",
        "#{0}",
        "#{65}",
        "#{2",
        "[",
        "[]",
        "[aa]#",
        "[z-a]",
        "#}",
        "\\",
        "#{60}#{60}",
        "cv1_#{8}",
        "[\n]#",
    ],
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.parse(text)
