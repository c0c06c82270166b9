"""The steps of the demo, in order. A step's docstring is its title."""

import csv
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from customervault import Vault, VaultError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import contacts
from benchmarks.contacts import Shape
from benchmarks.processes import connections
from benchmarks.throwaway import ThrowAwayVault

CONTACTS_A_FILE = 5_000
_SHOWN_ROWS = 5
_SHOWN_ACCESSES = 8
_SHOWN = ("First Name", "Last Name", "Email", "Phone Number")
_MOST_CONNECTIONS = 64
_CRMS: dict[Shape, str] = {"hubspot": "HubSpot", "salesforce": "Salesforce"}
_UNMAPPED = {"hubspot": ("--map", "IBAN=iban"), "salesforce": ("--map", "IBAN__c=iban")}


class StepError(Exception):
    """Something did not happen as the demo says it does."""


@dataclass(slots=True)
class Demo:
    """What the steps share."""

    console: Console
    vault: ThrowAwayVault
    folder: Path
    contacts: list[dict[str, str]] = field(default_factory=list)  # of the HubSpot export
    rows: list[dict[str, str]] = field(default_factory=list)  # of its tokenized copy
    imported_values: int = 0
    import_seconds: float = 0.0
    read_rate: float = 0.0

    def say(self, text: str) -> None:
        """A line of a step."""
        self.console.print(f"    {text}", soft_wrap=True)

    def source(self, shape: Shape) -> Path:
        """The export that is imported."""
        return self.folder / f"{shape}.csv"

    def copy(self, shape: Shape) -> Path:
        """Its tokenized copy."""
        return self.folder / f"{shape}-tokens.csv"

    def tokens_of(self, row: dict[str, str]) -> list[str]:
        """All tokens in a row of the tokenized HubSpot copy."""
        return [row[column] for column in contacts.FIELDS["hubspot"] if row[column]]


def expect(condition: object, message: str) -> None:
    """Ends the demo unless `condition` holds.

    Raises:
        StepError: It does not.
    """
    if not condition:
        raise StepError(message)


def make_contacts(demo: Demo) -> None:
    """Make up 10,000 contacts of 21 countries."""
    for shape, crm in _CRMS.items():
        contacts.write_csv(demo.source(shape), CONTACTS_A_FILE, shape=shape)
        demo.say(f"{demo.source(shape).name}: {CONTACTS_A_FILE:,} contacts as {crm} exports them")
    demo.contacts = read_csv(demo.source("hubspot"))


def import_contacts(demo: Demo) -> None:
    """Import both exports: tokens out."""
    for shape in _CRMS:
        source, copy = demo.source(shape), demo.copy(shape)
        own = ("--preset", shape, *_UNMAPPED[shape], "--tokens-out")
        demo.say(f"[dim]$ cvault import {source.name} {' '.join(own)} {copy.name}[/]")
        done = demo.vault.cvault_json("import", source, *own, copy)
        created = done["customers_created"]
        expect(created == CONTACTS_A_FILE, f"{created:,} customers were created")
        expect(not done["values_refused"] and not done["rows_rejected"], "some values or rows were refused")
        demo.imported_values += done["values_created"]
        demo.import_seconds += done["seconds"]
        demo.say(f"{created:,} customers with {done['values_created']:,} values, durable")
    demo.rows = read_csv(demo.copy("hubspot"))
    expect(len(demo.rows) == CONTACTS_A_FILE, "the tokenized copy has another number of rows")


def show_masked(demo: Demo) -> None:
    """What the CRM keeps, and what marketing and support may see of it."""
    copy = demo.copy("hubspot").read_text()
    kept = [row["Email"] for row in demo.contacts if row["Email"] and row["Email"] in copy]
    expect(not kept, "the tokenized copy holds an e-mail address")
    shown = [row for row in demo.rows if all(row[column] for column in _SHOWN)][:_SHOWN_ROWS]
    tokens, masked = Table(title="hubspot-tokens.csv"), Table(title="the same, masked")
    for column in _SHOWN:
        tokens.add_column(column)
        masked.add_column(column)
    with demo.vault.connect() as vault:
        for row in shown:
            asked = [row[column] for column in _SHOWN]
            values = vault.detokenize(asked, purpose="support", reveal="masked")
            expect(values.ok, "a masked value was refused")
            expect(all(value.reveal_level == "masked" for value in values), "a value came unmasked")
            tokens.add_row(*(f"{token[:12]}…" for token in asked))
            masked.add_row(*map(escape, values.plain_list()))
        demo.console.print(tokens, masked)
        best = vault.detokenize(shown[0]["Email"], purpose="marketing")[0]
        expect(best.ok and best.reveal_level == "masked", "marketing saw more than a mask")
        refused = vault.detokenize(shown[0]["Email"], purpose="marketing", reveal="plain")[0]
        expect(refused.error is not None, "marketing was given the plain value")
        demo.say(f"marketing gets {escape(best.get())}; asking for the plain value: {refused.error}")


