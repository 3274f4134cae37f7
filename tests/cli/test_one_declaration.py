"""Each setting of a tenant is declared once, and every entry point has it with the same bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ragstone.api.tenant_settings import InterceptorBody
from ragstone.errors import ConfigurationError
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
