"""Reads what the configuration says of a field class's surrogates.

    surrogate = "email"                                              # the format, all else as usual
    surrogate = { format = "email", domain = "keep" }                # or a domain of RFC 2606, RFC 6761
    surrogate = { format = "phone", unreserved = "plan" }            # "refuse", or any number of the plan
    surrogate = { format = "card", check = "invalid", bin_digits = 8 }
    surrogate = { format = "iban", check = "invalid" }
    surrogate = { format = "digits", length = 12 }
    surrogate = { format = "pattern", template = "KD-######" }       # see `template`

Each may say `always = false`: Tokenize then gives surrogates only when asked for them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from vault.fields.field_class import Kind
from vault.fields.surrogate import KEEP, Check, SurrogateFormat, SurrogateRule, Unreserved
from vault.fields.template import Template, TemplateError

Choice = TypeVar("Choice", bound=StrEnum)

_RESERVED_DOMAIN: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?:example\.(?:com|net|org)|[a-z0-9-]{1,63}\.(?:example|invalid|test))"
)
_MAX_DOMAIN: Final = 100
_MAX_LENGTH: Final = 64
_KINDS: Final = {
    SurrogateFormat.EMAIL: Kind.EMAIL,
    SurrogateFormat.PHONE: Kind.PHONE,
    SurrogateFormat.CARD: Kind.CARD,
    SurrogateFormat.IBAN: Kind.IBAN,
}


class WrongOptionError(ValueError):
    """An option is wrong; says how."""


def read_rule(given: object, kind: Kind) -> SurrogateRule:
    """The rule that a class of `kind` declares.

    Raises:
        WrongOptionError: it is not one.
    """
    options = {"format": given} if isinstance(given, str) else given
    if not isinstance(options, Mapping):
        raise WrongOptionError("surrogate is neither a format nor a table")
    chosen = _choice(SurrogateFormat, "format", options.get("format"))
    if _KINDS.get(chosen, kind) is not kind:
        raise WrongOptionError(f"surrogate format {chosen} belongs to classes of kind {_KINDS[chosen]}")
    rule = SurrogateRule(chosen)
    known = _OPTIONS[chosen] | {"always": _always}
    for key, value in options.items():
        if key == "format":
            continue
        if key not in known:
            raise WrongOptionError(
                f"surrogate has an unknown key; the keys are format, {', '.join(sorted(known))}"
            )
        rule = replace(rule, **{key: known[key](value)})
    if chosen is SurrogateFormat.PATTERN and rule.template is None:
        raise WrongOptionError("surrogate needs a template")
    return rule


def _choice(choices: type[Choice], key: str, given: object) -> Choice:
    for choice in choices:
        if choice == given:
            return choice
    raise WrongOptionError(f"surrogate {key} is not one of {', '.join(choices)}")


def _always(given: object) -> bool:
    if not isinstance(given, bool):
        raise WrongOptionError("surrogate always is neither true nor false")
    return given


def _domain(given: object) -> str:
    if given == KEEP:
        return KEEP
    if not isinstance(given, str) or len(given) > _MAX_DOMAIN or not _RESERVED_DOMAIN.fullmatch(given):
        raise WrongOptionError(
            "surrogate domain is neither keep nor a reserved one: "
            "example.com, example.net, example.org, or below .example, .invalid or .test"
        )
    return given


def _bin_digits(given: object) -> int:
    if given not in (6, 8) or not isinstance(given, int):
        raise WrongOptionError("surrogate bin_digits is neither 6 nor 8")
    return given


def _length(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= _MAX_LENGTH:
        raise WrongOptionError(f"surrogate length is not a number from 1 to {_MAX_LENGTH}")
    return given


def _template(given: object) -> Template:
    if not isinstance(given, str):
        raise WrongOptionError("surrogate template is not a text")
    try:
        return Template.parse(given)
    except TemplateError as error:
        raise WrongOptionError(f"surrogate template {error}") from None


def _check(given: object) -> Check:
    return _choice(Check, "check", given)


def _unreserved(given: object) -> Unreserved:
    return _choice(Unreserved, "unreserved", given)


_OPTIONS: Final[dict[SurrogateFormat, dict[str, Callable[[object], Any]]]] = {
    SurrogateFormat.EMAIL: {"domain": _domain},
    SurrogateFormat.PHONE: {"unreserved": _unreserved},
    SurrogateFormat.CARD: {"check": _check, "bin_digits": _bin_digits},
    SurrogateFormat.IBAN: {"check": _check},
    SurrogateFormat.DIGITS: {"length": _length},
    SurrogateFormat.PATTERN: {"template": _template},
}