def read_for_support(demo: Demo) -> None:
    """Read for a purpose."""
    tokens = [token for row in demo.rows for token in demo.tokens_of(row)]
    # Unicode's composed form is what the vault keeps.
    names = [unicodedata.normalize("NFC", row["First Name"]) for row in demo.contacts]
    with demo.vault.connect(purpose="support", timeout=60) as vault:
        begun = time.perf_counter()
        values = vault.detokenize(tokens)
        seconds = time.perf_counter() - begun
        expect(values.ok, f"{len(values.errors)} values were refused")
        read = vault.detokenize([row["First Name"] for row in demo.rows]).plain_list()
        expect(read == names, "the first names came back changed")
    demo.read_rate = len(tokens) / seconds
    demo.say(f"support reads all {len(tokens):,} values of the {len(demo.rows):,} HubSpot contacts")
    demo.say(f"for example: {escape(', '.join(read[:6]))}")


def refuse_billing(demo: Demo) -> None:
    """Be refused for another purpose."""
    with demo.vault.connect() as vault:
        tokens = demo.tokens_of(demo.rows[0])
        reasons = reasons_of(vault, tokens, "billing")
        expect(reasons == {"PURPOSE_DENIED": len(tokens)}, f"billing was answered {dict(reasons)}")
        demo.say(f"billing asks for {len(tokens)} values and gets none: PURPOSE_DENIED")


def correct_a_value(demo: Demo) -> None:
    """Correct a value: the token stays."""
    token = next(row["Email"] for row in demo.rows if row["Email"])
    corrected = "corrected.address@example.org"
    with demo.vault.connect(purpose="support") as vault:
        before = vault.detokenize(token)[0].get()
        expect(vault.update(token, corrected) == "updated", "the value was not updated")
        after = vault.detokenize(token)[0].get()
        expect(after == corrected, "the old value came back")
        expect(vault.inspect(token).version == 2, "the version was not counted")
    demo.say(f"{token[:12]}… was {escape(before)}, is {escape(after)}")


def shred_a_customer(demo: Demo) -> None:
    """Shred a customer: every token is dead, on every worker."""
    row = demo.rows[1]
    port = demo.vault.ready.port
    with demo.vault.connect() as vault:
        tokens = [held.token for held in vault.get_customer(external_id=row["Record ID"]).held]
        expect(set(demo.tokens_of(row)) < set(tokens), "the vault holds other tokens than the copy")
        preview = vault.shred(external_id=row["Record ID"], validate_only=True)
        expect(preview.values == len(tokens), f"the preview counts {preview.values} of {len(tokens)} values")
        begun = time.perf_counter()
        shredded = vault.shred(external_id=row["Record ID"])
        milliseconds = (time.perf_counter() - begun) * 1000
    expect(shredded.values == len(tokens), f"{shredded.values} of {len(tokens)} values went")
    expect(shredded.certificate is not None, "there is no certificate")
    demo.say(f"{shredded.values} values, the external id among them, gone in {milliseconds:.0f} ms")
    demo.say(f"{shredded.shred_id}, with a signed certificate")
    workers = demo.vault.ready.workers
    asked: Counter[int] = Counter()
    for _ in range(_MOST_CONNECTIONS):
        before = {pid: connections(pid, port) for pid in workers}
        with demo.vault.connect(channels=1) as vault:
            reasons = reasons_of(vault, tokens, "support")
            asked.update(pid for pid in workers if connections(pid, port) - before[pid])
        expect(reasons == {"SHREDDED": len(tokens)}, f"a dead token was answered {dict(reasons)}")
        if all(asked[pid] for pid in workers):
            break
    expect(all(asked[pid] for pid in workers), "some worker never got a connection")
    answers = ", ".join(f"worker {pid} on {plural(asked[pid], 'connection')}" for pid in workers)
    demo.say(f"all {len(tokens)} tokens answer SHREDDED: {answers}")


