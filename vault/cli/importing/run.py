"""Runs a job for a command and says what it did."""

from customervault.tables.files import Done, Job, run_job
from customervault.tables.source import Source
from customervault.tables.tally import Tally
from customervault.tables.target import Target

from vault.cli.importing.progress import showing
from vault.cli.output import plural, print_json, print_line


def run_shown(job: Job, source: Source, target: Target) -> Done:
    """Runs it, with a bar on a terminal.

    Raises:
        TableError: The file changed meanwhile, or the copy is not ours to write.
    """
    return run_job(job, source, target, lambda total, begin: showing(job.file.name, total, begin))


def summarize(job: Job, done: Done, verb: str, *, as_json: bool, dry_run: bool = False) -> None:
    """Prints what happened."""
    tally = done.tally
    rejects = None if tally.clean else job.rejects
    if as_json:
        print_json(
            {
                **tally.as_json(),
                "dry_run": dry_run,
                "resumed": done.resumed,
                "seconds": round(done.seconds, 3),
                "tokens_out" if verb != "opened" else "out": str(job.out) if job.out else None,
                "rejects": str(rejects) if rejects else None,
            }
        )
        return
    good = tally.rows - tally.rows_rejected
    rate = f" in {done.seconds:.1f} s" + (", continued" if done.resumed else "")
    print_line(f"{verb} {plural(good, 'row')} with {plural(tally.values, 'value')}{rate}")
    _print_details(tally, verb, dry_run=dry_run)
    if rejects:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.reasons.most_common())
        print_line(
            f"  {plural(tally.rows_rejected, 'row')} rejected, "
            f"{plural(tally.values_refused, 'value')} refused: {reasons}"
        )
        print_line(f"  see {rejects}")
    if job.out:
        print_line(f"  {'values' if verb == 'opened' else 'tokens'} in {job.out}")


def _print_details(tally: Tally, verb: str, *, dry_run: bool) -> None:
    if verb == "opened":
        print_line(f"  values: {tally.values_plain:,} plain, {tally.values_masked:,} masked")
    elif not dry_run:
        print_line(
            f"  {plural(tally.customers_created, 'new customer')}; values: {tally.values_created:,} new, "
            f"{tally.values_updated:,} updated, {tally.values_unchanged:,} unchanged"
        )
