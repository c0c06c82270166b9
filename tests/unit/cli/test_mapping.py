from pathlib import Path

import pytest
from customervault.tables.errors import TableError
from customervault.tables.layout import bind
from customervault.tables.plan import Place, Unmapped

from vault.cli.exits import UsageError
from vault.cli.importing.mapping import Choices, make_plan
from vault.cli.importing.plan import parse_maps
from vault.cli.importing.presets import PRESETS
from vault.fields import DEFAULT_FIELDS


def test_maps_name_column_class_and_label() -> None:
    assert parse_maps(["E-mail=email", "Mobile=phone:mobile", "a=b=note"]) == {
        "E-mail": Place("email"),
        "Mobile": Place("phone", "mobile"),
        "a=b": Place("note"),
    }


@pytest.mark.parametrize(
    "text", ["email", "=email", "a=", "a=E-Mail", "a=phone:Mobile", "a=phone:" + "x" * 33]
)
def test_malformed_maps_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_maps([text])


def test_a_column_is_mapped_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_maps(["a=email", "a=note"])


def test_options_win_over_the_mapping_file_and_that_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(
        'id = "Key"\njurisdiction = "de"\nunmapped = "drop"\nkeep = ["Stage"]\n'
        '[columns]\n"Email" = "note:from_file"\n"City" = "address:town"\n'
    )
    plan = make_plan(
        Choices(
            maps=["Email=email:option"],
            preset="hubspot",
            mapping_file=file,
            jurisdiction_column="Law",
            unmapped=Unmapped.KEEP,
        )
    )
    assert plan.id_columns == ("Key",)
    assert plan.columns["Email"] == Place("email", "option")
    assert plan.columns["City"] == Place("address", "town")
    assert plan.columns["First Name"] == Place("name", "first")
    assert (plan.jurisdiction, plan.jurisdiction_column) == ("", "Law")
    assert plan.unmapped is Unmapped.KEEP
    assert {"Email", "City"}.isdisjoint(plan.optional)
    assert "First Name" in plan.optional
    assert "Stage" in plan.kept


@pytest.mark.parametrize(
    "text",
    [
        "columns = 3",
        "colums = {}",
        "[columns]\na = 3",
        'unmapped = "perhaps"',
        "keep = [1]",
        'jurisdiction = "Germany"',
        'jurisdiction = "DE"\njurisdiction_column = "Law"',
        "not toml",
    ],
)
def test_a_bad_mapping_file_is_a_usage_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    with pytest.raises(UsageError):
        make_plan(Choices(id_column="id", mapping_file=file))


def test_an_id_column_is_needed() -> None:
    with pytest.raises(UsageError, match="--id"):
        make_plan(Choices(maps=["a=email"]))


def test_unmapped_columns_are_refused_and_named() -> None:
    plan = make_plan(Choices(id_column="id", maps=["a=email"]))
    with pytest.raises(TableError, match=r"'b', 'c': not mapped.*--keep-unmapped or --drop-unmapped"):
        bind(plan, ["id", "a", "b", "c"])


def test_a_misspelt_column_is_refused_even_when_unmapped_ones_are_kept() -> None:
    plan = make_plan(Choices(id_column="id", maps=["Email=email"], unmapped=Unmapped.KEEP))
    with pytest.raises(TableError, match="no column 'Email'; it has 'id', 'E-mail'"):
        bind(plan, ["id", "E-mail"])


def test_two_columns_cannot_share_a_place() -> None:
    plan = make_plan(Choices(id_column="id", maps=["a=phone", "b=phone"]))
    with pytest.raises(TableError, match="both go to phone"):
        bind(plan, ["id", "a", "b"])


def test_something_has_to_be_stored() -> None:
    with pytest.raises(TableError, match="no column is mapped"):
        bind(make_plan(Choices(id_column="id")), ["id"])


def test_the_id_column_may_itself_be_stored() -> None:
    layout = bind(make_plan(Choices(id_column="Email", maps=["Email=email"])), ["Email"])
    assert (layout.id_column, layout.columns) == ("Email", ("Email",))


@pytest.mark.parametrize(
    ("preset", "header"),
    [
        (
            "hubspot",
            ["Record ID", "First Name", "Last Name", "Email", "Phone Number", "Street Address", "City",
             "Postal Code", "Country/Region", "Lifecycle Stage", "Create Date"],
        ),
        (
            "salesforce",
            ["Id", "FirstName", "LastName", "Email", "Phone", "MobilePhone", "MailingStreet", "MailingCity",
             "MailingPostalCode", "MailingCountry", "Birthdate", "LeadSource"],
        ),
    ],
)  # fmt: skip
def test_presets_fit_the_exports_they_are_named_after(preset: str, header: list[str]) -> None:
    layout = bind(make_plan(Choices(preset=preset)), header)
    assert layout.id_column == header[0]
    assert layout.columns == tuple(name for name in header if name in PRESETS[preset].columns)
    assert len(layout.columns) >= 7


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_name_classes_that_exist_and_never_keep_what_they_store(preset: str) -> None:
    plan = PRESETS[preset]
    assert {place.field_class for place in plan.columns.values()} <= set(DEFAULT_FIELDS.names)
    assert plan.kept.isdisjoint(plan.columns)


def test_an_unknown_preset_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="hubspot, salesforce"):
        make_plan(Choices(preset="pipedrive"))