def import_again(demo: Demo) -> None:
    """Import the shredded customer's row again: a new customer."""
    gone = demo.rows[1]
    source, copy = demo.folder / "again.csv", demo.folder / "again-tokens.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(demo.contacts[1]))
        writer.writeheader()
        writer.writerow(demo.contacts[1])
    done = demo.vault.cvault_json(
        "import", source, "--preset", "hubspot", *_UNMAPPED["hubspot"], "--tokens-out", copy
    )
    expect(done["customers_created"] == 1, "the customer was not created anew")
    (row,) = read_csv(copy)
    expect(row["Record ID"] == gone["Record ID"], "another customer was imported")
    old, new = demo.tokens_of(gone), demo.tokens_of(row)
    expect(len(old) == len(new) and not set(old) & set(new), "a dead token was issued again")
    with demo.vault.connect(purpose="support") as vault:
        expect(vault.detokenize(new).ok, "the new tokens cannot be read")
        reasons = reasons_of(vault, old, "support")
        expect(reasons == {"SHREDDED": len(old)}, f"the old tokens answer {dict(reasons)}")
    demo.say(f"{len(new)} new tokens are read; the {len(old)} old ones stay dead")


def show_who_read(demo: Demo) -> None:
    """Show who read what of one customer."""
    row = demo.rows[0]
    table = Table("time", "principal", "act", "purpose", "values", "why")
    with demo.vault.connect("admin") as vault:
        accesses = list(vault.list_access(external_id=row["Record ID"]))
    for each in accesses[:_SHOWN_ACCESSES]:
        moment = f"{each.time:%H:%M:%S}" if each.time else ""
        counts = {"plain": each.values_plain, "masked": each.values_masked, "denied": each.values_denied}
        values = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        table.add_row(moment, each.principal, each.action, each.purpose, values, ", ".join(each.reasons))
    demo.console.print(table)
    purposes = Counter(each.purpose for each in accesses)
    expect(purposes["support"] and purposes["billing"], "the log does not show the reads of this demo")
    expect(
        all(each.values_denied and not each.values_plain for each in accesses if each.purpose == "billing"),
        "the log does not show that billing was refused",
    )


def check_stores(demo: Demo) -> None:
    """Stop the vault and check every invariant of its stores."""
    demo.vault.stop()
    found = demo.vault.check()
    errors = [each for each in found["findings"] if each["severity"] == "error"]
    expect(found["clean"] and not errors, f"{len(errors)} errors in the stores")
    expect(found["opened"], "keys and records were not opened")
    demo.say("clean: every key unwrapped, every record opened, ledger and access log verified")


def print_rates(demo: Demo) -> None:
    """Rates of this run."""
    demo.say(
        f"import:     {demo.imported_values / demo.import_seconds:>9,.0f} values/s, "
        "validated, sealed and durable, with cvault import"
    )
    demo.say(f"detokenize: {demo.read_rate:>9,.0f} values/s, from a cold start, with one client of the SDK")
    demo.say("[dim]`make bench` measures both with care.[/]")


def reasons_of(vault: Vault, tokens: list[str], purpose: str) -> Counter[str]:
    """Why values were refused, whether the call failed or each item did; `revealed` counts the others."""
    try:
        values = vault.detokenize(tokens, purpose=purpose)
    except VaultError as error:
        return Counter({error.reason: len(tokens)})
    return Counter(value.error.reason if value.error else "revealed" for value in values)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def plural(count: int, noun: str) -> str:
    """`1 connection`, `2 connections`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


STEPS: tuple[Callable[[Demo], None], ...] = (
    make_contacts,
    import_contacts,
    show_masked,
    read_for_support,
    refuse_billing,
    correct_a_value,
    shred_a_customer,
    import_again,
    show_who_read,
    check_stores,
    print_rates,
)
