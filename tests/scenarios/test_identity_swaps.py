"""Every pair of swapped identity components is rejected: whoever can write the files, but has no key,
gets neither a wrong value nor a permission out of it.
"""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, by_id, by_token, copy_vault, found_vault
from tests.scenarios.support.policies import POLICY
from tests.scenarios.support.tampering import tampering
from vault.core.records import seal_record
from vault.errors import IntegrityFailedError, Reason, VaultError
from vault.model.access import Reveal
from vault.model.requests import CustomerRef
from vault.store.layout import CUSTOMER_ROW_BYTES, HEADER, HEADER_BYTES, customer_key, value_key

JANE, BOB = 1, 2  # customer numbers
NAME, MAIL = 2, 3  # value numbers; 1 is the external id
VALUES = {
    (JANE, NAME): "Jane One",
    (JANE, MAIL): "jane@example.com",
    (BOB, NAME): "Boby Two",
    (BOB, MAIL): "boby@example.com",
}
CLOSED = {Reason.INTEGRITY_FAILED, Reason.DATA_LOSS, Reason.SHREDDED, Reason.PURPOSE_DENIED}
PRINCIPALS = ("crm", "agent", "nobody", "partner", "privacy")


class Stage:
    """A vault with two customers of the same shape, and what is expected of it after each trick."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        with deployment.opened() as desks:
            self.tokens: dict[tuple[int, int], str] = {}
            for number, name in ((JANE, "jane"), (BOB, "boby")):
                fields = {"name": VALUES[number, NAME], "email": VALUES[number, MAIL]}
                stored = desks.crm.store(f"crm-{name}", fields)
                for value_no, result in zip((NAME, MAIL), stored.results, strict=True):
                    self.tokens[number, value_no] = result.token
            self.genuine = self.reads(desks)

    def reads(self, desks) -> dict[tuple[str, str, Reveal, tuple[int, int]], tuple[str, int]]:
        """What every principal gets for every token, purpose and wish."""
        found = {}
        for principal in PRINCIPALS:
            for purpose in ("support", "marketing", "billing"):
                for reveal in (Reveal.BEST, Reveal.PLAIN, Reveal.MASKED):
                    revealed = desks.of(principal).read(list(self.tokens.values()), purpose, reveal)
                    for place, value, level in zip(
                        self.tokens, revealed.values, revealed.reveals, strict=True
                    ):
                        found[principal, purpose, reveal, place] = (value, level)
        return found

    def rejects(self, *places: tuple[int, int]) -> None:
        """The values at `places` are refused with a typed reason; all others are as they were."""
        with self.deployment.opened() as desks:
            self.rejects_now(desks, *places)

    def rejects_now(self, desks, *places: tuple[int, int]) -> None:
        """The same, in a vault that is open."""
        for asked, answer in self.reads(desks).items():
            expected = ("", Reveal.NONE) if asked[3] in places else self.genuine[asked]
            assert answer == expected, asked
        revealed = desks.crm.read([self.tokens[place] for place in places])
        assert {denial.reason for denial in revealed.denials} <= CLOSED
        assert len(revealed.denials) == len(places)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(found_vault(tmp_path_factory.mktemp("stage")))


@pytest.fixture
def stage(staged: Stage, tmp_path: Path) -> Stage:
    copied = object.__new__(Stage)
    copied.__dict__.update(staged.__dict__, deployment=copy_vault(staged.deployment, tmp_path))
    return copied


ALL = tuple(VALUES)


@pytest.mark.parametrize(("one", "other"), list(combinations(ALL, 2)))
def test_value_records_do_not_change_places(stage, one, other):
    with tampering(stage.deployment) as session:
        keys = value_key(1, *one), value_key(1, *other)
        rows = [session.get(key) for key in keys]
        for key, row in zip(keys, reversed(rows), strict=True):
            session.put_value(key, row)
    stage.rejects(one, other)


def test_a_value_record_of_another_vault_does_not_open(stage, tmp_path):
    other = Stage(found_vault(tmp_path / "other"))
    with tampering(other.deployment) as session:
        rows = dict(session.scan_customer(1, JANE))
    with tampering(stage.deployment) as session:
        session.put_value(value_key(1, JANE, NAME), rows[value_key(1, JANE, NAME)])
    stage.rejects((JANE, NAME))


def flip_each_bit(stage: Stage, key: bytes, size: int, *places: tuple[int, int]) -> None:
    """Flips each of the first bits of a row in turn, in an open vault that has read the genuine row."""
    with stage.deployment.opened() as desks:
        stage.rejects_now(desks)
        store = desks.vault.engine.store
        with store.snapshot() as snapshot:
            genuine = snapshot.get(key)
        for bit in range(size * 8):
            changed = bytearray(genuine)
            changed[bit // 8] ^= 1 << bit % 8
            for row in (bytes(changed), genuine):
                with store.write() as session:
                    session.put_value(key, row)
                    session.commit()
                if row is not genuine:
                    stage.rejects_now(desks, *places)
        stage.rejects_now(desks)


def test_no_bit_of_a_records_header_can_be_changed(stage):
    flip_each_bit(stage, value_key(1, JANE, NAME), HEADER_BYTES, (JANE, NAME))


def test_no_bit_of_a_customer_row_can_be_changed(stage):
    flip_each_bit(stage, value_key(1, JANE), CUSTOMER_ROW_BYTES, (JANE, NAME), (JANE, MAIL))


SEALED_FOR = {
    "another vault": (bytes(16), value_key(1, JANE, NAME)),
    "another region": (None, value_key(2, JANE, NAME)),
    "another customer": (None, value_key(1, BOB, NAME)),
    "another value": (None, value_key(1, JANE, MAIL)),
    "another incarnation": (None, value_key(1, JANE, 1 << 16 | NAME)),
}


@pytest.mark.parametrize("owner", SEALED_FOR)
def test_a_record_sealed_with_the_right_key_for_another_identity_does_not_open(stage, owner):
    """As if a vault with the same key had written it elsewhere: only this component differs."""
    vault_id, sealed_for = SEALED_FOR[owner]
    key = value_key(1, JANE, NAME)
    with stage.deployment.opened() as desks:
        engine = desks.vault.engine

        def job(session):
            with engine.book.open(session, session, JANE) as customer:
                aad = (vault_id or engine.vault_id) + sealed_for
                field_class = session.get(key)[1]
                record = seal_record(customer.dek, engine.suite, aad, field_class, b"x", version=1)
                session.put_value(key, record)

        engine.committer.submit(job)
    stage.rejects((JANE, NAME))


HEADER_FIELDS = {"suite": 0, "field_class": 1, "flags": 2, "version": 3, "generation": 4, "expires_s": 5}


@pytest.mark.parametrize("name", HEADER_FIELDS)
def test_a_header_copied_from_another_genuine_record_does_not_open(stage, name):
    """Each component alone is taken from a record in which it differs."""
    key, at = value_key(1, JANE, NAME), HEADER_FIELDS[name]
    with tampering(stage.deployment) as session:
        row = session.get(key)
        fields = list(HEADER.unpack_from(row))
        fields[at] = {"suite": 2, "field_class": session.get(value_key(1, JANE, MAIL))[1]}.get(
            name, fields[at] + 1
        )
        session.put_value(key, HEADER.pack(*fields) + row[HEADER_BYTES:])
    stage.rejects((JANE, NAME))


def test_a_field_class_that_is_granted_more_gains_nothing(tmp_path):
    """A note is not readable for marketing, a name is, as a mask."""
    deployment = found_vault(tmp_path)
    with deployment.opened() as desks:
        note, _ = desks.crm.tokens("crm-1", {"note": "Jane One", "name": "Jane Two"})
        assert desks.crm.denied([note], "marketing") == [Reason.PURPOSE_DENIED]
    with tampering(deployment) as session:
        row, name = session.get(value_key(1, 1, 2)), session.get(value_key(1, 1, 3))
        session.put_value(value_key(1, 1, 2), row[:1] + name[1:2] + row[2:])
    with deployment.opened() as desks:
        assert desks.crm.denied([note], "marketing") == [Reason.INTEGRITY_FAILED]


def test_customer_rows_do_not_change_places(stage):
    with tampering(stage.deployment) as session:
        keys = value_key(1, JANE), value_key(1, BOB)
        rows = [session.get(key) for key in keys]
        for key, row in zip(keys, reversed(rows), strict=True):
            session.put_value(key, row)
    stage.rejects(*ALL)


def test_a_tombstone_does_not_kill_another_customer_nor_a_live_row_revive_one(stage):
    with tampering(stage.deployment) as session:
        live = session.get(value_key(1, JANE))
    with stage.deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-jane"))
    with tampering(stage.deployment) as session:
        tombstone = session.get(value_key(1, JANE))
        session.put_value(value_key(1, BOB), tombstone)
        session.put_value(value_key(1, JANE), live)
    stage.rejects(*ALL)
    with stage.deployment.opened() as desks:
        reasons = [denial.reason for denial in desks.crm.read(list(stage.tokens.values())).denials]
        assert reasons == [Reason.DATA_LOSS] * 2 + [Reason.INTEGRITY_FAILED] * 2


def swap_deks(session, one: tuple[int, int], other: tuple[int, int]) -> None:
    rows = session.dek(1, *one), session.dek(1, *other)
    session.put_dek(1, *one, rows[1], overwrite=True)
    session.put_dek(1, *other, rows[0], overwrite=True)


def test_wrapped_keys_do_not_change_customers(stage):
    with tampering(stage.deployment) as session:
        swap_deks(session, (JANE, 1), (BOB, 1))
    stage.rejects(*ALL)


def test_a_wrapped_key_does_not_pass_for_another_generation(stage):
    with tampering(stage.deployment) as session:
        old = session.dek(1, JANE, 1)
    with stage.deployment.opened() as desks:
        desks.vault.rotate_dek(desks.admin.caller, by_id("crm-jane"), "")
    with tampering(stage.deployment) as session:
        session.put_dek(1, JANE, 2, old, overwrite=True)
    stage.rejects((JANE, NAME), (JANE, MAIL))


def test_a_wrapped_key_of_another_epoch_does_not_open(stage):
    from vault.keys.keyring import Keyring

    with stage.deployment.opened() as desks:
        engine = desks.vault.engine
        elsewhere = Keyring(engine.keyrings.at(1).edk, engine.vault_id, 2)

        def job(session):
            with engine.book.open(session, session, JANE) as customer:
                session.put_dek(
                    1, JANE, 1, elsewhere.wrap_dek(customer.dek.pointer, 1, JANE, 1), overwrite=True
                )

        engine.committer.submit(job)
    stage.rejects((JANE, NAME), (JANE, MAIL))


def test_sheets_do_not_change_customers(stage):
    with tampering(stage.deployment) as session:
        keys = customer_key(1, JANE), customer_key(1, BOB)
        rows = [session.sheet(key) for key in keys]
        for key, row in zip(keys, reversed(rows), strict=True):
            session.put_sheet(key, row)
    with stage.deployment.opened() as desks:
        for ref in (by_id("crm-jane"), by_id("crm-boby"), *map(by_token, stage.tokens.values())):
            with pytest.raises(IntegrityFailedError):
                desks.crm.customer(ref)
            with pytest.raises(IntegrityFailedError):
                desks.vault.export_customer(desks.privacy.caller, ref, "support", "")
        with pytest.raises(IntegrityFailedError):
            desks.crm.store("crm-jane", {"note": "x"})


def test_an_index_row_that_names_somebody_else_is_not_believed(stage):
    """Rows of the index carry no MAC; the sealed sheet has to say the same."""
    with tampering(stage.deployment) as session:
        for keyed_hash, owner in list(session.index_rows()):
            session.index_put(keyed_hash, customer_key(1, BOB if owner == customer_key(1, JANE) else JANE))
    with stage.deployment.opened() as desks:
        for external_id in ("crm-jane", "crm-boby"):
            ref = by_id(external_id)
            for act in (
                lambda ref=ref: desks.crm.customer(ref),
                lambda ref=ref: desks.vault.export_customer(desks.privacy.caller, ref, "support", ""),
                lambda ref=ref: desks.eraser.shred(ref),
                lambda ref=ref: desks.vault.rotate_dek(desks.admin.caller, ref, ""),
                lambda ref=ref: desks.privacy.accesses(customer=ref),
                lambda name=external_id: desks.crm.store(name, {"note": "x"}),
            ):
                with pytest.raises(IntegrityFailedError):
                    act()
            (preview,) = desks.eraser.shred_all([ref], validate_only=True)
            assert isinstance(preview.error, IntegrityFailedError)
    stage.rejects()


def test_an_index_row_that_names_a_shredded_customer_does_not_make_another_seem_shredded(stage):
    with stage.deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-boby"))
    with tampering(stage.deployment) as session:
        ((keyed_hash, _),) = session.index_rows()
        session.index_put(keyed_hash, customer_key(1, BOB))
    with stage.deployment.opened() as desks:
        for act in (
            lambda: desks.eraser.shred(by_id("crm-jane")),
            lambda: desks.crm.customer(by_id("crm-jane")),
        ):
            with pytest.raises(IntegrityFailedError):
                act()


def swap_rows(session, table: str, one: bytes, other: bytes, into: str = "") -> None:
    rows = session.row(table, one), session.row(into or table, other)
    session.put_row(table, one, rows[1])
    session.put_row(into or table, other, rows[0])


def test_no_principal_takes_the_place_of_another(stage):
    with tampering(stage.deployment) as session:
        swap_rows(session, "principals", b"nobody", b"privacy")
    self_consistent_or_closed(stage)


def test_no_domain_or_purpose_takes_the_number_of_another(stage):
    with tampering(stage.deployment) as session:
        swap_rows(session, "names", b"dcrm", b"dpartner")
    self_consistent_or_closed(stage)


def test_a_field_class_does_not_take_the_number_of_another(stage):
    with tampering(stage.deployment) as session:
        swap_rows(session, "names", b"fname", b"fnote")
    self_consistent_or_closed(stage)


def test_rows_of_one_table_do_not_serve_in_another(stage):
    with tampering(stage.deployment) as session:
        session.put_row("principals", b"dcrm", session.row("names", b"dcrm"))
    self_consistent_or_closed(stage)


def test_an_old_policy_does_not_pass_for_the_current_version(stage):
    with stage.deployment.opened() as desks:
        closed = POLICY.replace('"*" = "PLAIN"', '"*" = "MASKED"')
        desks.vault.apply_policy(desks.admin.caller, closed, validate_only=False, request_id="")
        after = stage.reads(desks)
    with tampering(stage.deployment) as session:
        swap_rows(session, "policies", bytes(7) + b"\1", bytes(7) + b"\2")
    self_consistent_or_closed(stage, after)


def self_consistent_or_closed(stage: Stage, genuine: dict | None = None) -> None:
    """Opening the vault, or each read, is refused; if anything is answered, it is what was true before."""
    try:
        with stage.deployment.opened() as desks:
            assert stage.reads(desks) == (genuine or stage.genuine)
    except IntegrityFailedError:
        return
    pytest.fail("the swap went unnoticed")


def test_erasures_do_not_change_places(stage):
    with stage.deployment.opened() as desks:
        ids = [desks.eraser.shred(by_id(f"crm-{name}")).erasure.shred_id for name in ("jane", "boby")]
    keys = [bytes.fromhex(each.removeprefix("shr_")) for each in ids]
    with tampering(stage.deployment) as session:
        swap_rows(session, "erasures", *keys)
    with stage.deployment.opened() as desks:
        for each in ids:
            with pytest.raises(IntegrityFailedError):
                desks.vault.get_erasure(desks.eraser.caller, each)
        with pytest.raises(IntegrityFailedError):
            desks.vault.list_erasures(desks.eraser.caller, 10, "")


def test_remembered_requests_do_not_change_places(stage):
    ids = ["0190a3b4-0000-7000-8000-00000000000" + digit for digit in "12"]
    with stage.deployment.opened() as desks:
        for request_id, text in zip(ids, ("one", "two"), strict=True):
            desks.crm.store("crm-3", {"note": text}, request_id=request_id)
    with tampering(stage.deployment) as session:
        keys = [key for key, _ in session.rows("requests")]
        assert len(keys) == 2
        swap_rows(session, "requests", *keys)
    with stage.deployment.opened() as desks, pytest.raises(IntegrityFailedError):
        desks.crm.store("crm-3", {"note": "one"}, request_id=ids[0])


def test_the_vaults_secrets_do_not_change_names(stage):
    with tampering(stage.deployment) as session:
        rows = dict(session.secrets())
        session.put_secret("row-mac", rows["request-mac"])
    with pytest.raises(VaultError), stage.deployment.opened():
        pass


def test_tokens_of_another_region_are_unknown_here(stage):
    with stage.deployment.opened() as desks:
        codec = desks.vault.engine.secrets.codec
        elsewhere = codec.encode(replace(codec.decode(stage.tokens[JANE, NAME]), region=2))
        assert desks.crm.denied([elsewhere]) == [Reason.TOKEN_UNKNOWN]
        with pytest.raises(VaultError) as caught:
            desks.crm.customer(CustomerRef(token=elsewhere))
        assert caught.value.reason is Reason.TOKEN_UNKNOWN


def test_a_record_moved_to_another_region_does_not_open(stage):
    with tampering(stage.deployment) as session:
        session.put_value(value_key(2, JANE, NAME), session.get(value_key(1, JANE, NAME)))
        session.put_value(value_key(2, JANE), session.get(value_key(1, JANE)))
    stage.rejects()


def test_a_copy_of_the_values_of_one_customer_under_another_number_is_no_customer(stage):
    with tampering(stage.deployment) as session:
        for key, row in list(session.scan_customer(1, JANE)):
            session.put_value(value_key(1, 3)[:6] + key[6:], row)
        session.put_sheet(customer_key(1, 3), session.sheet(customer_key(1, JANE)))
        session.put_dek(1, 3, 1, session.dek(1, JANE, 1))
        session.meta.next_customer_no = 4
    with stage.deployment.opened() as desks:
        codec = desks.vault.engine.secrets.codec
        forged = codec.encode(replace(codec.decode(stage.tokens[JANE, NAME]), customer_no=3))
        assert desks.crm.denied([forged]) == [Reason.INTEGRITY_FAILED]
