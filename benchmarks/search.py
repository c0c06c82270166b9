"""`make bench-search`: finds people by every spelling of their phone number and e-mail, and times it.

    python -m benchmarks.search --people 100000

A development vault in this process, so what is timed is the work at the server: policy, budget, index,
opening, comparing, access record; neither gRPC nor TLS. Everybody is looked for in every spelling, and found
alone; then one in a hundred is shredded and as many corrected, and must not be found by what they no longer
hold. A rotation with the two indexes, and one without, tell what an indexed value adds to it.
"""

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.in_process import CALLER, PURPOSE, opened, store
from vault.config import Settings
from vault.core.custody import OwnCustodian
from vault.core.epochs import EpochRotation
from vault.core.vault import Vault
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.search import Found, Search, SearchTerm
from vault.model.secret import Secret
from vault.server.dev import prepare

TARGET_MEDIAN_SECONDS: Final = 0.001
TARGET_CPU_A_VALUE: Final = 25e-6
INDEXED: Final = 2  # values a person
SEARCHABLE: Final = Settings(fields={"phone": {"searchable": True}, "email": {"searchable": True}})
_SHARE: Final = 100  # one in so many is shredded, and one corrected
_ENTRIES: Final = 500
_FULL_WIDTH: Final = str.maketrans("+0123456789 ", "＋０１２３４５６７８９　")
_ARABIC: Final = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def phone(number: int) -> str:
    """Somebody's number, E.164."""
    return f"+49301{number:07}"


def email(number: int) -> str:
    """Somebody's address, as it was stored."""
    return f"Person.{number}@Example.org"


def spellings(number: int) -> Iterator[tuple[str, str, str, str]]:
    """Name of the spelling, field class, text, region."""
    national = phone(number)[3:]
    local = national[2:]
    yield "E.164", "phone", phone(number), ""
    yield "international", "phone", f"+49 30 {local[:4]} {local[4:]}", ""
    yield "national", "phone", f"030 {local}", "DE"
    yield "punctuation", "phone", f"(030) {local[:3]}-{local[3:]}", "DE"
    yield "full-width", "phone", f"+49 30 {local}".translate(_FULL_WIDTH), ""
    yield "Arabic-Indic", "phone", f"0{national}".translate(_ARABIC), "DE"
    yield "e-mail, lower", "email", email(number).lower(), ""
    yield "e-mail, upper", "email", email(number).upper(), ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    people: int = parser.parse_args().people
    print(machine.line(machine.facts()))
    with tempfile.TemporaryDirectory(prefix="customer-vault-") as name:
        data = Path(name)
        with opened(data, SEARCHABLE) as vault:
            tokens = _filled(vault, people)
            _find_everybody(vault, people, tokens)
            _find_nobody(vault, people)
            with_index = _rotated(vault)
        with opened(data) as vault:
            without = _rotated(vault)
    a_value = (with_index - without) / (INDEXED * people)
    print(
        f"\nrotation   {with_index:.2f} s of CPU with {INDEXED} indexed values each, {without:.2f} s without"
    )
    print(f"  a value      {a_value * 1e6:.1f} µs (at most {TARGET_CPU_A_VALUE * 1e6:.0f})")


def _filled(vault: Vault, people: int) -> list[str]:
    """Stores everybody; the tokens of their phone numbers."""
    began, tokens = time.perf_counter(), []
    for first in range(0, people, _ENTRIES):
        entries = [_entry(number) for number in range(first, min(first + _ENTRIES, people))]
        tokens += [each[0] for each in store(vault, entries)]
    print(f"{people:,} people stored in {time.perf_counter() - began:,.0f} s", flush=True)
    return tokens


def _entry(number: int) -> Entry:
    fields = [FieldInput("phone", Secret(phone(number))), FieldInput("email", Secret(email(number)))]
    return Entry(CustomerRef(external_id=Secret(f"person-{number}")), fields)


def _found(vault: Vault, field_class: str, text: str, region: str) -> list[Found]:
    term = SearchTerm(field_class, Secret(text))
    return list(vault.find(CALLER, Search([term], PURPOSE, region=region)).items)


def _find_everybody(vault: Vault, people: int, tokens: list[str]) -> None:
    times: dict[str, list[float]] = {}
    for number in range(people):
        for name, field_class, text, region in spellings(number):
            began = time.perf_counter()
            found = _found(vault, field_class, text, region)
            times.setdefault(name, []).append(time.perf_counter() - began)
            if len(found) != 1 or (field_class == "phone" and found[0].values[0].token != tokens[number]):
                raise SystemExit(f"person {number} is not found by {name}")
    print(f"\n{'spelling':<16}{'found':>10}{'median':>12}{'99 %':>12}")
    for name, seconds in times.items():
        nearly_all = statistics.quantiles(seconds, n=100)[-1]
        print(f"{name:<16}{len(seconds):>10,}{_ms(statistics.median(seconds)):>12}{_ms(nearly_all):>12}")
    every = [each for seconds in times.values() for each in seconds]
    print(f"{'all':<16}{len(every):>10,}{_ms(statistics.median(every)):>12}", end="")
    print(f" (at most {_ms(TARGET_MEDIAN_SECONDS)})")


def _find_nobody(vault: Vault, people: int) -> None:
    """Shreds and corrects some, and looks for what they held."""
    shredded, corrected = range(0, people, _SHARE), range(1, people, _SHARE)
    refs = [CustomerRef(external_id=Secret(f"person-{number}")) for number in shredded]
    for first in range(0, len(refs), _ENTRIES):
        some = refs[first : first + _ENTRIES]
        answers = vault.shred(CALLER, some, request_id="", validate_only=False, atomic=False)
        if any(each.error for each in answers):
            raise SystemExit("somebody was not shredded")
    for number in corrected:
        fields = [
            FieldInput("phone", Secret(phone(people + number))),
            FieldInput("email", Secret(email(people + number))),
        ]
        entry = Entry(CustomerRef(external_id=Secret(f"person-{number}")), fields)
        request_id = str(uuid.uuid4())
        vault.tokenize(CALLER, [entry], domain="", request_id=request_id, atomic=True, batch=False)
    searches = 0
    for number in (*shredded, *corrected):
        for name, field_class, text, region in spellings(number):
            searches += 1
            if _found(vault, field_class, text, region):
                raise SystemExit(f"person {number} is found by {name}, and should not")
    for number in corrected:
        if len(_found(vault, "phone", phone(people + number), "")) != 1:
            raise SystemExit(f"person {number} is not found by the new number")
    print(
        f"\n{len(shredded):,} shredded and {len(corrected):,} corrected: none found in {searches:,} searches"
    )


def _rotated(vault: Vault) -> float:
    """Seconds of CPU of a rotation."""
    engine = vault.engine
    passphrase, _ = prepare(engine.data_dir, engine.settings)
    custodian = OwnCustodian(engine, engine.settings, passphrase)
    began = time.process_time()
    EpochRotation(engine, custodian).rotate()
    return time.process_time() - began


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


if __name__ == "__main__":
    main()
