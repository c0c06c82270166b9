import pytest

from tests.scenarios.support.deployment import by_id, copy_vault, found_vault
from tests.scenarios.support.tampering import tampering
from vault.core.checking import check
from vault.keys.unlock import unlock
from vault.store.layout import customer_key, value_key

JANE = {"name": "Jane Canary", "email": "jane@example.com"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    made = found_vault(tmp_path_factory.mktemp("checking"))
    with made.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        for name in ("crm-2", "crm-3"):
            desks.crm.store(name, JANE)
        desks.crm.delete(tokens[0])
        desks.eraser.shred(by_id("crm-2"))
        desks.vault.rotate_dek(desks.admin.caller, by_id("crm-3"), "")
        desks.crm.read(tokens)
    return made


@pytest.fixture
def deployment(template, tmp_path):
    return copy_vault(template, tmp_path)


def findings(deployment, *, with_key: bool = True) -> list[tuple[str, str]]:
    """Severity and plane of everything found."""
    settings = deployment.settings
    edk = unlock(deployment.data_dir, settings, None) if with_key else None
    try:
        found = list(check(deployment.data_dir, settings, edk))
    finally:
        if edk is not None:
            edk.free()
    shown = " ".join(each.detail for each in found)
    assert not any(value in shown for value in (*JANE.values(), "crm-1", "crm-3"))
    return [(each.severity, each.plane) for each in found]


@pytest.mark.parametrize("with_key", [True, False])
def test_a_vault_in_order_has_no_errors(deployment, with_key):
    assert [each for each in findings(deployment, with_key=with_key) if each[0] == "error"] == []


def flipped(row: bytes, at: int = -1) -> bytes:
    changed = bytearray(row)
    changed[at] ^= 1
    return bytes(changed)


DAMAGE = {
    "a changed value": lambda s: s.put_value(value_key(1, 1, 3), flipped(s.get(value_key(1, 1, 3)))),
    "a value cut short": lambda s: s.put_value(value_key(1, 1, 3), b"\1"),
    "a lost value": lambda s: s.delete_value(value_key(1, 1, 3)),
    "a value too many": lambda s: s.put_value(value_key(1, 1, 9), s.get(value_key(1, 1, 3))),
    "a changed row": lambda s: s.put_value(value_key(1, 1), flipped(s.get(value_key(1, 1)))),
    "a lost row": lambda s: s.delete_value(value_key(1, 1)),
    "a changed tombstone": lambda s: s.put_value(value_key(1, 2), flipped(s.get(value_key(1, 2)))),
    "a changed sheet": lambda s: s.put_sheet(customer_key(1, 1), flipped(s.sheet(customer_key(1, 1)))),
    "a lost sheet": lambda s: s.delete_sheet(customer_key(1, 1)),
    "a changed key": lambda s: s.put_dek(1, 1, 1, flipped(s.dek(1, 1, 1)), overwrite=True),
    "a lost key": lambda s: s.delete_dek(1, 1, 1),
    "a lost index row": lambda s: s.index_delete_customer(1, 1),
    "an index row that names another": lambda s: [
        s.index_put(keyed_hash, customer_key(1, 3)) for keyed_hash, _ in list(s.index_rows())
    ],
    "a changed principal": lambda s: s.put_row("principals", b"crm", flipped(s.row("principals", b"crm"))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_each_kind_of_damage_is_found(deployment, damage):
    with tampering(deployment) as session:
        DAMAGE[damage](session)
    assert [each for each in findings(deployment) if each[0] == "error"] != []


@pytest.mark.parametrize("at", [30, 200, 500])
def test_a_changed_ledger_is_found_without_any_key(deployment, at):
    path = deployment.data_dir / "ledger" / "entries"
    path.write_bytes(flipped(path.read_bytes(), at))
    assert "error" in [severity for severity, _ in findings(deployment, with_key=False)]


@pytest.mark.parametrize("name", ["public/keys.json", "CURRENT", "values/data.mdb"])
def test_a_file_too_damaged_to_be_opened_is_a_finding(deployment, name):
    (deployment.data_dir / name).write_bytes(b"rot")
    assert [severity for severity, _ in findings(deployment, with_key=False)] == ["error"]
