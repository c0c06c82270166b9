"""Search: customers are found by a value in any spelling, while they hold it and the caller may know."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import (
    SMALL,
    Deployment,
    Desk,
    Desks,
    by_id,
    copy_vault,
    found_vault,
    new_id,
    open_vault,
)
from tests.scenarios.support.policies import POLICY
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from vault.core.backup import create_backup
from vault.core.checking import check
from vault.core.searchbuilding import SearchBuilding
from vault.errors import (
    ActionDeniedError,
    BudgetExceededError,
    DeadlineExceededError,
    DomainDeniedError,
    InvalidRequestError,
    InvalidValueError,
    LimitExceededError,
    PurposeDeniedError,
    SearchIncompleteError,
)
from vault.keys.unlock import unlock
from vault.model.ids import CustomerNo
from vault.model.requests import AccessQuery, Scope
from vault.model.search import DuplicateSearch, Found, Search, SearchTerm
from vault.model.secret import Secret
from vault.store.session import WriteSession

FIELDS = """\
[fields.phone]
searchable = true
[fields.email]
searchable = true
[search.person]
fields = ["name", "birth_date"]
"""
SETTINGS = SMALL + FIELDS
SEARCHING = (
    POLICY.replace('may = ["write", "inspect"]', 'may = ["write", "inspect", "search", "deduplicate"]', 1)
    .replace(
        '[principals.agent]\ndomains = ["crm"]\n', '[principals.agent]\ndomains = ["crm"]\nmay = ["search"]\n'
    )
    .replace(
        '[principals.nobody]\ndomains = ["crm"]\n',
        '[principals.nobody]\ndomains = ["crm"]\nmay = ["search"]\n',
    )
)
ANN = {"name": "Ann Lee", "birth_date": "1990-12-10", "email": "Ann@Lee.org", "phone": "+493012345678"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return found_vault(tmp_path_factory.mktemp("founded"), settings=SETTINGS, policy=SEARCHING)


@pytest.fixture
def deployment(founded: Deployment, tmp_path: Path) -> Deployment:
    return copy_vault(founded, tmp_path)


@pytest.fixture
def desks(deployment: Deployment) -> Iterator[Desks]:
    with deployment.opened() as desks:
        yield desks


def find(desk: Desk, purpose: str = "support", region: str = "", **values: str) -> list[Found]:
    """All customers with these values, page by page."""
    terms = [SearchTerm(name, Secret(value)) for name, value in values.items()]
    found: list[Found] = []
    token = ""
    while True:
        page = desk.vault.find(
            desk.caller, Search(terms, purpose, region=region, page_size=2, page_token=token)
        )
        found += page.items
        token = page.next_page_token
        if not token:
            return found


def duplicates(desk: Desk, entry: str, purpose: str = "support", page_size: int = 1) -> list[set[str]]:
    """The customers of each group, page by page."""
    groups: list[set[str]] = []
    token = ""
    while True:
        page = desk.vault.list_duplicates(
            desk.caller, DuplicateSearch(entry, purpose, page_size=page_size, page_token=token)
        )
        groups += [{each.customer_token for each in group.customers} for group in page.items]
        token = page.next_page_token
        if not token:
            return groups


def rows(desks: Desks) -> int:
    with desks.vault.engine.store.keyring() as keys:
        return keys.count_search()


def findings(deployment: Deployment) -> list[str]:
    edk = unlock(deployment.data_dir, deployment.settings, None)
    try:
        return [f"{each.code} {each.detail}" for each in check(deployment.data_dir, deployment.settings, edk)]
    finally:
        edk.free()


def policy(desks: Desks, text: str) -> None:
    desks.vault.apply_policy(desks.admin.caller, text, validate_only=False, request_id=new_id())


@pytest.mark.parametrize(
    ("values", "region"),
    [
        ({"phone": "+493012345678"}, ""),
        ({"phone": "+49 30 12345678"}, ""),
        ({"phone": "+49 (0)30 1234-5678"}, ""),
        ({"phone": "0049 30 12345678"}, "DE"),
        ({"phone": "030 12345678"}, "DE"),
        ({"phone": "(030) 1234.5678"}, "DE"),
        ({"phone": "030/1234-5678"}, "DE"),
        ({"phone": "011 49 30 12345678"}, "US"),
        ({"phone": "＋４９ ３０ １２３４５６７８"}, ""),
        ({"phone": "+٤٩ ٣٠ ١٢٣٤٥٦٧٨"}, ""),
        ({"phone": "۰۳۰ ۱۲۳۴۵۶۷۸"}, "DE"),
        ({"phone": "tel:+49-30-12345678"}, ""),
        ({"email": "ann@lee.org"}, ""),
        ({"email": "ANN@LEE.ORG"}, ""),
        ({"email": " aNN@lee.ORG "}, ""),
        ({"email": "ａｎｎ@lee.org"}, ""),
        ({"name": "ann  LEE", "birth_date": "1990-12-10"}, ""),
        ({"birth_date": "1990-12-10T00:00:00Z", "name": "Ａｎｎ\u00a0Lee"}, ""),
    ],
)
def test_a_customer_is_found_by_any_spelling(desks: Desks, values: dict[str, str], region: str) -> None:
    stored = desks.crm.store("ann", ANN)
    desks.crm.store("bob", {"phone": "+493012345679", "email": "bob@lee.org", "name": "Ann Lee"})
    tokens = dict(zip(ANN, [each.token for each in stored.results], strict=True))
    (found,) = find(desks.crm, region=region, **values)
    assert found.customer_token == stored.customer_token
    assert {each.field_class: each.token for each in found.values} == {each: tokens[each] for each in values}


def test_nobody_is_found_by_what_nobody_holds(desks: Desks) -> None:
    desks.crm.store("ann", ANN)
    assert find(desks.crm, phone="+493012345670") == []
    assert find(desks.crm, email="lee.ann@lee.org") == []
    assert find(desks.crm, name="Ann Lee", birth_date="1990-12-11") == []


def test_what_is_found_follows_what_is_held(desks: Desks) -> None:
    ann = desks.crm.store("ann", ANN)
    _, _, email, phone = [each.token for each in ann.results]
    desks.crm.update(phone, "+493012345679")
    assert find(desks.crm, phone=ANN["phone"]) == []
    (found,) = find(desks.crm, phone="+493012345679")
    assert [each.token for each in found.values] == [phone]
    desks.crm.store("ann", {"phone": "+493012345670"})
    assert find(desks.crm, phone="+493012345679") == []
    assert len(find(desks.crm, phone="+493012345670")) == 1
    desks.crm.delete(email)
    assert find(desks.crm, email=ANN["email"]) == []
    assert rows(desks) == 2
    desks.eraser.shred(by_id("ann"))
    assert find(desks.crm, phone="+493012345670") == []
    assert find(desks.crm, name=ANN["name"], birth_date=ANN["birth_date"]) == []
    assert rows(desks) == 0


def test_a_value_under_two_labels_is_found_until_both_are_gone(desks: Desks) -> None:
    desks.crm.store("ann", {"phone/work": ANN["phone"], "phone/home": ANN["phone"]})
    desks.crm.store("ann", {"phone/work": "+493012345679"})
    assert len(find(desks.crm, phone=ANN["phone"])) == len(find(desks.crm, phone="+493012345679")) == 1
    desks.crm.store("ann", {"phone/home": "+493012345679"})
    assert find(desks.crm, phone=ANN["phone"]) == []


def test_whoever_shares_a_value_is_found_page_by_page(desks: Desks) -> None:
    stored = [desks.crm.store(f"c{n}", {"email": "info@lee.org"}) for n in range(7)]
    assert [each.customer_token for each in find(desks.crm, email="INFO@lee.org")] == [
        each.customer_token for each in stored
    ]
    first = desks.vault.find(
        desks.crm.caller, Search([SearchTerm("email", Secret("info@lee.org"))], "support", page_size=3)
    )
    for wrong in (stored[0].customer_token, "x", first.next_page_token[:-1] + "z"):
        with pytest.raises(InvalidRequestError, match="page token"):
            desks.vault.find(
                desks.crm.caller,
                Search([SearchTerm("email", Secret("info@lee.org"))], "support", page_token=wrong),
            )
    assert first.next_page_token not in {each.customer_token for each in stored}


def test_searching_takes_the_act_and_a_grant_for_the_purpose(desks: Desks) -> None:
    desks.crm.store("ann", ANN)
    assert len(find(desks.agent, phone=ANN["phone"])) == 1  # sees masks
    for desk in (desks.privacy, desks.partner, desks.admin):
        with pytest.raises(ActionDeniedError):
            find(desk, phone=ANN["phone"])
        with pytest.raises(ActionDeniedError):
            duplicates(desk, "phone")
    with pytest.raises(ActionDeniedError):
        duplicates(desks.agent, "phone")
    for phone in (ANN["phone"], "+493012345679"):  # the same, whether or not there is somebody
        with pytest.raises(PurposeDeniedError):
            find(desks.nobody, phone=phone)
        with pytest.raises(PurposeDeniedError):
            find(desks.crm, "marketing", phone=phone)
        with pytest.raises(PurposeDeniedError):
            find(desks.crm, "curiosity", phone=phone)
    with pytest.raises(DomainDeniedError):
        desks.vault.find(
            desks.crm.caller, Search([SearchTerm("phone", Secret("1"))], "support", domain="partner")
        )


def test_whoever_is_closed_to_the_caller_is_not_found(desks: Desks) -> None:
    desks.crm.store("ann", ANN)
    bob = desks.crm.store("bob", ANN)
    desks.privacy.restrict(by_id("ann"))
    assert [each.customer_token for each in find(desks.crm, phone=ANN["phone"])] == [bob.customer_token]
    assert duplicates(desks.crm, "phone") == []
    assert len(find(desks.crm, "legal_claims", phone=ANN["phone"])) == 2
    desks.privacy.restrict(by_id("bob"), Scope(("support",), ("phone",)))
    assert find(desks.crm, phone=ANN["phone"]) == []
    assert [each.customer_token for each in find(desks.crm, email=ANN["email"])] == [bob.customer_token]


def test_what_cannot_be_looked_for_says_so(desks: Desks) -> None:
    for values in ({"name": "Ann"}, {"phone": "+493012345678", "email": "a@b.org"}, {}, {"nothing": "x"}):
        with pytest.raises(InvalidRequestError):
            find(desks.crm, **values)
    for values, region in (({"phone": "030 12345678"}, ""), ({"phone": "12"}, "DE"), ({"email": " "}, "")):
        with pytest.raises(InvalidValueError):
            find(desks.crm, region=region, **values)
    with pytest.raises(InvalidRequestError, match="region"):
        find(desks.crm, region="XX", phone="030 12345678")
    twice = [SearchTerm("phone", Secret(ANN["phone"]))] * 2
    with pytest.raises(InvalidRequestError, match="different"):
        desks.vault.find(desks.crm.caller, Search(twice, "support"))
    for entry in ("name", "nothing"):
        with pytest.raises(InvalidRequestError):
            duplicates(desks.crm, entry)
    for token in ("x", "9.00", f"2.{bytes(17).hex()}"):
        with pytest.raises(InvalidRequestError, match="page token"):
            desks.vault.list_duplicates(
                desks.crm.caller, DuplicateSearch("phone", "support", page_token=token)
            )


def test_a_deadline_ends_a_search(desks: Desks) -> None:
    desks.crm.store("ann", ANN)
    with pytest.raises(DeadlineExceededError):
        find(desks.crm.with_deadline(-1), phone=ANN["phone"])


def test_duplicates_are_told_as_tokens_and_verified(desks: Desks) -> None:
    given = {f"c{n}": ANN | {"email": f"c{n // 2}@lee.org"} for n in range(4)}
    stored = [desks.crm.store(external_id, fields).customer_token for external_id, fields in given.items()]
    desks.crm.store("other", {"name": "Ann Lee", "email": "other@lee.org"})
    pairs = [{stored[0], stored[1]}, {stored[2], stored[3]}]
    assert sorted(map(sorted, duplicates(desks.crm, "email"))) == sorted(map(sorted, pairs))
    assert duplicates(desks.crm, "phone") == duplicates(desks.crm, "person") == [set(stored)]
    desks.eraser.shred(by_id("c0"))
    assert duplicates(desks.crm, "email") == [pairs[1]]
    desks.crm.store("c2", {"email": "c9@lee.org"})
    assert duplicates(desks.crm, "email") == []


def test_rows_that_a_crash_left_over_lead_to_nobody(desks: Desks) -> None:
    desks.crm.store("ann", ANN)
    desks.crm.store("bob", {"email": "bob@lee.org"})
    engine = desks.vault.engine

    def leave(session: WriteSession) -> None:
        index = engine.book.search
        with engine.book.open(session, session, CustomerNo(1)) as ann:
            for number in (2, 77):  # somebody else, and nobody
                pairs = [
                    (line.field_class, line.index_hash) for line in ann.lines.values() if line.index_hash
                ]
                made = index.rows_of(session, session, number, pairs)  # type: ignore[arg-type]
                session.search_change(engine.book.key(number), (), made)  # type: ignore[arg-type]

    engine.committer.submit(leave)
    assert len(find(desks.crm, phone=ANN["phone"])) == 1
    assert duplicates(desks.crm, "phone") == []
    rotation(desks.vault).rotate()
    assert rows(desks) == 4


def test_a_row_that_is_missing_is_an_error_of_the_check(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        desks.crm.store("ann", ANN)
    assert findings(deployment) == []
    with deployment.opened() as desks:
        desks.vault.engine.committer.submit(lambda session: session.search_delete_customer(1, 1))
    assert findings(deployment) == ["INDEX_WRONG customer 1: 3 search rows are not in the index"]


def test_found_customers_are_recorded_and_so_are_attempts_that_found_nobody(desks: Desks) -> None:
    desks.crm.store("ann", ANN)
    find(desks.crm, phone=ANN["phone"])
    find(desks.crm, phone="+493012345670")
    nobody, somebody = desks.privacy.accesses(page_size=2)
    assert (nobody.action, somebody.action) == ("FindCustomers", "FindCustomers")  # type: ignore[attr-defined]
    of_ann = desks.vault.list_access(desks.privacy.caller, AccessQuery(customer=by_id("ann"))).items
    assert [each.action for each in of_ann].count("FindCustomers") == 1
    assert '"found":0' in nobody.detail.replace(" ", "")  # type: ignore[attr-defined]
    log = b"".join(path.read_bytes() for path in (desks.vault.engine.data_dir / "audit").glob("*"))
    assert b"12345678" not in log


def test_guessing_is_budgeted(desks: Desks) -> None:
    budget = '\n[budgets.calls]\nprincipals = ["crm"]\nwindow = "1h"\ncompare = 3\n'
    policy(desks, SEARCHING + budget)
    ann = desks.crm.store("ann", ANN)
    for _ in range(3):
        assert [each.customer_token for each in find(desks.crm, phone=ANN["phone"])] == [ann.customer_token]
    for last in "12":
        assert find(desks.crm, phone=ANN["phone"][:-1] + last) == []
    for phone in ("+493012345673", "+493012345674"):
        with pytest.raises(BudgetExceededError):
            find(desks.crm, phone=phone)
    assert len(find(desks.crm, phone=ANN["phone"])) == 1  # she is counted already


def test_a_rotation_carries_the_index_and_follows_changes(
    desks: Desks,
) -> None:
    for n in range(6):
        desks.crm.store(f"c{n}", ANN | {"phone": f"+4930123456{n:02}"})
    (kept,) = find(desks.crm, phone="+493012345603")

    def meanwhile(step: str) -> None:
        if step == "copied":
            desks.crm.store("c0", {"phone": "+493012345670"})
            desks.crm.store("new", {"phone": "+493012345671"})
            desks.eraser.shred(by_id("c1"))
            (found,) = find(desks.crm, phone="+493012345602")
            desks.crm.delete(found.values[0].token)
        if step == "verified":
            desks.crm.store("c4", {"phone": "+493012345672"})

    rotation(desks.vault, meanwhile).rotate()
    for phone, count in (("00", 0), ("01", 0), ("02", 0), ("03", 1), ("04", 0), ("05", 1)):
        assert len(find(desks.crm, phone=f"+4930123456{phone}")) == count, phone
    for phone in ("70", "71", "72"):
        assert len(find(desks.crm, phone=f"+4930123456{phone}")) == 1, phone
    assert find(desks.crm, phone="+493012345603") == [kept]
    assert len(find(desks.crm, name="Ann Lee", birth_date="1990-12-10")) == 5
    assert rows(desks) == 5 * 2 + 5  # e-mail and person of five, and five phones


@pytest.mark.parametrize("step", ["copied", "verified", "commit-current", "commit-values", "swapped"])
def test_a_rotation_that_is_killed_loses_nobody(deployment: Deployment, step: str) -> None:
    with deployment.opened() as desks:
        for n in range(5):
            desks.crm.store(f"c{n}", ANN | {"phone": f"+4930123456{n:02}"})
    killed = [sys.executable, "-m", "tests.scenarios.support.rotating", str(deployment.data_dir), step]
    ended = subprocess.run(killed, check=False, timeout=60, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    for _ in range(2):
        with open_vault(deployment.data_dir, "goes-on", unlocking=True) as desks:
            desks.eraser.shred_all([by_id("c0")])
            desks.crm.store("c1", {"phone": "+493012345670"})
            found = [len(find(desks.crm, phone=f"+4930123456{n}")) for n in ("00", "01", "02", "70")]
            assert found == [0, 0, 1, 1]
            assert len(find(desks.crm, name="Ann Lee", birth_date="1990-12-10")) == 4
            rotation(desks.vault).rotate()
    assert findings(deployment) == []


def test_a_class_that_is_searchable_later_is_found_when_its_index_is_complete(tmp_path: Path) -> None:
    deployment = found_vault(tmp_path, policy=SEARCHING)
    with deployment.opened() as desks:
        stored = [desks.crm.store(f"c{n}", ANN | {"phone": f"+4930123456{n:02}"}) for n in range(70)]
        desks.eraser.shred(by_id("c3"))
        with pytest.raises(InvalidRequestError):
            find(desks.crm, phone="+493012345601")
        assert rows(desks) == 0
        assert desks.vault.search_status(desks.crm.caller) == []
    with (deployment.data_dir / "vault.toml").open("a") as settings:
        settings.write(FIELDS)
    with deployment.opened() as desks:
        late = desks.crm.store("late", {"phone": "+493012345699"})
        with pytest.raises(SearchIncompleteError):
            find(desks.crm, phone="+493012345601")
        with pytest.raises(SearchIncompleteError):
            duplicates(desks.crm, "person")
        building = SearchBuilding(desks.vault.engine)
        desks.vault.engine.committer.submit(building._group)
        status = {each.name: each for each in desks.vault.search_status(desks.crm.caller)}
        assert {name: each.ready for name, each in status.items()} == dict.fromkeys(
            ("phone", "email", "person"), False
        )
        assert (status["phone"].done, status["person"].field_classes) == (64, ("birth_date", "name"))
    with deployment.opened() as desks:  # it goes on where it was
        assert "complete" in SearchBuilding(desks.vault.engine).run()
        assert SearchBuilding(desks.vault.engine).run() == ""
        assert all(each.ready for each in desks.vault.search_status(desks.crm.caller))
        for n, each in enumerate(stored):
            found = find(desks.crm, phone=f"+4930123456{n:02}")
            assert [one.customer_token for one in found] == [each.customer_token] * (n != 3)
        assert find(desks.crm, phone="+493012345699")[0].customer_token == late.customer_token
        assert len(find(desks.crm, name="ann lee", birth_date="1990-12-10")) == 69
    assert findings(deployment) == []


def test_a_class_that_is_not_searchable_any_more_leaves_the_index_with_the_epoch(
    deployment: Deployment,
) -> None:
    with deployment.opened() as desks:
        desks.crm.store("ann", ANN)
    text = (deployment.data_dir / "vault.toml").read_text()
    (deployment.data_dir / "vault.toml").write_text(text.replace("[fields.email]\nsearchable = true\n", ""))
    with deployment.opened() as desks:
        with pytest.raises(InvalidRequestError):
            find(desks.crm, email=ANN["email"])
        assert rows(desks) == 3
        rotation(desks.vault).rotate()
        assert rows(desks) == 2
        desks.crm.update(desks.crm.tokens("ann", {"email": ANN["email"]})[0], "new@lee.org")
    (deployment.data_dir / "vault.toml").write_text(text)
    with deployment.opened() as desks:
        with pytest.raises(SearchIncompleteError):
            find(desks.crm, email="new@lee.org")
        SearchBuilding(desks.vault.engine).run()
        assert find(desks.crm, email=ANN["email"]) == []
        assert len(find(desks.crm, email="new@lee.org")) == 1


def test_a_restore_finds_exactly_the_right_people(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        for n in range(5):
            desks.crm.store(f"c{n}", ANN | {"phone": f"+4930123456{n:02}"})
        backup = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
        desks.eraser.shred(by_id("c0"))
        (found,) = find(desks.crm, phone="+493012345601")
        desks.crm.delete(found.values[0].token)
        (found,) = find(desks.crm, phone="+493012345602")
        desks.crm.update(found.values[0].token, "+493012345670")
        desks.crm.store("later", {"phone": "+493012345671"})
        rotation(desks.vault).rotate()
    restore(deployment, backup)
    with open_vault(deployment.data_dir, "restored") as desks:
        for last, count in (("00", 0), ("01", 0), ("02", 0), ("03", 1), ("04", 1), ("70", 0), ("71", 0)):
            assert len(find(desks.crm, phone=f"+4930123456{last}")) == count, last
        assert len(find(desks.crm, email=ANN["email"])) == 4
    # The rotation gave those of the deleted and the corrected number new keys; the old ones are in use again.
    assert [each for each in findings(deployment) if not each.startswith("DEK_ORPHAN")] == []


def test_a_correction_that_a_crash_undid_is_found_by_its_old_value(
    deployment: Deployment,
) -> None:
    """The index commits before `values`: what it gave up for a correction has to come back."""

    class KilledError(Exception):
        pass

    with deployment.opened() as desks:
        (token,) = desks.crm.tokens("ann", {"phone": ANN["phone"]})
        shared = desks.vault.engine.store._shared

        def die(step: str) -> None:
            if step == "index":
                raise KilledError

        after: Callable[[str], None] = shared.after_step
        shared.after_step = die
        with pytest.raises(KilledError):
            desks.crm.update(token, "+493012345679")
        shared.after_step = after
        assert rows(desks) == 1
        assert find(desks.crm, phone=ANN["phone"]) == []
        desks.crm.store("bob", {"name": "Bob"})  # any write finishes what is pending
        assert len(find(desks.crm, phone=ANN["phone"])) == 1
        assert find(desks.crm, phone="+493012345679") == []


def test_combinations_are_bounded(desks: Desks) -> None:
    names = {f"name/n{n}": f"Name {n}" for n in range(32)}
    dates = {f"birth_date/d{n}": f"19{n + 10}-01-01" for n in range(32)}
    desks.crm.store("ann", names | dates)
    result = desks.crm.store("ann", {"name/one-more": "Another"}).results[0]
    assert isinstance(result.error, LimitExceededError)
    assert rows(desks) == 1024
    assert len(find(desks.crm, name="name 31", birth_date="1941-01-01")) == 1
