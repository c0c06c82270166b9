"""Assembles `cvault` and turns every expected error into one line and an exit code.

Only the module of the command that is given is imported: all of them take longer than most commands.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

import typer

from vault.cli.exits import CommandError, ExitCode, RefusedError, UsageError, code_for, reason_of
from vault.cli.output import print_error, print_remark
from vault.cli.texts import texts
from vault.errors import VaultError

_HELP = """Customer Vault: CRM systems hold tokens, the vault holds the values.

\b
Start a vault:      init, serve, status, check
Move data in:       import, import-tokens, tokenize, tokenize-table
Read it:            detokenize, detokenize-table, find, customers, tokens
Ask about it:       pseudonymize, compare, derive
End it:             shred, erasure
Govern it:          policy, principals, approvals, consent, keys, audit
Keep it:            backup, keys copy
Vouch for it:       witness

Exit codes: 0 ok, 1 partial or refused, 2 usage, 3 denied, 4 unavailable.

Example:
  cvault serve --dev
"""


# The modules, and the commands and groups that each registers, in the help's order.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "init": ("init",),
    "serve": ("serve",),
    "status": ("status",),
    "import_": ("import",),
    "import_tokens": ("import-tokens",),
    "tokenize": ("tokenize",),
    "detokenize": ("detokenize",),
    "find": ("find",),
    "answers": ("pseudonymize", "compare", "derive"),
    "tables": ("tokenize-table", "detokenize-table"),
    "shred": ("shred",),
    "check": ("check",),
    "version": ("version",),
    "keys": ("keys",),
    "customers": ("customers",),
    "tokens": ("tokens",),
    "consent": ("consent",),
    "principals": ("principals",),
    "policy": ("policy",),
    "approvals": ("approvals",),
    "erasure": ("erasure",),
    "audit": ("audit",),
    "backup": ("backup",),
    "witness": ("witness",),
}


def build(command: str = "") -> typer.Typer:
    """The command tree: what it takes to run one command, or all of it where there is no such one."""
    app = typer.Typer(
        name="cvault",
        **texts(_HELP, "Customer Vault."),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_always_a_group)
    wanted = [module for module, names in _COMMANDS.items() if command in names]
    for module in wanted or _COMMANDS:
        import_module(f"vault.cli.{module}").register(app)
    return app


def _always_a_group() -> None:
    """Without a callback, typer takes a tree of one command for that command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        tree = typer.main.get_command(build(given[0] if given else ""))
        code = tree(given, prog_name="cvault", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        print_remark("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer's answer to it
            return _reader_gone()
        raise
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print_remark(error.format_message())
        else:
            print_error(UsageError(_without_values(error.format_message())), as_json=as_json)
        return ExitCode.USAGE
    except CommandError as error:
        print_error(error, as_json=as_json)
        return error.code
    except VaultError as error:
        print_error(error, as_json=as_json)
        return code_for(reason_of(error))
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print_error(RefusedError(f"{named}{error.strerror}", "IO_ERROR"), as_json=as_json)
        return ExitCode.PARTIAL
    except Exception as error:
        if not _of_the_client(error):
            raise
        print_error(error, as_json=as_json)
        return code_for(reason_of(error))
    if code == ExitCode.INTERRUPTED:
        print_remark("interrupted")
    return code if isinstance(code, int) else ExitCode.OK


def run() -> NoReturn:
    """Entry point of the installed command."""
    sys.exit(main())


def _reader_gone() -> ExitCode:
    # typer has put a wrapper in place of stdout. The flush at exit must not fail once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return ExitCode.READER_GONE


def _without_values(message: str) -> str:
    # The parser repeats what it could not place, which may be an external id or a value.
    if message.startswith("Got unexpected extra argument"):
        return "too many arguments"
    return message.rstrip(".")


def _of_the_client(error: Exception) -> bool:
    # Asked by name: importing the client's error tree would cost every start its time.
    return any(kind.__module__ == "customervault.errors" for kind in type(error).__mro__)
