"""Consents over real connections: the API, the client and the command line see the same, on every worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from customervault import errors
from customervault.consents import ConsentEntry, Evidence
from customervault.v1 import common_pb2
from customervault.v1 import consent_service_pb2 as api

from tests.scenarios.support.consenting import CONSENTING_POLICY
from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.server import Server, call, serving

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
SAID = Evidence("2026-03", bytes(32), "de-AT", "web_form")


@pytest.fixture(scope="module")
def server(template: Deployment, tmp_path_factory: pytest.TempPathFactory):
    from tests.scenarios.support.deployment import copy_vault

    directory = tmp_path_factory.mktemp("served")
    with serving(copy_vault(template, directory), directory) as server:
        with server.connect("admin") as admin:
            admin.apply_policy(CONSENTING_POLICY)
        yield server


@pytest.fixture
def cvault(server: Server):
    """The command line, as a principal."""

    def run(*arguments: str, principal: str = "privacy") -> "subprocess.CompletedProcess[str]":
        certificate, key = server.certificate(principal)
        environment = {
            "CVAULT_ADDRESS": server.address,
            "CVAULT_CA": str(server.deployment.data_dir / "tls" / "ca.crt"),
            "CVAULT_CERTIFICATE": str(certificate),
            "CVAULT_KEY": str(key),
        }
        command = [str(Path(sys.executable).parent / "cvault"), *arguments]
        return subprocess.run(
            command, env=os.environ | environment, check=False, capture_output=True, text=True, timeout=60
        )

    return run


def test_what_one_connection_records_every_connection_sees(server: Server) -> None:
    with server.connect("crm") as crm:
        crm.tokenize("jane", JANE, jurisdiction="AT")
    with server.connect("privacy", channels=4) as privacy:
        given = privacy.record_consent("marketing", external_id="jane", evidence=SAID)
        assert (given.event, given.state, given.error) == (1, "given", None)
        gone = privacy.withdraw_consent("marketing", external_id="jane")
        assert (gone.state, gone.remaining_bases) == ("withdrawn", ("legitimate_interests", "contract"))
        for _ in range(8):
            with server.connect("privacy") as fresh:
                (found,) = fresh.consent_state("marketing", external_id="jane")
            assert (found.state, found.event, found.needs_consent) == ("withdrawn", 2, True)
        assert privacy.withdraw_consent("marketing", external_id="jane").event == 0
        assert privacy.record_objection("marketing", external_id="jane").remaining_bases == ()
        listed = list(privacy.list_consent_events(external_id="jane", page_size=1))
        assert [each.kind for each in listed] == ["given", "withdrawn", "objected"]
        assert [each.previous_sha256 for each in listed[1:]] == [each.sha256 for each in listed[:-1]]
        assert listed[0].evidence == SAID._replace(acted=None)
        assert listed[0].principal == "privacy"


def test_a_signal_and_a_batch(server: Server) -> None:
    with server.connect("crm") as crm:
        crm.tokenize("gpc", JANE)
    with server.connect("privacy") as privacy:
        assert not privacy.ingest_signal("true", external_id="gpc").recognized
        assert not privacy.ingest_signal(None, external_id="gpc").recognized
        answer = privacy.ingest_signal("1", external_id="gpc")
        assert {each.purpose: each.state for each in answer.results} == {
            "marketing": "objected",
            "billing": "objected",
        }
        entries = [ConsentEntry("gpc", "marketing"), ConsentEntry("nobody", "marketing")]
        first, second = privacy.record_consents(entries)
        assert (first.state, second.state) == ("given", "none")
        assert isinstance(second.error, errors.NotFoundError)


def test_refusals_are_typed(server: Server) -> None:
    jane = common_pb2.CustomerRef(external_id="jane")
    with server.connect("crm") as crm:
        crm.tokenize("jane", JANE, jurisdiction="AT")
        with pytest.raises(errors.ActionDeniedError):
            crm.withdraw_consent("marketing", external_id="jane")
    with server.channel("privacy") as channel:
        given = api.CONSENT_DECISION_GIVEN
        for method, request, reason in (
            (
                "RecordConsent",
                api.RecordConsentRequest(customer=jane, purpose="marketing"),
                "INVALID_REQUEST",
            ),
            (
                "RecordConsent",
                api.RecordConsentRequest(
                    customer=jane, purpose="marketing", decision=api.CONSENT_DECISION_OBJECTED
                ),
                "INVALID_REQUEST",
            ),
            (
                "RecordConsent",
                api.RecordConsentRequest(customer=jane, purpose="spying", decision=given),
                "PURPOSE_UNKNOWN",
            ),
            (
                "WithdrawConsent",
                api.WithdrawConsentRequest(
                    customer=jane, purpose="marketing", evidence=api.ConsentEvidence(actor=99)
                ),
                "INVALID_REQUEST",
            ),
            (
                "WithdrawConsent",
                api.WithdrawConsentRequest(
                    customer=jane,
                    purpose="marketing",
                    evidence=api.ConsentEvidence(actor=api.CONSENT_ACTOR_VAULT),
                ),
                "INVALID_REQUEST",
            ),
            ("GetReceipt", api.GetReceiptRequest(customer=jane, event=99), "INVALID_REQUEST"),
        ):
            answer = call(channel, f"ConsentService/{method}", request)
            assert (answer.code, answer.reason) != (grpc.StatusCode.OK, "")
            assert answer.reason == reason, method


def test_the_command_line_records_shows_and_proves(server: Server, cvault, tmp_path: Path) -> None:
    with server.connect("crm") as crm:
        crm.tokenize("shell", JANE)
    text = tmp_path / "notice.txt"
    text.write_text("May we write to you?")
    options = ("--notice", "7", "--text-file", str(text), "--locale", "en", "--method", "verbal")
    ran = cvault("consent", "record", "shell", "marketing", *options, "--actor", "agent", "--json")
    assert (ran.returncode, json.loads(ran.stdout)["event"]) == (0, 1), ran.stderr
    ran = cvault("consent", "withdraw", "shell", "marketing")
    assert "legitimate_interests, contract" in ran.stdout
    assert "withdrawn" in cvault("consent", "state", "shell", "marketing").stdout
    assert cvault("consent", "object", "shell", "billing").returncode == 0
    lines = cvault("consent", "list", "shell", "--json").stdout.splitlines()
    listed = [json.loads(line) for line in lines]
    assert [each["kind"] for each in listed] == ["given", "withdrawn", "objected"]
    assert (listed[0]["actor"], listed[0]["method"]) == ("agent", "verbal")
    assert "No signal" in cvault("consent", "ingest", "shell", "--sec-gpc", "0").stdout
    assert "marketing" in cvault("consent", "ingest", "shell", "--sec-gpc", "1").stdout
    exported = tmp_path / "records.jsonld"
    assert cvault("consent", "export", "shell", "--out", str(exported)).returncode == 0
    assert len(json.loads(exported.read_bytes())["@graph"]) == 2
    receipt = tmp_path / "receipt.json"
    assert cvault("consent", "receipt", "shell", "1", "--out", str(receipt)).returncode == 0
    keys = str(server.deployment.data_dir / "public" / "keys.json")
    checked = cvault("consent", "verify", str(receipt), "--keys", keys, "--json")
    assert (checked.returncode, json.loads(checked.stdout)["event"]["kind"]) == (0, "given")
    receipt.write_bytes(receipt.read_bytes().replace(b"verbal", b"Verbal"))
    assert cvault("consent", "verify", str(receipt), "--keys", keys).returncode == 1
    assert cvault("consent", "record", "shell", "marketing", principal="crm").returncode == 3
