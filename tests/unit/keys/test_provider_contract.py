"""What every key provider promises, asked of each against the real thing where one can start."""

import uuid
from collections.abc import Callable

import pytest

from vault.errors import KeyUnavailableError
from vault.keys.aws_kms_provider import AwsKmsProvider
from vault.keys.file_provider import FileProvider
from vault.keys.pkcs11_provider import Pkcs11Provider
from vault.keys.provider import PROVIDERS, Assurance, KeyProvider, KeyState
from vault.keys.transit_provider import TransitProvider

KEY = bytes(range(32))
CONTEXT = b"customervault edk v1\0" + bytes(16) + bytes([0, 0, 0, 1])
MINUTE_MS = 60_000
BACKUPS_MS = {"file": None, "pkcs11": 5 * MINUTE_MS, "aws-kms": 0, "transit": 7 * MINUTE_MS}
ENDED = {"aws-kms": KeyState.PENDING_DESTRUCTION}
ASSURANCE = {"aws-kms": Assurance.SERVICE_ATTESTED, "transit": Assurance.SERVICE_ATTESTED}


@pytest.fixture(params=PROVIDERS)
def again(request, tmp_path) -> Callable[[], KeyProvider]:
    """Makes a provider as another process would, on the same keys."""
    (tmp_path / "root").mkdir()
    if request.param == "file":
        key_file = request.getfixturevalue("key_file")
        return lambda: FileProvider(tmp_path / "root", passphrase=None, key_file=key_file)
    if request.param == "pkcs11":
        settings = request.getfixturevalue("pkcs11_settings")
        return lambda: Pkcs11Provider(settings, None, backups_ms=BACKUPS_MS["pkcs11"])
    if request.param == "aws-kms":
        settings = request.getfixturevalue("aws_kms_settings")
        return lambda: AwsKmsProvider(settings, tmp_path / "root")
    settings = request.getfixturevalue("transit_settings")
    return lambda: TransitProvider(settings, backups_ms=BACKUPS_MS["transit"])


@pytest.fixture
def provider(again) -> KeyProvider:
    return again()


@pytest.fixture
def new_id() -> str:
    """An id that no other test has used of the services that all tests share."""
    return f"root-1-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def root(provider, new_id) -> str:
    provider.create(new_id)
    return new_id


