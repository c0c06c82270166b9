from dataclasses import fields, is_dataclass

import pytest

from vault.config import Limits, Pkcs11Settings, Settings, StorageSettings, load_settings, parse_settings
from vault.errors import InvalidRequestError


def problems(text: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        parse_settings(text)
    return str(caught.value)


def test_a_missing_file_means_all_defaults(tmp_path):
    assert load_settings(tmp_path) == Settings()


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path):
    (tmp_path / "vault.toml").write_text('[limits]\nbatch_tokens = 7\n[server]\ndns_names = ["a", "b"]\n')
    settings = load_settings(tmp_path)
    assert settings.limits == Limits(batch_tokens=7)
    assert settings.server.dns_names == ("a", "b")
    assert settings.storage == StorageSettings()


def test_field_classes_are_handed_on_as_they_stand():
    assert parse_settings("[fields.email]\nlenient = true\n").fields == {"email": {"lenient": True}}


def test_a_misspelt_key_is_an_error_and_not_a_default():
    assert "limits.batch_token: unknown key" in problems("[limits]\nbatch_token = 7\n")


def test_a_table_within_a_section_is_read_as_strictly():
    text = '[keys]\nprovider = "pkcs11"\n[keys.pkcs11]\nmodule = "/m.so"\nrequire_hardware = true\n'
    assert parse_settings(text).keys.pkcs11 == Pkcs11Settings(module="/m.so", require_hardware=True)
    said = problems(
        "[keys]\ntransit = 1\n[keys.pkcs11]\nlabel = 1\nrequire_hardware = 1\n"
        "[keys.aws_kms]\ndeletion_days = -7\n"
    )
    for part in (
        "keys.pkcs11.label: unknown key",
        "keys.pkcs11.require_hardware: must be true or false",
        "keys.aws_kms.deletion_days: must be a whole number",
        "keys.transit: must be a table",
    ):
        assert part in said


def test_a_number_may_be_left_unset():
    assert parse_settings("[keys]\n").keys.provider_backups_days is None
    assert parse_settings("[keys]\nprovider_backups_days = 0\n").keys.provider_backups_days == 0
    for wrong in ("-1", '"7"', "true"):
        said = problems(f"[keys]\nprovider_backups_days = {wrong}\n")
        assert "keys.provider_backups_days: must be a whole number" in said


def test_an_unknown_section_is_an_error():
    assert "[sever]: unknown section" in problems("[sever]\nworkers = 1\n")


def test_every_problem_is_reported_at_once():
    said = problems('[limits]\nbatch_tokens = "7"\nnonsense = 1\n[keys]\nprovider = 3\n[oops]\n')
    for part in ("limits.batch_tokens", "limits.nonsense", "keys.provider", "[oops]"):
        assert part in said


@pytest.mark.parametrize(
    "text",
    [
        "[limits]\nbatch_tokens = -1\n",
        "[limits]\nbatch_tokens = true\n",
        "[limits]\nbatch_tokens = 1.5\n",
        "[server]\ndns_names = [1]\n",
        '[server]\ndns_names = "localhost"\n',
        "[keys]\nprovider = 1\n",
        "limits = 3\n",
        "[limits\n",
    ],
)
def test_a_wrong_type_is_refused(text):
    assert "vault.toml" in problems(text)


def test_a_wrong_value_is_not_repeated():
    assert "hunter2" not in problems('[limits]\nbatch_tokens = "hunter2"\n')


@pytest.mark.parametrize("section", ["server", "limits", "audit", "storage", "keys"])
def test_every_default_can_be_written_down_and_read_back(section):
    default = getattr(Settings(), section)
    assert getattr(parse_settings("\n".join(written(section, default))), section) == default


def written(name: str, table: object) -> list[str]:
    """A table of settings as TOML, its inner tables last."""
    own, inner = [f"[{name}]"], []
    for each in fields(table):
        value = getattr(table, each.name)
        if value is None:  # what is unset is left out
            continue
        if is_dataclass(value):
            inner += written(f"{name}.{each.name}", value)
        else:
            text = str(list(value)) if isinstance(value, tuple) else repr(value)
            own.append(f"{each.name} = {text.lower() if isinstance(value, bool) else text}")
    return own + inner
