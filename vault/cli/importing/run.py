"""One import from its opened source to its summary."""

import hashlib
import time
from pathlib import Path
from uuid import UUID, uuid5

from vault.cli.exits import UsageError
from vault.cli.importing.journal import Identity, Journal
from vault.cli.importing.pipeline import Pace, run_import
from vault.cli.importing.progress import showing
from vault.cli.importing.source import Source
from vault.cli.importing.tally import Tally
from vault.cli.importing.target import ImportTarget
from vault.cli.output import plural, print_json, print_line

_IMPORTS = UUID("2c0b1f0e-8a3e-4f52-9a55-6d3c7a9be1d4")
_FINGERPRINTED_BYTES = 2**20


class ImportRun:
    """One import from its opened source to its summary."""

    def __init__(
        self,
        file: Path,
        source: Source,
        identity: Identity,
        copy: Path | None,
        rejects: Path,
        resume: bool,
        pace: Pace,
    ) -> None:
        self._file = file
        self._source = source
        self._identity = identity
        self._copy = copy
        self._rejects = rejects
        self._resume = resume
        self._pace = pace
        self._resumed = False
        self._seconds = 0.0
        self.tally = Tally()

    def into(self, target: ImportTarget) -> None:
        """Sends everything that is not yet acknowledged to `target`.

        Raises:
            UsageError: The file changed meanwhile, or the copy is not ours to write.
        """
        begun = time.monotonic()
        with Journal(self._identity, self._copy, self._rejects, self._source.start) as journal:
            journal.open(self._source.heading(), resume=self._resume)
            self._resumed = journal.resumed
            with showing(self._file.name, self._file.stat().st_size, journal.progress) as report:
                self.tally = run_import(
                    self._source,
                    target,
                    journal,
                    run_id=uuid5(_IMPORTS, f"{self._identity.input}/{self._identity.settings}"),
                    pace=self._pace,
                    report=report,
                )
            if fingerprint(self._file) != self._identity.input:
                raise UsageError(f"{self._file} changed while it was imported; start over with --no-resume")
            journal.finish()
        self._seconds = time.monotonic() - begun

    def summarize(self, *, as_json: bool, dry_run: bool) -> None:
        """Prints what happened."""
        tally = self.tally
        rejects = None if tally.clean else self._rejects
        if as_json:
            document = {
                **tally.as_json(),
                "dry_run": dry_run,
                "resumed": self._resumed,
                "seconds": round(self._seconds, 3),
                "tokens_out": str(self._copy) if self._copy else None,
                "rejects": str(rejects) if rejects else None,
            }
            print_json(document)
            return
        verb = "checked" if dry_run else "imported"
        good = tally.rows - tally.rows_rejected
        rate = f" in {self._seconds:.1f} s" + (", continued" if self._resumed else "")
        print_line(f"{verb} {plural(good, 'row')} with {plural(tally.values, 'value')}{rate}")
        if not dry_run:
            print_line(
                f"  {plural(tally.customers_created, 'new customer')}; values: {tally.values_created:,} new, "
                f"{tally.values_updated:,} updated, {tally.values_unchanged:,} unchanged"
            )
        if not tally.clean:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.reasons.most_common())
            print_line(
                f"  {plural(tally.rows_rejected, 'row')} rejected, "
                f"{plural(tally.values_refused, 'value')} refused: {reasons}"
            )
            print_line(f"  see {rejects}")
        if self._copy:
            print_line(f"  tokens in {self._copy}")


def fingerprint(file: Path) -> str:
    """Tells whether a file is still the same: size, time of change, and its first MiB."""
    status = file.stat()
    with file.open("rb") as opened:
        head = opened.read(_FINGERPRINTED_BYTES)
    return digest(f"{status.st_size}/{status.st_mtime_ns}/".encode() + head)


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
