from dataclasses import replace

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass, SlotFlag

from tests.unit.keys.provider_services import OTHER_TOKEN, PIN, TOKEN_LABEL
from vault.errors import KeyUnavailableError
from vault.keys import pkcs11_provider as module
from vault.keys.pkcs11_provider import Pkcs11Provider
from vault.keys.provider import Assurance, KeyState
from vault.model.secret import Secret

KEY = bytes(range(32))
CONTEXT = b"context"


@pytest.fixture
def provider(pkcs11_settings) -> Pkcs11Provider:
    return Pkcs11Provider(pkcs11_settings, None)


@pytest.fixture
def token(softhsm):
    """Sessions beside the provider's: one at a time, for a process logs in once."""
    return lambda: pkcs11.lib(str(softhsm)).get_token(token_label=TOKEN_LABEL).open(rw=True, user_pin=PIN)


def test_a_wrong_pin_is_said_to_be_wrong_and_not_repeated(pkcs11_settings):
    provider = Pkcs11Provider(replace(pkcs11_settings, pin_file=""), Secret("654321"))
    with pytest.raises(KeyUnavailableError, match="the PIN is not the token's") as caught:
        provider.create("wrong-pin")
    assert "654321" not in str(caught.value)


def test_the_pin_comes_the_way_of_a_passphrase_if_no_file_is_named(pkcs11_settings):
    settings = replace(pkcs11_settings, pin_file="")
    assert Pkcs11Provider(settings, Secret(PIN)).describe("nothing").state is KeyState.MISSING
    with pytest.raises(KeyUnavailableError, match="PIN of the token is needed"):
        Pkcs11Provider(settings, None).describe("nothing")


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_pin_file_that_is_missing_or_empty_is_named(pkcs11_settings, tmp_path, content):
    path = tmp_path / "other-pin"
    if content is not None:
        path.write_text(content)
    with pytest.raises(KeyUnavailableError, match=r"keys\.pkcs11\.pin_file"):
        Pkcs11Provider(replace(pkcs11_settings, pin_file=str(path)), None)


def test_a_token_or_module_that_is_not_there_is_said_to_be_missing(pkcs11_settings, tmp_path):
    with pytest.raises(KeyUnavailableError, match="token unplugged is not there"):
        Pkcs11Provider(replace(pkcs11_settings, token_label="unplugged"), None).describe("x")
    with pytest.raises(KeyUnavailableError, match="module cannot be loaded"):
        Pkcs11Provider(replace(pkcs11_settings, module=str(tmp_path / "no.so")), None).describe("x")


def test_a_key_on_another_token_is_missing_there_and_not_destroyed(provider, pkcs11_settings):
    provider.create("here")
    elsewhere = Pkcs11Provider(replace(pkcs11_settings, token_label=OTHER_TOKEN), None)
    assert elsewhere.destroy("here").effective_ms is None
    assert elsewhere.describe("here").state is KeyState.MISSING
    assert provider.describe("here").state is KeyState.ACTIVE


def test_softhsm_is_not_hardware_and_is_refused_where_hardware_is_required(provider, pkcs11_settings):
    provider.create("software")
    said = provider.destroy("software")
    assert said.assurance is Assurance.BEST_EFFORT
    assert "does not say that it is hardware" in said.evidence
    strict = Pkcs11Provider(replace(pkcs11_settings, require_hardware=True), None)
    with pytest.raises(KeyUnavailableError, match="does not say that it is hardware"):
        strict.create("strict")
    assert provider.describe("strict").state is KeyState.MISSING


@pytest.mark.parametrize(
    ("slot", "mechanism", "hardware"),
    [
        (SlotFlag.TOKEN_PRESENT | SlotFlag.HW_SLOT, MechanismFlag.HW | MechanismFlag.GENERATE, True),
        (SlotFlag.TOKEN_PRESENT | SlotFlag.HW_SLOT, MechanismFlag.GENERATE, False),
        (SlotFlag.TOKEN_PRESENT, MechanismFlag.HW | MechanismFlag.GENERATE, False),
        (SlotFlag.TOKEN_PRESENT, MechanismFlag.GENERATE, False),
    ],
)
def test_hardware_is_what_slot_and_mechanism_both_call_so(slot, mechanism, hardware):
    assert module._claims_hardware(slot, mechanism) is hardware


def test_the_key_is_confined_to_its_token(provider, token):
    provider.create("confined")
    with token() as session:
        key = session.get_key(label="confined")
        for attribute in (Attribute.SENSITIVE, Attribute.NEVER_EXTRACTABLE, Attribute.LOCAL):
            assert key[attribute] is True
        for attribute in (Attribute.EXTRACTABLE, Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE):
            assert key[attribute] is False


def test_a_key_that_could_have_left_its_token_is_not_used(provider, token):
    extractable = {Attribute.EXTRACTABLE: True}
    with token() as session:
        session.generate_key(KeyType.AES, 256, label="leaky", store=True, template=extractable)
    for attempt in (lambda: provider.create("leaky"), lambda: provider.wrap("leaky", KEY, CONTEXT)):
        with pytest.raises(KeyUnavailableError, match="may leave it"):
            attempt()


def test_two_keys_of_one_name_are_not_chosen_from(provider, token):
    with token() as session:
        for _ in range(2):
            session.generate_key(KeyType.AES, 256, label="twin", store=True)
    with pytest.raises(KeyUnavailableError, match="several keys"):
        provider.describe("twin")


def test_a_destruction_that_was_cut_off_is_pending_until_it_is_repeated(provider, token):
    provider.create("cut-off")
    marker = {Attribute.CLASS: ObjectClass.DATA, Attribute.APPLICATION: "customervault"}
    with token() as session:
        session.create_object(
            marker | {Attribute.LABEL: "cut-off", Attribute.TOKEN: True, Attribute.VALUE: b"1"}
        )
    assert provider.describe("cut-off").state is KeyState.PENDING_DESTRUCTION
    assert provider.destroy("cut-off").effective_ms is not None
    assert provider.describe("cut-off").state is KeyState.DESTROYED
