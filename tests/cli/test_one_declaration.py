"""Settings, plans and accounts declare each field once; every entry point has it with the same bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from ragstone.api.keys import KeyBody
from ragstone.api.plans import ModelBody, PlanBody
from ragstone.api.tenant_settings import InterceptorBody
from ragstone.api.tenants import TenantChangeBody
from ragstone.api.users import UserBody, UserChangeBody
from ragstone.billing.plans import ModelEntry, Plan
from ragstone.errors import ConfigurationError
from ragstone.identity.api_keys import NewKey
from ragstone.identity.fields import declared, description
from ragstone.identity.tenants import TenantChange
from ragstone.identity.users import NewUser, UserChange
from ragstone.settings import Settings, load_settings, setting_variables, settings_page, variable_name
from ragstone.tenants.settings import KEYS, SETTINGS

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NOT_BY_NAME = {"knowledge", "pipeline"}  # RAGSTONE_VECTORIZE__… says both


def variables_of(name: str) -> list[str]:
    """The environment variables of a setting: those of groups that inherit its field."""
    field = SETTINGS[name].field
    found = [
        variable_name((group, field))
        for group, outer in Settings.model_fields.items()
        if group in {"interceptor", "privacy"} and field in outer.annotation.model_fields  # type: ignore[union-attr]  # groups
    ]
    assert set(found) <= set(setting_variables())
    return found


def beyond_bounds() -> list[tuple[str, Any]]:
    """For each number, a value below and a value above its bounds."""
    found: list[tuple[str, Any]] = []
    for name, each in SETTINGS.items():
        schema = each.adapter.json_schema()
        if schema.get("type") in {"integer", "number"}:
            step = 1 if schema["type"] == "integer" else 0.01
            least = schema["minimum"] - step if "minimum" in schema else schema["exclusiveMinimum"]
            found += [(name, least), (name, schema["maximum"] + step)]
    return found


def refusal_of_the_environment(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> str:
    (variable,) = variables_of(name)
    monkeypatch.setenv(variable, str(value))
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    return refused.value.message.partition(f"{variable}: ")[2].removesuffix(".")


def refusal_of_the_api(name: str, value: object) -> str:
    with pytest.raises(ValidationError) as refused:
        InterceptorBody.model_validate({"settings": {name: value}})
    (error,) = refused.value.errors()
    assert error["loc"] == ("settings", name)
    return error["msg"]


def refusal_of_the_command_line(name: str, value: object, cli: Any) -> str:
    result = cli("interceptor", "set", f"{name}={value}")
    assert result.exit_code == 2, result.output
    return str(result.stderr).strip().partition(f"{name}: ")[2].removesuffix(".")


def test_there_are_bounds_to_try():
    assert {name for name, _ in beyond_bounds()} >= {"rollout_percent", "limit", "context_tokens", "budget_s"}


@pytest.mark.parametrize(("name", "value"), beyond_bounds())
def test_environment_api_and_command_line_refuse_the_same_value_alike(
    cli: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: object
):
    said = refusal_of_the_api(name, value)
    assert said
    assert refusal_of_the_command_line(name, value, cli) == said
    assert refusal_of_the_environment(name, value, monkeypatch) == said


def test_the_settings_page_is_what_the_code_generates():
    assert (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_every_setting_is_in_the_example_file_the_api_the_help_and_the_docs(cli: Any):
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    help_text = cli("interceptor", "set", "--help").stdout
    schema = InterceptorBody.model_json_schema()["$defs"]
    assert schema["InterceptorSettingsBody"]["properties"].keys() == SETTINGS.keys()
    assert schema["InterceptorKeysBody"]["properties"].keys() == KEYS.keys()
    for name, each in SETTINGS.items():
        assert f"| {name} | " in settings_page()
        assert f"  {name} " in help_text
        assert schema["InterceptorSettingsBody"]["properties"][name]["description"] == each.info.description
        if name not in NOT_BY_NAME:
            (variable,) = variables_of(name)
            assert f"#{variable}=" in example
    for name in KEYS:
        assert f"--{name}-key-file" in help_text


class Noun(NamedTuple):
    """A noun of accounts: its declaration, its body in the API, and the command that sets its fields."""

    declaration: type
    body: type[BaseModel]
    command: tuple[str, ...]


PLAN = Noun(Plan, PlanBody, ("plans", "set", "gold"))
MODEL = Noun(ModelEntry, ModelBody, ("models", "set", "gpt-4o-mini"))
TENANT = Noun(TenantChange, TenantChangeBody, ("tenants", "change", "default"))


def numbers_beyond_bounds() -> list[tuple[Noun, str, int]]:
    """For each number of a plan, a model and a tenant, a value below and a value above its bounds."""
    found: list[tuple[Noun, str, int]] = []
    for noun in (PLAN, MODEL, TENANT):
        for name, (kind, _) in declared(noun.declaration).items():
            schema = TypeAdapter(kind).json_schema()
            (number,) = [each for each in schema.get("anyOf", [schema]) if each.get("type") == "integer"] or [None]
            if number:
                most = number["maximum"] + 1 if "maximum" in number else number["exclusiveMaximum"]
                found += [(noun, name, number["minimum"] - 1), (noun, name, most)]
    return found


def refusal_of_a_body(body: type[BaseModel], name: str, value: object) -> str:
    with pytest.raises(ValidationError) as refused:
        body.model_validate({name: value})
    return next(error["msg"] for error in refused.value.errors() if error["loc"] == (name,))


def test_there_are_numbers_of_plans_models_and_tenants_to_try():
    assert {name for _, name, _ in numbers_beyond_bounds()} == {
        "requests_per_hour",
        "max_documents",
        "max_bytes",
        "max_pages",
        "concurrent_streams",
        "input_price",
        "output_price",
        "cached_price",
        "retention_days",
    }


@pytest.mark.parametrize(("noun", "name", "value"), numbers_beyond_bounds())
def test_api_and_command_line_refuse_the_same_number_alike(cli: Any, noun: Noun, name: str, value: int):
    said = refusal_of_a_body(noun.body, name, value)
    result = cli("accounts", *noun.command, f"--{name.replace('_', '-')}={value}")
    assert result.exit_code == 2, result.output
    assert str(result.stderr).strip() == f"{name}: {said}."


@pytest.mark.parametrize(
    ("declaration", "body", "elsewhere"),
    [
        (Plan, PlanBody, {"id"}),
        (ModelEntry, ModelBody, {"id"}),
        (TenantChange, TenantChangeBody, set()),
        (NewUser, UserBody, set()),
        (UserChange, UserChangeBody, set()),
        (NewKey, KeyBody, set()),
    ],
)
def test_a_body_has_the_declared_fields_with_their_defaults_and_help(
    declaration: type, body: type[BaseModel], elsewhere: set[str]
):
    known = {name: field for name, field in declared(declaration).items() if name not in elsewhere}
    assert body.model_fields.keys() == known.keys()
    for name, (kind, default) in known.items():
        field = body.model_fields[name]
        assert field.is_required() == (default is ...)
        assert field.is_required() or field.get_default() == default
        assert field.description == description(kind) or name == "password"


@pytest.mark.parametrize("noun", [PLAN, MODEL])
def test_the_command_sets_every_field_and_its_help_describes_them(cli: Any, noun: Noun):
    help_text = cli("accounts", *noun.command[:2], "--help").stdout
    for name, (kind, _) in declared(noun.declaration).items():
        if name != "id":
            assert f"  {name} " in help_text
            assert str(description(kind)) in help_text
            option = "name" if (noun, name) == (MODEL, "model") else name.replace("_", "-")
            assert f"--{option}" in help_text
