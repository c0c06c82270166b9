"""`cvault witness`: runs a witness of vaults' ledgers, and shows what one remembers."""

import base64
import json
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.exits import CommandError, ExitCode, UsageError
from vault.cli.options import DEFAULT_DATA, DataDir, Json
from vault.cli.output import print_facts, print_json, print_line, print_remark, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from vault.tlog.notes import VerifierKey

_GROUP = """Witness: remembers how far a vault's ledger has grown, and cosigns no ledger that was rolled back.

Run it on another machine than the vault. It sees sizes and hashes, never an entry.

Example:
  cvault witness show --directory /var/lib/cvault-witness
"""
_SERVE = """Run a witness in the foreground until SIGTERM or Ctrl-C.

Makes the witness's key at the first start. It cosigns ledgers whose keys are given with --log and no
others; `cvault witness log` prints a vault's. Nobody is asked for a password: listen where only vaults call.

Exit codes: 0 ended when asked to, 2 usage, 4 could not start.

Examples:
  cvault witness serve --directory /var/lib/cvault-witness --log "$(cvault witness log --data vault-data)"
"""
_SHOW = """Show a witness's key, and the newest checkpoint of each ledger that it has cosigned.

The key goes into the vault's `vault.toml`, as `ledger.witness_key`.

Example:
  cvault witness show --directory /var/lib/cvault-witness
"""
_LOG = """Print the verifier key of a vault's ledger, for `cvault witness serve --log`.

With --audit: that of its sealed access log, which the same witness cosigns if it is given this key, too.

Examples:
  cvault witness log --data /var/lib/customer-vault
  cvault witness log --data /var/lib/customer-vault --audit
"""

Directory = Annotated[
    Path,
    typer.Option("--directory", envvar="CVAULT_WITNESS", metavar="DIR", help="Directory of the witness."),
]
_DEFAULT_DIRECTORY = Path("witness-data")


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Witness of vaults' ledgers."), no_args_is_help=True)
    group.command("serve", **texts(_SERVE, "Run a witness."))(serve)
    group.command("show", **texts(_SHOW, "Show what a witness remembers."))(show)
    group.command("log", **texts(_LOG, "Print the key of a vault's ledger."))(log)
    app.add_typer(group, name="witness")


def serve(
    directory: Directory = _DEFAULT_DIRECTORY,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Port 0 takes a free one.")
    ] = "127.0.0.1:8477",
    logs: Annotated[
        list[str] | None, typer.Option("--log", metavar="KEY", help="Verifier key of a ledger; repeatable.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Of a new witness, in every cosignature.")
    ] = "",
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", metavar="FILE", help="Write address and key once serving.")
    ] = None,
) -> None:
    """Runs a witness."""
    from vault.server.address import parse
    from vault.store.files import write_durably
    from vault.witness.service import WitnessServer
    from vault.witness.state import KEY_FILE, WitnessState

    host, port = parse(listen)
    known = _logs(logs or [])
    if (directory / KEY_FILE).exists():
        if name:
            raise UsageError("the witness has a name already; --name is for a new one")
        state = WitnessState.open(directory)
    else:
        state = WitnessState.create(directory, name or f"cvault-witness-{os.urandom(4).hex()}")
    state.lock()
    try:
        server = WitnessServer((host, port), state, known, print_remark)
    except OSError as error:
        state.close()
        raise CommandError(
            f"cannot listen on {listen}", reason="UNAVAILABLE", code=ExitCode.UNAVAILABLE
        ) from error
    address = f"http://{host}:{server.server_address[1]}"
    _stop_on_signals(server.shutdown)
    if ready_file is not None:
        ready = {"address": address, "key": str(state.key), "pid": os.getpid()}
        write_durably(ready_file, json.dumps(ready).encode())
    print_line(f"witness {state.key}")
    print_line(f"serving on {address}, {len(known)} ledgers known")
    sys.stdout.flush()
    server.serve_forever()
    server.server_close()
    state.close()


def show(directory: Directory = _DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Shows what a witness remembers."""
    from vault.witness.state import WitnessState

    state = WitnessState.open(directory)
    remembered = [
        (checkpoint, datetime.fromtimestamp(time_s, UTC)) for checkpoint, time_s in state.remembered()
    ]
    if as_json:
        ledgers = [
            {
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": base64.b64encode(checkpoint.root).decode(),
                "cosigned": when_json(moment),
            }
            for checkpoint, moment in remembered
        ]
        print_json({"key": str(state.key), "ledgers": ledgers})
        return
    print_facts([("key", state.key)])
    rows = [
        (checkpoint.origin, checkpoint.size, checkpoint.root.hex()[:16], when(moment))
        for checkpoint, moment in remembered
    ]
    print_table(("LEDGER", "ENTRIES", "ROOT", "COSIGNED"), rows, empty="No ledger cosigned yet.")


def log(
    data: DataDir = DEFAULT_DATA,
    audit: Annotated[bool, typer.Option("--audit", help="Of the sealed access log instead.")] = False,
    as_json: Json = False,
) -> None:
    """Prints the verifier key of a vault's ledger, or of its access log."""
    if not (data / "FORMAT").exists():
        raise UsageError(f"there is no vault in {data}")
    from vault.audit.sealed.checkpoints import audit_key
    from vault.core.keyhistory import listed_keys
    from vault.store.files import Format
    from vault.store.proofs import ledger_key

    keys = listed_keys(data)
    if keys is None:
        raise UsageError(f"the vault's list of public keys is missing or damaged: {data}/public/keys.json")
    named = audit_key if audit else ledger_key
    key = named(Format.read(data).vault_id, keys[-1])
    if as_json:
        print_json({"key": str(key)})
    else:
        print_line(str(key))


def _logs(texts_of_keys: list[str]) -> "dict[str, list[VerifierKey]]":
    from vault.tlog.notes import ED25519, VerifierKey

    known: dict[str, list[VerifierKey]] = defaultdict(list)
    for text in texts_of_keys:
        key = VerifierKey.parse(text)
        if key.type != ED25519:
            raise UsageError("--log takes keys that sign, as `cvault witness log` prints them")
        known[key.name].append(key)
    return dict(known)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    # `shutdown` waits for the loop that the signal has interrupted, so it needs a thread of its own.
    def stopped(*_: object) -> None:
        threading.Thread(target=stop, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
