import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Cvault, Ran

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "erasure_certificate_v1.json").read_text())
EFFECTIVE, FINAL, BEST_EFFORT = (case["certificate"] for case in VECTORS["tests"][:3])
SALT = VECTORS["salt"]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    public_key = base64.b64encode(bytes.fromhex(VECTORS["public_key"])).decode()
    history = [{"key_id": VECTORS["key_id"], "algorithm": "Ed25519", "public_key": public_key, "since": ""}]
    (tmp_path / "keys.json").write_text(json.dumps(history))
    return tmp_path / "keys.json"


@pytest.fixture
def check(cvault: Cvault, keys: Path, tmp_path: Path) -> Any:
    def run(certificate: str, *options: object) -> Ran:
        (tmp_path / "certificate.json").write_text(certificate)
        return cvault("erasure", "verify", tmp_path / "certificate.json", "--keys", keys, *options)

    return run


def test_a_final_certificate_is_told_in_words(check: Any) -> None:
    ran = check(FINAL)
    assert (ran.code, ran.err) == (0, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == "The certificate holds."
    assert {"stage final", "final 2026-01-17 00:00:00Z", "assurance service-attested"} <= set(lines)
    assert "customer not checked" in lines
    assert "ledger entry 10, proven to be in the ledger, held outside" in lines
    (abandoned,) = [line for line in lines if "root-2-77aa0134" in line]
    assert "an abandoned attempt at epoch 2, destroyed 2026-01-01 07:59:59Z by pkcs11, hardware" in abandoned
    assert "- pseudonyms already released" in lines
    assert lines[-1] == "final: no copy of the key can be recovered."


def test_best_effort_is_said_where_it_is_the_truth(check: Any) -> None:
    ran = check(BEST_EFFORT)
    assert ran.code == 0
    assert "nobody knows how long its backups live" in ran.out
    assert ran.out.splitlines()[-1].startswith("final-best-effort: ")
    assert "can be recovered." not in ran.out


def test_effective_does_not_sound_like_final(check: Any) -> None:
    ran = check(EFFECTIVE)
    assert "epoch 1, not confirmed to be destroyed" in ran.out
    assert ran.out.splitlines()[-1].endswith("copies of the key may still be recovered.")


def test_json_for_scripts(check: Any) -> None:
    document = check(FINAL, "--json", "--external-id", VECTORS["external_id"], "--salt", SALT).document
    assert (document["valid"], document["stage"], document["final"]) == (
        True,
        "final",
        "2026-01-17T00:00:00.500000Z",
    )
    assert (document["customer_checked"], document["ledger_checked"]) == (True, True)
    assert check(EFFECTIVE, "--json").document["final"] is None


def test_the_customer_is_checked_with_id_and_salt_from_files(check: Any, tmp_path: Path) -> None:
    (tmp_path / "id").write_text(VECTORS["external_id"] + "\n")
    (tmp_path / "salt").write_bytes(bytes.fromhex(SALT))
    ran = check(FINAL, "--external-id-file", tmp_path / "id", "--salt-file", tmp_path / "salt")
    assert ran.code == 0
    assert "the one with that external id" in ran.out


def test_another_customers_certificate_is_refused_without_naming_anybody(check: Any) -> None:
    ran = check(FINAL, "--external-id", "customer-0815", "--salt", SALT)
    assert (ran.code, ran.out) == (1, "")
    assert "not about that external id" in ran.err
    assert "0815" not in ran.err


@pytest.mark.parametrize("case", VECTORS["tests"][3:], ids=lambda case: case["comment"])
def test_what_does_not_hold_exits_1_and_says_which_kind(check: Any, case: dict[str, str]) -> None:
    ran = check(case["certificate"])
    assert (ran.code, ran.out) == (1, "")
    said = (
        "signed by the vault, but" if case["result"] == "contradicts itself" else "not what the vault signed"
    )
    assert said in ran.err


def test_a_certificate_from_the_future_is_refused(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000 * 10**9)
    ran = check(FINAL)
    assert ran.code == 1
    assert "this machine's clock" in ran.err


def test_keys_of_another_vault(check: Any, keys: Path) -> None:
    keys.write_text("[]")
    ran = check(FINAL)
    assert ran.code == 1
    assert "none of the public keys" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        ("--salt", SALT),
        ("--external-id", "customer-4711"),
        ("--external-id", "customer-4711", "--salt", "not hex"),
        ("--external-id", "customer-4711", "--salt", "e0e1"),
        ("--external-id", "customer-4711", "--salt-file", "missing"),
        ("--external-id", "customer-4711", "--external-id-file", "missing", "--salt", SALT),
        ("--external-id", "customer-4711", "--salt", SALT, "--salt-file", "missing"),
    ],
    ids=" ".join,
)
def test_usage(check: Any, options: tuple[str, ...]) -> None:
    ran = check(FINAL, *options)
    assert (ran.code, ran.out) == (2, "")
    assert "4711" not in ran.err


def test_a_file_that_is_not_there(cvault: Cvault, keys: Path, tmp_path: Path) -> None:
    ran = cvault("erasure", "verify", tmp_path / "nothing.json", "--keys", keys)
    assert ran.code == 2
    assert "cannot be read" in ran.err
