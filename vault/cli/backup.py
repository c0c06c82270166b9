"""`cvault backup`: copies of the data, which hold no key, and what is made of them again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.copies import Directory, Keep, OlderThan, print_problems, prune, time_of
from vault.cli.exits import RefusedError, UsageError
from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile, Yes
from vault.cli.output import plural, print_facts, print_json, print_remark, print_table
from vault.cli.passphrase import development_passphrase, read_passphrase
from vault.cli.stopped import stopped
from vault.cli.texts import texts

if TYPE_CHECKING:
    from vault.config import Settings
    from vault.core.restorereport import RestoreReport

_GROUP = """Backups of the data. They hold no key: opening one takes the keyring (`cvault keys copy`) as well.

Example:
  cvault backup create /mnt/backups --data /var/lib/customer-vault
"""
_CREATE = """Make a backup in a new directory under DIR. The vault may be running; no passphrase is needed.

It holds values, ledger, public keys and the CA's certificate; neither keyring nor root key.

Example:
  cvault backup create /mnt/backups --data /var/lib/customer-vault --json
"""
_LIST = """List the backups in DIR, oldest first. With --json: one a line.

Example:
  cvault backup list /mnt/backups
"""
_VERIFY = """Check a backup without keys: hashes, every page of the values, the ledger's chain and signatures.

Exit codes: 0 whole, 1 damaged, 2 usage.

Example:
  cvault backup verify /mnt/backups/20261121T224003.512Z
"""
_PRUNE = """Remove old backups: all but the newest --keep; with --older-than, only such as are older.

With neither, those older than `[backup] keep_days` of the vault's settings (30, if they do not say), but
never the newest. For as long the vault keeps the data keys that backups need.

Examples:
  cvault backup prune /mnt/backups --data /var/lib/customer-vault
  cvault backup prune /mnt/backups --keep 7 --older-than 30
"""
_RESTORE = """Put the data of a backup in place, and do to it what the ledger says has happened since.

Needed are the current keyring (the one in the data directory, or --keyring COPY) and the current ledger
(the one in the data directory, or --ledger FILE if that is longer). Whoever was shredded since stays
shredded; what was deleted or corrected since is not brought back. A ledger that is older than another one
at hand, or differs from it, is refused. The vault must not be running.

Everything is staged beside the vault first, which takes as much space again. Then you see what will be
there and what is lost, and confirm; scripts pass --yes. Interrupted after that, run it again: it finishes.

Customers who came after the backup are lost, and what is left of their keys is destroyed: restore the
newest backup that is whole. If more does not open than the ledger accounts for, nothing is put in place
without --accept-loss.

Exit codes: 0 restored, 1 refused or not all accounted for, 2 usage, 4 running, or keys cannot be opened.

Examples:
  cvault backup restore /mnt/backups/20261121T224003.512Z --data /var/lib/customer-vault --dry-run
  cvault backup restore BACKUP --data NEW --keyring COPY --ledger /mnt/mirror/entries
"""
_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Backups of the data, and restore."), no_args_is_help=True)
    group.command("create", **texts(_CREATE, "Make a backup."))(create)
    group.command("list", **texts(_LIST, "List backups."))(list_all)
    group.command("verify", **texts(_VERIFY, "Check a backup."))(verify)
    group.command("restore", **texts(_RESTORE, "Put a backup in place."))(restore)
    group.command("prune", **texts(_PRUNE, "Remove old backups."))(prune_backups)
    app.add_typer(group, name="backup")


def create(directory: Directory, data: DataDir = DEFAULT_DATA, as_json: Json = False) -> None:
    """Makes a backup."""
    from vault.config import load_settings
    from vault.core.backup import create_backup
    from vault.core.localacts import recording

    with recording(data, load_settings(data)) as trail:
        made = create_backup(data, directory, trail=trail)
    facts = {"path": str(made.path), **made.facts, "bytes": made.bytes}
    if as_json:
        print_json(facts)
        return
    print_facts(
        [
            ("path", made.path),
            ("customers", f"{made.facts['rows']['sheets']:,}"),
            ("ledger", f"{made.facts['ledger']:,} entries, {made.facts['applied']:,} applied"),
            ("epoch", made.facts["epoch"]),
            ("bytes", f"{made.bytes:,}"),
        ]
    )


def list_all(directory: Directory, as_json: Json = False) -> None:
    """Lists backups."""
    from vault.core.backup import DATA
    from vault.store.bundle import bundles

    rows = []
    for each in bundles(directory, DATA):
        facts = each.facts
        if as_json:
            print_json(
                {"name": each.path.name, "vault_id": each.vault_id.hex(), "bytes": each.bytes, **facts}
            )
        rows.append(
            (
                each.path.name,
                time_of(each.created_ms),
                f"{facts['rows']['sheets']:,}",
                facts["applied"],
                facts["epoch"],
                f"{each.bytes:,}",
            )
        )
    if not as_json:
        print_table(("NAME", "MADE", "CUSTOMERS", "LEDGER", "EPOCH", "BYTES"), rows, empty="No backups.")


def verify(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", show_default=False)], as_json: Json = False
) -> None:
    """Checks a backup."""
    from vault.core.backup import verify_backup

    print_problems(verify_backup(backup)[1], backup, as_json=as_json)


def prune_backups(
    directory: Directory,
    keep: Keep = None,
    older_than: OlderThan = None,
    data: DataDir = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Removes old backups."""
    from vault.config import load_settings
    from vault.core.backup import DATA

    if keep is None and older_than is None:
        keep, older_than = 1, load_settings(data).backup.keep_days
    prune(directory, DATA, keep, older_than, worthless=lambda _: False, as_json=as_json)