def test_a_key_comes_back_as_it_was_wrapped_in_another_process_too(provider, again, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    assert KEY not in wrapped
    assert again().unwrap(root, wrapped, CONTEXT) == KEY


def test_wrapping_twice_never_gives_the_same(provider, root):
    assert provider.wrap(root, KEY, CONTEXT) != provider.wrap(root, KEY, CONTEXT)


def test_another_context_opens_nothing(provider, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    for other in (CONTEXT[:-1] + b"\x02", CONTEXT + b"\0", CONTEXT[:-1]):
        with pytest.raises(KeyUnavailableError):
            provider.unwrap(root, wrapped, other)


def test_another_root_key_opens_nothing(provider, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    provider.create(f"{root}-2")
    with pytest.raises(KeyUnavailableError):
        provider.unwrap(f"{root}-2", wrapped, CONTEXT)


def test_what_was_changed_or_cut_opens_nothing(provider, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    middle = len(wrapped) // 2
    changed = wrapped[:middle] + bytes([wrapped[middle] ^ 1]) + wrapped[middle + 1 :]
    for damaged in (changed, wrapped[:-1], wrapped[:8], b"x"):
        with pytest.raises(KeyUnavailableError):
            provider.unwrap(root, damaged, CONTEXT)


def test_a_create_may_be_repeated_and_leaves_the_key_as_it_was(provider, again, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    again().create(root)
    assert provider.unwrap(root, wrapped, CONTEXT) == KEY


def test_a_fresh_key_is_active_and_nothing_is_scheduled(provider, root):
    seen = provider.describe(root)
    assert (seen.root_key_id, seen.state, seen.destruction_ms) == (root, KeyState.ACTIVE, None)
    assert seen.evidence
    assert seen.retention


def test_the_assurance_is_what_the_provider_can_prove(provider):
    assert provider.assurance is ASSURANCE.get(provider.name, Assurance.BEST_EFFORT)


def test_a_disabled_key_does_nothing_and_loses_nothing(provider, again, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    for _ in range(2):
        provider.disable(root)
    assert again().describe(root).state is KeyState.DISABLED
    for attempt in (
        lambda: provider.wrap(root, KEY, CONTEXT),
        lambda: provider.unwrap(root, wrapped, CONTEXT),
        lambda: provider.create(root),
    ):
        with pytest.raises(KeyUnavailableError, match="is disabled"):
            attempt()
    for _ in range(2):
        provider.enable(root)
    assert again().unwrap(root, wrapped, CONTEXT) == KEY
    assert provider.unwrap(root, provider.wrap(root, KEY, CONTEXT), CONTEXT) == KEY


@pytest.mark.parametrize("disabled", [False, True])
def test_a_destroyed_key_does_nothing_and_never_comes_back(provider, again, root, disabled):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    if disabled:
        provider.disable(root)
    provider.destroy(root)
    assert again().describe(root).state is ENDED.get(provider.name, KeyState.DESTROYED)
    for attempt in (
        lambda: provider.wrap(root, KEY, CONTEXT),
        lambda: provider.unwrap(root, wrapped, CONTEXT),
        lambda: provider.create(root),
        lambda: provider.enable(root),
        lambda: provider.disable(root),
    ):
        with pytest.raises(KeyUnavailableError, match=r"was destroyed|is pending destruction"):
            attempt()


def test_a_destruction_holds_once_it_is_seen_and_never_early(provider, root):
    before = provider.describe(root)
    said = provider.destroy(root)
    assert (said.root_key_id, said.assurance) == (root, provider.assurance)
    assert said.evidence
    assert said.retention
    assert said.backups_ms == BACKUPS_MS[provider.name]
    assert said.effective_ms is not None
    assert said.effective_ms >= before.observed_ms
    assert not said.holds(before)
    assert said.holds(provider.describe(root)) == (provider.name != "aws-kms")


def test_a_destruction_may_be_repeated_and_a_scheduled_one_keeps_its_date(provider, again, root):
    first, second = provider.destroy(root), again().destroy(root)
    if provider.name == "aws-kms":
        assert second == first
        assert first.effective_ms == again().describe(root).destruction_ms
    else:
        assert first.effective_ms <= second.effective_ms < first.effective_ms + MINUTE_MS


def test_a_key_that_is_not_there_is_missing_and_its_destruction_proves_nothing(provider, new_id):
    assert provider.describe(new_id).state is KeyState.MISSING
    assert provider.destroy(new_id).effective_ms is None
    assert provider.describe(new_id).state is KeyState.MISSING
    for attempt in (
        lambda: provider.wrap(new_id, KEY, CONTEXT),
        lambda: provider.unwrap(new_id, bytes(80), CONTEXT),
        lambda: provider.disable(new_id),
        lambda: provider.enable(new_id),
    ):
        with pytest.raises(KeyUnavailableError, match="is not in"):
            attempt()


def test_one_key_is_destroyed_and_its_neighbour_lives_on(provider, root):
    provider.create(f"{root}-2")
    wrapped = provider.wrap(f"{root}-2", KEY, CONTEXT)
    provider.destroy(root)
    assert provider.unwrap(f"{root}-2", wrapped, CONTEXT) == KEY


def test_no_message_holds_key_or_context(provider, root):
    wrapped = provider.wrap(root, KEY, CONTEXT)
    with pytest.raises(KeyUnavailableError) as caught:
        provider.unwrap(root, wrapped, CONTEXT + b"secret")
    for text in (KEY.hex(), "secret", CONTEXT.hex()):
        assert text not in str(caught.value)
