"""Accesses and acts, listed by what they are, followed as they come, and exported."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, by_id
from tests.scenarios.support.server import Server, serving
from tests.scenarios.test_sealed_log import seal, wait_until
from vault.core.listing import MAX_ACTIONS
from vault.errors import ActionDeniedError, InvalidRequestError, PurposeUnknownError
from vault.model.access import Decision
from vault.model.requests import AccessQuery

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
CVAULT = str(Path(sys.executable).parent / "cvault")


def acts(desks: Desks, *names: str, **query: object) -> list[object]:
    return desks.privacy.accesses(actions=names, page_size=1000, **query)


def test_reads_by_class_purpose_action_and_decision(desks: Desks) -> None:
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(tokens)
    desks.agent.read(tokens[:1])
    desks.nobody.read(tokens)
    for sealing in (False, True):
        if sealing:
            seal(desks)
        plain = desks.privacy.accesses(decision=Decision.PLAIN)
        assert [(each.principal, each.values_plain) for each in plain] == [("crm", 2)]
        assert [each.principal for each in desks.privacy.accesses(decision=Decision.MASKED)] == ["agent"]
        denied = desks.privacy.accesses(decision=Decision.DENIED)
        assert [(each.principal, each.values_denied) for each in denied] == [("nobody", 2)]
        (crm,) = desks.privacy.accesses(field_class="email", decision=Decision.PLAIN)
        assert (crm.values_plain, list(crm.field_classes), crm.purpose) == (1, ["email"], "support")
        assert {each.principal for each in desks.privacy.accesses(purpose="support")} >= {"crm", "agent"}
        of_crm = desks.privacy.accesses(customer=by_id("crm-1"), actions=["Detokenize"], principal="crm")
        assert [each.values_plain for each in of_crm] == [2]


def test_names_that_are_not_there_are_refused(desks: Desks) -> None:
    with pytest.raises(PurposeUnknownError):
        desks.privacy.accesses(purpose="no such purpose")
    with pytest.raises(InvalidRequestError):
        desks.privacy.accesses(field_class="no such class")
    with pytest.raises(InvalidRequestError):
        desks.privacy.accesses(actions=["Detokenize"] * (MAX_ACTIONS + 1))
    with pytest.raises(InvalidRequestError):
        desks.privacy.accesses(as_recorded=True, page_token="AAAA")


def test_who_may_not_audit_lists_and_follows_nothing(desks: Desks) -> None:
    for principal in ("crm", "agent", "eraser", "nobody"):
        for query in (
            {"decision": Decision.DENIED},
            {"as_recorded": True},
            {"as_recorded": True, "only_new": True},
        ):
            with pytest.raises(ActionDeniedError):
                desks.of(principal).accesses(**query)


def test_a_policy_change_is_listed_with_its_differences(desks: Desks) -> None:
    admin = desks.admin.caller
    document = desks.vault.get_policy(admin).document
    changed = desks.vault.apply_policy(
        admin,
        document + '\n[purposes.fraud]\ndescription = "Find fraud"\n',
        validate_only=False,
        request_id="",
    )
    (act,) = acts(desks, "ApplyPolicy")
    told = json.loads(act.detail)
    assert (act.principal, told["version"]) == ("admin", changed.version)
    assert told["changes"] == list(changed.changes)
    assert told["changes"]


def test_the_policy_that_is_in_force_is_applied_again_as_the_version_that_it_is(desks: Desks) -> None:
    admin = desks.admin.caller
    before = desks.vault.get_policy(admin)
    again = desks.vault.apply_policy(admin, before.document, validate_only=False, request_id="")
    assert (again.version, again.applied_ms, again.changes) == (before.version, before.applied_ms, ())
    assert acts(desks, "ApplyPolicy") == []


def test_administrative_acts_are_listed_by_their_names(desks: Desks) -> None:
    admin = desks.admin.caller
    desks.crm.tokens("crm-1", JANE)
    desks.vault.create_principal(admin, "temp", "", 0, "")
    desks.vault.suspend_principal(admin, "temp", "left the firm", "")
    desks.vault.resume_principal(admin, "temp", "came back", "")
    desks.vault.revoke_principal(admin, "temp", "")
    desks.vault.export_customer(desks.privacy.caller, by_id("crm-1"), "support", "")
    desks.vault.rotate_dek(admin, by_id("crm-1"), "")
    desks.vault.rotate_epoch(admin, "")
    desks.eraser.shred(by_id("crm-1"))
    seal(desks)
    leaf = acts(desks, "CreatePrincipal")[0].leaf
    desks.vault.inclusion_proof(desks.privacy.caller, leaf)
    for name in (
        *("CreatePrincipal", "SuspendPrincipal", "ResumePrincipal", "RevokePrincipal", "ExportCustomer"),
        *("RotateDek", "RotateEpoch", "ShredCustomer", "GetInclusionProof"),
    ):
        (act,) = acts(desks, name)
        assert act.action == name
    both = acts(desks, "SuspendPrincipal", "RevokePrincipal")
    assert [each.action for each in both] == ["RevokePrincipal", "SuspendPrincipal"]


def test_a_list_says_what_was_asked_and_is_recorded_once(desks: Desks) -> None:
    tokens = desks.crm.tokens("crm-1", JANE)
    for _ in range(7):
        desks.crm.read(tokens)
    query = AccessQuery(principal="crm", field_class="email", decision=Decision.PLAIN, page_size=2)
    token, pages = "", 0
    while pages == 0 or token:
        page = desks.vault.list_access(
            desks.privacy.caller,
            AccessQuery(
                principal="crm", field_class="email", decision=Decision.PLAIN, page_size=2, page_token=token
            ),
        )
        token, pages = page.next_page_token, pages + 1
    assert pages == 4
    (act,) = [each for each in acts(desks, "ListAccess") if '"decision":"plain"' in each.detail]
    assert json.loads(act.detail) == {
        "of": "crm",
        "class": "email",
        "decision": "plain",
        "listed": query.page_size,
    }


def test_following_beside_a_sealer_repeats_nothing_and_leaves_nothing_out(desks: Desks) -> None:
    tokens = desks.crm.tokens("crm-1", JANE)
    token = desks.vault.list_access(
        desks.privacy.caller, AccessQuery(as_recorded=True, only_new=True)
    ).next_page_token
    ended = threading.Event()

    def read() -> None:
        for count in range(1, 121):
            desks.crm.read(tokens[:1] * count)
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    found: list[int] = []
    over = False
    while not over:
        over = ended.is_set()
        page = desks.vault.list_access(
            desks.privacy.caller,
            AccessQuery(
                as_recorded=True, principal="crm", actions=["Detokenize"], page_size=5, page_token=token
            ),
        )
        found += [each.values_plain for each in page.items]
        token, over = page.next_page_token, over and page.is_complete
        if len(found) % 3 == 0:
            seal(desks)
    reader.join()
    assert found == list(range(1, 121))


def environment(server: Server, principal: str) -> dict[str, str]:
    certificate, key = server.certificate(principal)
    return os.environ | {
        "CVAULT_ADDRESS": server.address,
        "CVAULT_CA": str(server.deployment.data_dir / "tls" / "ca.crt"),
        "CVAULT_CERTIFICATE": str(certificate),
        "CVAULT_KEY": str(key),
    }


def ran(server: Server, *arguments: object, principal: str = "privacy", code: int = 0) -> str:
    done = subprocess.run(
        [CVAULT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(server, principal),
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@contextmanager
def tailing(server: Server, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """`cvault audit tail`, which Ctrl-C ends even where this process was started to ignore it."""
    command = ["env", "--default-signal=INT", CVAULT, "audit", "tail", *options]
    pipe, own = subprocess.PIPE, environment(server, "privacy")
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=own) as tail:
        try:
            yield tail
        finally:
            tail.kill()


def test_a_served_log_is_listed_followed_and_exported(deployment: Deployment, tmp_path: Path) -> None:
    settings = deployment.data_dir / "vault.toml"
    settings.write_text(settings.read_text().replace("[audit]", "[audit]\nseal_seconds = 1"))
    with (
        serving(deployment, tmp_path) as server,
        server.connect("crm", purpose="support") as crm,
        server.connect("privacy") as privacy,
    ):
        tokens = list(crm.tokenize("crm-1", JANE).tokens.values())
        of_crm = ("--since", "1h", "--principal", "crm", "--action", "Detokenize", "--json")
        with tailing(server, *of_crm) as tail:
            assert tail.stdout is not None
            for count in range(1, 31):
                crm.detokenize(tokens[:1] * count)
            followed = [json.loads(tail.stdout.readline())["values_plain"] for _ in range(15)]
            for count in range(31, 41):
                crm.detokenize(tokens[:1] * count)
            followed += [json.loads(tail.stdout.readline())["values_plain"] for _ in range(25)]
            tail.send_signal(signal.SIGINT)
            rest, errors = tail.communicate(timeout=30)
        assert (sorted(followed), rest, errors, tail.returncode) == (list(range(1, 41)), "", "", 0)

        wait_until(lambda: None not in {each.leaf for each in privacy.list_access(principal="crm")})
        recorded = list(privacy.recorded_access(principal="crm", actions=["Detokenize"]))
        assert sorted(each.values_plain for each in recorded) == list(range(1, 41))
        out = tmp_path / "export.jsonl"
        ran(server, "audit", "export", "--out", out, "--class", "name", "--decision", "plain", "--json")
        first, *lines, last = map(json.loads, out.read_text().splitlines())
        assert (first["type"], first["schema"], first["decision"]) == ("export", 1, "plain")
        assert last == {"type": "end", "accesses": len(lines), "complete": True}
        listed = {each.leaf for each in privacy.list_access(field_class="name", decision="plain")}
        sealed = [each["leaf"] for each in lines if each["leaf"] is not None]
        assert sealed == sorted(sealed)
        assert (len(sealed), set(sealed)) == (40, listed)
        assert oct(out.stat().st_mode & 0o777) == "0o600"
        keys = deployment.data_dir / "public" / "keys.json"
        assert json.loads(ran(server, "audit", "prove", sealed[0], "--keys", keys, "--json"))

        assert "ACTION_DENIED" in ran(server, "audit", "export", "--out", out, principal="crm", code=3)
        assert len(out.read_text().splitlines()) == len(lines) + 2  # what was there stays
        assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".part")] == []
        assert "ACTION_DENIED" in ran(server, "audit", "tail", principal="crm", code=3)
        table = ran(server, "audit", "list", "--action", "Detokenize", "--limit", 3)
        assert "BASIS" in table
        assert table.count("Detokenize") == 3

        made = subprocess.run(
            [CVAULT, "backup", "create", str(tmp_path / "backups"), "--data", str(deployment.data_dir)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        (backup,) = privacy.list_access(actions=["CreateBackup"], principal="local operator")
        assert json.loads(backup.detail)["customers"] == 1