def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", show_default=False)],
    data: DataDir = DEFAULT_DATA,
    keyring: Annotated[
        Path | None, typer.Option("--keyring", metavar="COPY", help="A copy made by `cvault keys copy`.")
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", metavar="PATH", help="A newer ledger than the one that is left."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would come of it.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Even if more is lost than the ledger accounts for.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Restores a vault."""
    from vault.config import load_settings
    from vault.core.restore import Restore, Sources, finish_restore

    if not data.is_dir():
        raise UsageError(f"{data} is no directory; a new one needs at least vault.toml and the root keys")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError("not on a terminal: confirm with --yes, or look first with --dry-run")
    settings = load_settings(data)
    (data / "run").mkdir(mode=0o700, exist_ok=True)
    with stopped(data):
        finished = finish_restore(data)
        if finished is not None:
            print_remark("An interrupted restore was finished; this is its report.")
            _record(data, settings, finished)
            _print_report(finished, as_json=as_json)
            return
        file = passphrase_file or development_passphrase(data)
        restoring = Restore(data, settings, Sources(backup, keyring, ledger))
        try:
            report = restoring.stage(read_passphrase(file, settings.keys, new=False))
            _print_report(report, as_json=as_json)
            if not (report.exact or accept_loss):
                raise RefusedError(
                    "more is lost than the ledger accounts for; nothing was restored", "DATA_LOSS"
                )
            if dry_run:
                print_remark("Nothing was restored: --dry-run.")
                return
            if not yes:
                _confirm(report)
            restoring.put_in_place(report)
        finally:
            restoring.discard()
        _record(data, settings, report)
    print_remark(f"Restored {backup.name}. Check it: cvault check --data {data}")


def _record(data: Path, settings: "Settings", report: "RestoreReport") -> None:
    from vault.core.localacts import recording
    from vault.errors import AuditUnavailableError

    try:
        with recording(data, settings) as trail:
            trail.local(
                "Restore",
                backup=report.backup,
                customers=report.customers,
                lost=len(report.lost_newer) + len(report.lost_generation) + len(report.lost_key),
                incarnation=report.incarnation,
            )
    except AuditUnavailableError:
        print_remark("The restore could not be written to the access log; the ledger has it.")


def _confirm(report: "RestoreReport") -> None:
    print_remark(f"This replaces the vault's data by that of {report.backup}.")
    sys.stderr.write(f"Type the number of customers who will be there ({report.customers}) to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().rstrip("\r\n") != str(report.customers):
        raise UsageError("not confirmed; nothing was restored")


def _print_report(report: "RestoreReport", *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
        return
    facts: list[tuple[str, object]] = [
        ("backup", report.backup),
        ("ledger", f"backup at entry {report.copied_seq:,}, replayed to {report.ledger_seq:,}"),
        ("epoch", report.epoch),
        ("incarnation", report.incarnation),
        ("opened", f"{plural(report.customers, 'customer')}, {plural(report.values, 'value')}"),
        ("shredded since", _numbers(report.shredded)),
        ("values deleted since", len(report.deleted)),
        ("consents ended since", report.consents_ended),
        ("lost: corrected since", _values(report.outdated)),
        ("lost: came since", _numbers(report.lost_newer)),
        ("lost: key replaced since", _numbers(report.lost_generation)),
    ]
    if not report.exact:
        facts += [
            ("LOST: no key", _numbers(report.lost_key)),
            ("LOST: damaged", _numbers(report.damaged)),
            *[("FINDING", each) for each in report.findings[:_SHOWN]],
        ]
    print_facts(facts)


def _numbers(customers: list[int]) -> str:
    if not customers:
        return "none"
    shown = ", ".join(map(str, customers[:_SHOWN]))
    more = ", ..." if len(customers) > _SHOWN else ""
    return f"{plural(len(customers), 'customer')}: {shown}{more}"


def _values(values: list[tuple[int, int]]) -> str:
    if not values:
        return "none"
    return f"{plural(len(values), 'value')} of {_numbers(sorted({customer for customer, _ in values}))}"
