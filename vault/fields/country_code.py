"""How long the country code of a phone number is (ITU-T E.164: one to three digits).

No code begins with another one, so the first two digits tell. Here without the numbering plans, since every
masked phone needs it.
"""

_OF_ONE_DIGIT = "17"
_OF_TWO_DIGITS = frozenset(
    str(code)
    for code in (
        *(20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, *range(43, 50), *range(51, 59)),
        *(*range(60, 67), 81, 82, 84, 86, *range(90, 96), 98),
    )
)


def country_code_length(digits: str) -> int:
    """How many of the digits after the plus sign are the country code."""
    if digits[0] in _OF_ONE_DIGIT:
        return 1
    return 2 if digits[:2] in _OF_TWO_DIGITS else 3
