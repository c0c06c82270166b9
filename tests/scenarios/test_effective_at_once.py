"""What was acknowledged holds for every read that starts afterwards, on every worker, under load.

Readers read all the time over connections of their own, while consents are withdrawn, purposes objected to,
customers restricted, a principal suspended and the policy changed; each is then undone and done again. A
schedule is one such change; `CVAULT_SCHEDULES` sets how many there are of customers, a tenth of that for
principals.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from customervault import Vault
from customervault.errors import DeniedError

from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.effective import Interval, Read, judge
from tests.scenarios.support.policies import ADMIN, AGENT, CRM, POLICY, PRIVACY
from tests.scenarios.support.server import Server, serving

SCHEDULES = int(os.environ.get("CVAULT_SCHEDULES", "240"))
CUSTOMERS = 24
CHANGERS = 4
READERS = 4
WAIT_SECONDS = 30.0

READING = (
    POLICY.replace('"audit", "restrict"]', '"audit", "restrict", "consent"]')
    + """
[purposes.offers]
description = "Tell customers about offers"
bases = { "*" = ["consent"] }
[principals.crm.reveal.offers]
name = "PLAIN"
[principals.agent.reveal.offers]
name = "PLAIN"
"""
)
NOT_FOR_AGENTS = READING.replace('[principals.agent.reveal.offers]\nname = "PLAIN"\n', "")


@dataclass
class Reader:
    """One connection that reads the same tokens for `offers` again and again."""

    client: Vault
    tokens: dict[str, str]  # by subject
    reads: list[Read] = field(default_factory=list)
    started: float = 0.0  # of the last read that has ended

    def run(self, stop: threading.Event) -> None:
        subjects, tokens = list(self.tokens), list(self.tokens.values())
        while not stop.is_set():
            started = time.monotonic()
            try:
                values = self.client.detokenize(tokens, purpose="offers")
                given = {subject for subject, value in zip(subjects, values, strict=True) if value.ok}
            except DeniedError:
                given = set()
            self.reads.append(Read(started, time.monotonic(), subjects, given))
            self.started = started


@dataclass
class Changes:
    """Closes and opens subjects, and notes when each was closed."""

    readers: list[Reader]
    closed: dict[str, list[Interval]] = field(default_factory=dict)

    def run(self, subject: str, close: Callable[[], object], reopen: Callable[[], object]) -> None:
        """One schedule: closes, waits until each reader has begun and ended a read, opens again."""
        close()
        acknowledged = time.monotonic()
        end = acknowledged + WAIT_SECONDS
        while any(reader.started <= acknowledged for reader in self.readers):
            assert time.monotonic() < end, "a reader stands still"
            time.sleep(0.0005)
        self.closed.setdefault(subject, []).append((acknowledged, time.monotonic()))
        reopen()


@pytest.fixture
def server(deployment: Deployment, tmp_path: Path) -> Iterator[Server]:
    with serving(deployment, tmp_path) as running:
        with running.connect(ADMIN) as admin:
            admin.apply_policy(READING)
        yield running


def stored(server: Server) -> dict[str, str]:
    """A token of each customer, all of whom consent."""
    with server.connect(CRM) as crm, server.connect(PRIVACY) as privacy:
        found = {}
        for number in range(CUSTOMERS):
            subject = f"customer-{number}"
            found[subject] = crm.tokenize(subject, {"name": f"Name {number}"}).tokens["name"]
            privacy.record_consent("offers", external_id=subject)
        return found


def while_reading(readers: list[Reader], change: Callable[[], None]) -> None:
    """Runs the readers for as long as `change` takes."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(readers)) as threads:
        running = [threads.submit(reader.run, stop) for reader in readers]
        try:
            change()
        finally:
            stop.set()
        for each in running:
            each.result()


def test_what_ends_a_customers_reads_holds_for_every_read_that_starts_afterwards(server: Server) -> None:
    tokens = stored(server)
    readers = [Reader(server.connect(CRM), tokens) for _ in range(READERS)]
    changes = Changes(readers)

    def change(client: Vault, subjects: list[str]) -> None:
        def restrict(subject: str, held: list[int]) -> None:
            held.append(client.restrict(external_id=subject, purposes=["offers"]))

        kinds = itertools.cycle(("withdraw", "object", "restrict", "restrict class"))
        for subject in itertools.islice(itertools.cycle(subjects), SCHEDULES // CHANGERS):
            kind, held = next(kinds), []
            again = lambda subject=subject: client.record_consent("offers", external_id=subject)  # noqa: E731
            lift = lambda subject=subject, held=held: client.lift(held.pop(), external_id=subject)  # noqa: E731
            if kind == "withdraw":
                changes.run(
                    subject, lambda s=subject: client.withdraw_consent("offers", external_id=s), again
                )
            elif kind == "object":
                changes.run(
                    subject, lambda s=subject: client.record_objection("offers", external_id=s), again
                )
            elif kind == "restrict":
                changes.run(subject, lambda s=subject, h=held: restrict(s, h), lift)
            else:
                changes.run(
                    subject,
                    lambda s=subject, h=held: h.append(
                        client.restrict(external_id=s, field_classes=["name"])
                    ),
                    lift,
                )

    def all_changes() -> None:
        subjects = list(tokens)
        clients = [server.connect(PRIVACY) for _ in range(CHANGERS)]
        with ThreadPoolExecutor(CHANGERS) as threads:
            shares = [subjects[number::CHANGERS] for number in range(CHANGERS)]
            list(threads.map(change, clients, shares))

    while_reading(readers, all_changes)
    reads = [read for reader in readers for read in reader.reads]
    verdict = judge(changes.closed, reads)
    assert verdict.too_late == []
    assert (
        sum(verdict.seen.values())
        == sum(map(len, changes.closed.values()))
        == SCHEDULES // CHANGERS * CHANGERS
    )
    assert verdict.refused >= READERS * SCHEDULES // 2
    assert any(read.given for read in reads)


def test_what_ends_a_principals_reads_holds_for_every_read_that_starts_afterwards(server: Server) -> None:
    tokens = stored(server)
    readers = [Reader(server.connect(AGENT), {AGENT: next(iter(tokens.values()))}) for _ in range(READERS)]
    changes = Changes(readers)

    def all_changes() -> None:
        with server.connect(ADMIN) as admin:
            for number in range(SCHEDULES // 10):
                if number % 2:
                    changes.run(
                        AGENT,
                        lambda: admin.suspend_principal(AGENT, reason="a test"),
                        lambda: admin.resume_principal(AGENT),
                    )
                else:
                    changes.run(
                        AGENT,
                        lambda: admin.apply_policy(NOT_FOR_AGENTS),
                        lambda: admin.apply_policy(READING),
                    )

    while_reading(readers, all_changes)
    reads = [read for reader in readers for read in reader.reads]
    verdict = judge(changes.closed, reads)
    assert verdict.too_late == []
    assert verdict.seen == {AGENT: SCHEDULES // 10}
    assert any(AGENT in read.given for read in reads)


def test_the_judge_finds_a_read_that_is_too_late() -> None:
    closed = {"a": [(1.0, 2.0), (5.0, 6.0)]}
    early, late = Read(0.9, 1.5, ["a"], {"a"}), Read(5.1, 5.9, ["a"], {"a"})
    over = Read(5.5, 6.5, ["a"], {"a"})
    refused = Read(1.1, 1.9, ["a"], ())
    verdict = judge(closed, [early, late, over, refused])
    assert verdict.too_late == [("a", late)]
    assert (verdict.refused, verdict.seen) == (1, {"a": 2})
