"""Reading rows and keys of one moment although they stand in two environments.

A use case reads `values` in one transaction and the keyring in another. A rotation or a shred that
commits between the two looks like a lost key. Newer transactions tell; what is lost stays lost.
"""

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from vault.errors import DataLossError

_LOOKS: Final = 3

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def look_again(read: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Makes a use case that only reads begin anew when it finds data missing."""

    @wraps(read)
    def looking(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        for _ in range(_LOOKS - 1):
            try:
                return read(*arguments, **options)
            except DataLossError:
                continue
        return read(*arguments, **options)

    return looking
