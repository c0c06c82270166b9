"""`make bench-decisions`: what decisions by situation cost a reader, beside a trivial policy in the same run.

Two vaults in this process hold the same contacts. One has the development policy, and customers of whom
nothing is known. In the other the purpose stands on consent in some countries and on other bases elsewhere;
there are residency, training, an own rule and a budget of customers a day, customers of 30 countries, all
with consents, and 5 % whose situation stands in terms beside their rows. Everything is allowed, so both open
the same values.

Batches of 500 in contact shape go to one and the other in turn; what is compared are the medians.
"""

import argparse
import statistics
import time
import uuid
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.batches import BATCH, chosen, contact_shape
from benchmarks.in_process import CALLER, PURPOSE, in_process_vault, made_up_entries, store
from vault.core.vault import Vault
from vault.model.access import Reveal
from vault.model.consent import ConsentState
from vault.model.ids import CustomerNo
from vault.model.requests import Caller
from vault.server.dev import ADMIN
from vault.store.session import WriteSession
from vault.store.terms import Terms, TimedConsent

FLOOR = 0.95
SLOW_SHARE = 20  # every twentieth customer
PLACES = [
    "DE",
    "FR",
    "NL",
    "BE",
    "AT",
    "ES",
    "IT",
    "PT",
    "PL",
    "SE",
    "FI",
    "DK",
    "IE",
    "CZ",
    "RO",
    "GR",
    "HU",
    "BG",
    "HR",
    "US",
    "CA",
    "GB",
    "CH",
    "NO",
    "JP",
    "AU",
    "BR",
    "IN",
    "KR",
    "MX",
]
_FAR_MS = 2**52
_COMMIT = 500
_RULES = """rules = '''
@id("no_national_id_from_abroad") @reason("REGION_DENIED")
forbid (principal, action == Action::"reveal_plain", resource == FieldClass::"national_id")
when { context.jurisdiction != "DE" };
'''
"""
_BUDGET = f"""
[budgets.reading]
principals = ["{CALLER.principal}"]
window = "24h"
customers = 100000
"""
_PURPOSE = """[purposes.support]
description = "Answer a customer's question"
direct_marketing = true
training = true
bases = { EU = ["consent"], US = ["legitimate_interests", "consent"], "*" = ["contract", "consent"] }
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions")
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with ExitStack() as stack:
        trivial, full = (stack.enter_context(in_process_vault()) for _ in range(2))
        entries = made_up_entries(options.customers)
        tokens = [store(vault, entries) for vault in (trivial, full)]
        _make_full(full)
        _give_terms(full, options.customers)
        shapes = [chosen(contact_shape([len(each) for each in held], 7), held) for held in tokens]
        spent: list[list[float]] = [[], []]
        end = time.perf_counter() + options.seconds
        rounds = 0
        while time.perf_counter() < end or rounds < 2:
            for number in range(min(map(len, shapes))):
                order = ((trivial, 0), (full, 1)) if number % 2 else ((full, 1), (trivial, 0))
                for vault, which in order:
                    took = _read(vault, shapes[which][number])
                    if rounds:  # the first round fills caches
                        spent[which].append(took)
            rounds += 1
    rates = [BATCH / statistics.median(each) for each in spent]
    ratio = rates[1] / rates[0]
    print(f"{len(spent[0]):,} batches of {BATCH} each, in process, {options.customers:,} customers")
    print(f"trivial policy {rates[0]:>10,.0f} values/s")
    print(f"full engine    {rates[1]:>10,.0f} values/s")
    outcome = "reached" if ratio >= FLOOR else "MISSED"
    print(f"ratio of medians {ratio:.3f}; at least {FLOOR} is wanted: {outcome}")
    raise SystemExit(ratio < FLOOR)


def _read(vault: Vault, tokens: list[str]) -> float:
    begun = time.perf_counter()
    revealed = vault.detokenize(CALLER, tokens, PURPOSE, Reveal.PLAIN)
    took = time.perf_counter() - begun
    if revealed.denials:
        raise SystemExit(f"a read was denied: {revealed.denials[0].reason}")
    return took


def _make_full(vault: Vault) -> None:
    admin = Caller(ADMIN)
    document = vault.get_policy(admin).document
    start = document.index("[purposes.support]")
    end = document.index("[purposes.order_fulfilment]")
    document = document[:start] + _PURPOSE + document[end:] + _BUDGET
    document = document.replace("version = 1\n", f"version = 1\n{_RULES}[residency]\nEU = ['EU']\n", 1)
    developer = "training_valid_until = 2199-01-01\ntraining = true\nregion = 'DE'\n"
    document = document.replace(
        f"[principals.{CALLER.principal}]\n", f"[principals.{CALLER.principal}]\n{developer}"
    )
    vault.apply_policy(admin, document, validate_only=False, request_id=str(uuid.uuid4()))


def _give_terms(vault: Vault, customers: int) -> None:
    """Jurisdictions and consents for all, terms for some."""
    book = vault.engine.book
    given = TimedConsent(1, ConsentState.GIVEN, _FAR_MS)
    for first in range(1, customers + 1, _COMMIT):

        def job(session: WriteSession, first: int = first) -> None:
            for number in range(first, min(first + _COMMIT, customers + 1)):
                with book.open(session, session, CustomerNo(number)) as customer:
                    place = PLACES[number % len(PLACES)]
                    consents = number << 2 | ConsentState.GIVEN  # other purposes' consents differ, too
                    customer.row = replace(customer.row, jurisdiction=place, consents=consents % 2**64)
                    if number % SLOW_SHARE == 0:
                        customer.terms = Terms(consents=(given,))
                    book.save(session, customer)

        vault.engine.committer.submit(job)


if __name__ == "__main__":
    main()
