"""Help texts: written whole beside each command, the example last, below the options."""

from typing import TypedDict


class Texts(TypedDict):
    """Arguments of a command or a group."""

    help: str
    epilog: str
    short_help: str


def texts(whole: str, short: str) -> Texts:
    """Splits a help text before its examples, which begin with a line `Example:` or `Examples:`.

    Raises:
        ValueError: It has none.
    """
    for heading in ("\nExample:\n", "\nExamples:\n"):
        text, found, examples = whole.partition(heading)
        if found:
            # \b keeps the line breaks of a paragraph.
            return Texts(help=text.strip(), epilog=f"\b{heading}{examples.rstrip()}", short_help=short)
    raise ValueError("a help text without an example")
